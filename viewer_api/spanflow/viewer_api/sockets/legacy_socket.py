"""The sockets of existing dashboards: `/ws/flows/{user_id}` and `/ws`, one message per checkpoint of watched users.

While a user is not watched, their socket stays open and silent, as it always did.
"""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket

from spanflow.span_processors.ids import id_or_none
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.live.subscription import Subscription
from spanflow.viewer_api.live.topic import Topic
from spanflow.viewer_api.monitoring.own_access import OWN, known_watch, knows_watches, own_reason
from spanflow.viewer_api.monitoring.watching import Change
from spanflow.viewer_api.sockets.connection import FORBIDDEN, RESTARTING, Closed, Connection, Refused
from spanflow.viewer_api.sockets.entrance import entered
from spanflow.viewer_api.sockets.legacy_messages import LegacyMessages
from spanflow.viewer_api.sockets.watchdog import PATIENCE, recheck, unblock, until_closed
from spanflow.viewer_api.viewer import Viewer

_MAX_FILTER: Final = 1000
_RETRY_SECONDS: Final = 1.0


async def serve_user(websocket: WebSocket, user_id: str) -> None:
    """`/ws/flows/{user_id}`."""
    async with entered(websocket) as entrant:
        if entrant is None:
            return
        connection, viewer, principal = entrant
        if not principal.sees(user_id):
            await viewer.denied(websocket, "live_opened", user_id=user_id)
            await connection.close(FORBIDDEN, "forbidden", "You may not see what this user does.", announced=False)
            return
        await LegacySocket(websocket, connection, viewer, principal, only=user_id).run()


async def serve_all(websocket: WebSocket) -> None:
    """`/ws`: every watched user, unless the client narrows it."""
    async with entered(websocket) as entrant:
        if entrant is not None:
            await LegacySocket(websocket, *entrant, only=None).run()


class LegacySocket:
    """Follows the requested users for as long as they are watched."""

    def __init__(
        self, websocket: WebSocket, connection: Connection, viewer: Viewer, principal: Principal, *, only: str | None
    ) -> None:
        self._websocket = websocket
        self._connection = connection
        self._viewer = viewer
        self._principal = principal
        self._only = only
        self._users: frozenset[str] | None = None if only is None else frozenset({only})
        self._types: frozenset[str] | None = None
        self._following: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        viewer, watching = self._viewer, self._viewer.watching
        watching.listeners.append(self._watch_changed)
        try:
            with viewer.hub.parting(self._leave) as stopping:
                if stopping:
                    await self._leave()
                    return
                await until_closed(
                    self._receive,
                    self._follow,
                    lambda: unblock(self._connection, PATIENCE * viewer.settings.viewer_heartbeat_seconds),
                    lambda: recheck(self._connection, viewer, self._principal, announced=False),
                )
        finally:
            watching.listeners.remove(self._watch_changed)
            tasks = list(self._following.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self) -> None:
        """Notices that the client has gone; `/ws` also takes filters."""
        while True:
            try:
                message = await self._connection.receive()
            except Refused:
                continue  # such clients send plain words to keep a line open
            if message.get("action") == "subscribe" and self._only is None:
                try:
                    self._viewer.rates.request(self._principal)
                except Problem:
                    # Such clients know no message for it: what they asked for before goes on.
                    continue
                self._users = _ids(message.get("user_ids"))
                self._types = _words(message.get("event_types"))
                self._changed.set()

    async def _follow(self) -> None:
        """Have one task per user who is watched and wanted."""
        while True:
            self._changed.clear()
            seen = self._seen()
            wanted = seen if self._users is None else seen & self._users
            for user_id in list(self._following):
                if user_id not in wanted:
                    self._following.pop(user_id).cancel()
                elif self._following[user_id].done():
                    del self._following[user_id]
            for user_id in wanted - self._following.keys():
                self._following[user_id] = asyncio.create_task(
                    self._send_messages(user_id), name=f"spanflow messages of user {user_id}"
                )
            await self._changed.wait()

    def _seen(self) -> set[str]:
        """Those watched who may be seen. Who may not know whether they are watched sees their own flows anyway."""
        principal = self._principal
        if not knows_watches(principal):
            return set(principal.visible or ())
        return {watch.user_id for watch in self._viewer.watching.running() if principal.sees(watch.user_id)}

    async def _send_messages(self, user_id: str) -> None:
        if not await self._noted(user_id):
            return
        reason = None if knows_watches(self._principal) else OWN
        own = own_reason(self._principal, user_id) is not None
        subscription = Subscription(Topic.of_user(user_id), self._viewer.hub.limits, reason=reason, own=own)
        messages = LegacyMessages(user_id)
        try:
            async with aclosing(self._viewer.hub.follow(subscription)) as frames:
                async for frame in frames:
                    for message in messages.of(frame.events):
                        if self._types is None or message["event_type"] in self._types:
                            await self._connection.send(orjson.dumps(message))
        except Closed:
            return
        except Exception:
            await self._connection.fail()
        finally:
            self._changed.set()

    async def _noted(self, user_id: str) -> bool:
        """Write down who looks; without that nothing is shown, and it is tried again in a moment."""
        watch = known_watch(self._principal, self._viewer.watching, user_id)
        reason = watch.reason if watch else own_reason(self._principal, user_id)
        try:
            await self._viewer.record_access(self._websocket, "live_opened", user_id=user_id, reason=reason)
        except Problem:
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._changed.set)
            return False
        return True

    async def _leave(self) -> None:
        """The viewer stops. Such clients know no message for it."""
        await self._connection.close(RESTARTING, "restarting", "", announced=False)

    def _watch_changed(self, change: Change) -> None:
        self._changed.set()


def _ids(values: Any) -> frozenset[str] | None:
    return frozenset(user_id for value in _some(values) if (user_id := id_or_none(value))) or None


def _words(values: Any) -> frozenset[str] | None:
    return frozenset(value for value in _some(values) if isinstance(value, str)) or None


def _some(values: Any) -> Iterable[Any]:
    return values[:_MAX_FILTER] if isinstance(values, list) else ()
