"""`/api/v1/live` as a WebSocket: one socket for users, flows and conversations. `docs/api-live.md` has its messages."""

from typing import Any

from starlette.websockets import WebSocket

from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.live import messages
from spanflow.viewer_api.live.topic import Kind
from spanflow.viewer_api.sockets.alert_events import AlertEvents
from spanflow.viewer_api.sockets.client import MAX_TOPICS, Client, refusal
from spanflow.viewer_api.sockets.connection import NOT_UNDERSTOOD, Closed, Connection, Refused
from spanflow.viewer_api.sockets.entrance import entered
from spanflow.viewer_api.sockets.subscription_requests import SubscriptionRequest, requests_in_message
from spanflow.viewer_api.sockets.watchdog import heartbeat
from spanflow.viewer_api.sockets.watched_list import WatchedList
from spanflow.viewer_api.viewer import Viewer, clean_reason


async def serve_live(websocket: WebSocket) -> None:
    async with entered(websocket) as entrant:
        if entrant is not None:
            await LiveSocket(websocket, *entrant).run()


class LiveSocket:
    """Reads what the client wants while its subscriptions send."""

    def __init__(self, websocket: WebSocket, connection: Connection, viewer: Viewer, principal: Principal) -> None:
        self._connection = connection
        self._client = Client(websocket, connection, viewer, principal)
        self._watched_list = WatchedList(websocket, connection, viewer, principal)
        self._alert_events = AlertEvents(websocket, connection, viewer, principal)
        self._beat = viewer.settings.viewer_heartbeat_seconds

    async def run(self) -> None:
        jobs = (self._receive, self._watched_list.run, self._alert_events.run)
        await self._client.run(*jobs, lambda: heartbeat(self._connection, self._beat))

    async def _receive(self) -> None:
        while True:
            try:
                message = await self._connection.receive()
            except Refused as why:
                await self._connection.close(NOT_UNDERSTOOD, "not_understood", str(why))
                raise Closed from None
            kind = message.get("type")
            if kind == "ping":
                await self._connection.send(messages.message("pong"))
            elif kind not in ("pong", "auth"):
                try:
                    await self._client.counted()
                    await self._answer(kind, message)
                except Problem as problem:
                    await self._connection.send(refusal(problem, None))

    async def _answer(self, kind: object, message: dict[str, Any]) -> None:
        if kind in ("subscribe", "unsubscribe"):
            await self._change(message, subscribe=kind == "subscribe")
        else:
            raise Problem(422, "unknown_type", "`type` must be subscribe, unsubscribe, ping or pong.")

    async def _change(self, message: dict[str, Any], *, subscribe: bool) -> None:
        lists = (("monitoring", self._watched_list), ("alerts", self._alert_events))
        asked = [each for name, each in lists if message.get(name) is True]
        for each in asked:
            await (each.subscribe() if subscribe else each.unsubscribe())
        if asked and not any(message.get(kind.field) for kind in Kind):
            return
        requests = requests_in_message(message)
        reason = message.get("reason")
        reason = clean_reason(reason) if isinstance(reason, str) else None
        for request in requests[:MAX_TOPICS]:
            if not subscribe:
                await self._client.leave(request)
                continue
            # Each is written down, whether it is granted or refused.
            await self._client.counted()
            try:
                await self._subscribe(request, reason)
            except Problem as problem:
                await self._connection.send(refusal(problem, request))
        if len(requests) > MAX_TOPICS:
            await self._connection.send(refusal(_too_many_topics(), requests[MAX_TOPICS]))

    async def _subscribe(self, request: SubscriptionRequest, reason: str | None) -> None:
        if not self._client.has_room_for(request):
            raise _too_many_topics()
        await self._client.follow(await self._client.admitted(request, reason))


def _too_many_topics() -> Problem:
    return Problem(422, "too_many_topics", f"One socket follows at most {MAX_TOPICS} users, flows and so on.")
