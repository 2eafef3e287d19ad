"""`/api/v1/live`: one socket for several users. `docs/api.md` describes its messages."""

import asyncio
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any, Final

from starlette.websockets import WebSocket

from spanflow.span_processors.ids import IdError, as_id, shown_id
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.live import messages
from spanflow.viewer_api.live.connection import NOT_UNDERSTOOD, Closed, Connection, Refused
from spanflow.viewer_api.live.cursor import decoded
from spanflow.viewer_api.live.entrance import entered
from spanflow.viewer_api.live.subscription import REQUESTED, Subscription
from spanflow.viewer_api.live.vigil import heartbeat, recheck, until_closed
from spanflow.viewer_api.problems import Problem
from spanflow.viewer_api.viewer import Viewer, clean_reason
from spanflow.viewer_api.watching import NOTICE_SECONDS, Change

MAX_USERS: Final = 100
_MAX_NOTICES: Final = 1000


async def serve_live(websocket: WebSocket) -> None:
    async with entered(websocket) as known:
        if known is not None:
            await LiveSocket(websocket, *known).run()


class LiveSocket:
    """One client: its subscriptions, each with a task that sends, and one loop that receives."""

    def __init__(self, websocket: WebSocket, connection: Connection, viewer: Viewer, principal: Principal) -> None:
        self._websocket = websocket
        self._connection = connection
        self._viewer = viewer
        self._principal = principal
        self._following: dict[str, tuple[Subscription, asyncio.Task[None]]] = {}
        self._notices: asyncio.Queue[bytes] = asyncio.Queue(_MAX_NOTICES)

    async def run(self) -> None:
        hub, settings = self._viewer.hub, self._viewer.settings
        hub.state_listeners.add(self._redis_changed)
        hub.watching.listeners.append(self._watch_changed)
        try:
            await self._connection.send(
                messages.message(
                    "hello",
                    v=1,
                    name=self._principal.name,
                    heartbeat_seconds=settings.viewer_heartbeat_seconds,
                    server_time_ms=int(self._viewer.clock() * 1000),
                    redis="up" if hub.redis_up else "down",
                )
            )
            await until_closed(
                self._receive,
                self._send_notices,
                lambda: heartbeat(self._connection, settings.viewer_heartbeat_seconds),
                lambda: recheck(self._connection, self._viewer, self._principal),
            )
        finally:
            hub.state_listeners.discard(self._redis_changed)
            hub.watching.listeners.remove(self._watch_changed)
            tasks = [task for _, task in self._following.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self) -> None:
        while True:
            try:
                message = await self._connection.receive()
            except Refused as why:
                await self._connection.close(NOT_UNDERSTOOD, "not_understood", str(why))
                raise Closed from None
            kind = message.get("type")
            if kind == "subscribe":
                await self._subscribe(message)
            elif kind == "unsubscribe":
                await self._unsubscribe(message)
            elif kind == "ping":
                await self._connection.send(messages.message("pong"))
            elif kind not in {"pong", "auth"}:
                await self._refuse("unknown_type", "`type` must be subscribe, unsubscribe, ping or pong.")

    async def _subscribe(self, message: dict[str, Any]) -> None:
        user_id = await self._user_id(message)
        if user_id is None:
            return
        if user_id not in self._following and len(self._following) >= MAX_USERS:
            await self._refuse("too_many_users", f"One socket follows at most {MAX_USERS} users.", user_id)
            return
        reason = message.get("reason")
        reason = clean_reason(reason) if isinstance(reason, str) else None
        watch = self._viewer.watching.watch_of(user_id)
        if watch is None and reason is None:
            await self._refuse("reason_required", "This user is not watched: say why you look.", user_id)
            return
        try:
            why = reason or (watch.reason if watch else None)
            await self._viewer.look(self._websocket, "live_opened", user_id=user_id, reason=why)
        except Problem as problem:
            await self._refuse(problem.code, str(problem.detail), user_id)
            return
        await self._stop(user_id, None)
        cursor = decoded(message.get("cursor"))
        subscription = Subscription(user_id, self._viewer.hub.limits, reason=None if watch else reason, cursor=cursor)
        if message.get("cursor") is not None and cursor is None:
            subscription.restart("cursor_expired")
        expires_at = _until(watch.expires_at) if watch else None
        await self._connection.send(
            messages.about("subscribed", user_id, watched=watch is not None, expires_at=expires_at)
        )
        if watch is not None and watch.expires_at - self._viewer.clock() <= NOTICE_SECONDS:
            self._notify(self._watch_message(Change(user_id, watch, expiring=True)))
        task = asyncio.create_task(self._send_frames(subscription), name=f"spanflow live of user {user_id}")
        self._following[user_id] = (subscription, task)

    async def _unsubscribe(self, message: dict[str, Any]) -> None:
        user_id = await self._user_id(message)
        if user_id is not None and user_id in self._following:
            await self._stop(user_id, REQUESTED)

    async def _stop(self, user_id: str, why: str | None) -> None:
        """End a subscription and wait until nothing more of it is sent."""
        known = self._following.pop(user_id, None)
        if known is None:
            return
        _, task = known
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if why is not None:
            await self._connection.send(messages.about("unsubscribed", user_id, reason=why))

    async def _send_frames(self, subscription: Subscription) -> None:
        try:
            async with aclosing(self._viewer.hub.follow(subscription)) as frames:
                async for frame in frames:
                    await self._connection.send(frame.data)
            why = subscription.ended or REQUESTED
            del self._following[subscription.user_id]
            await self._connection.send(messages.about("unsubscribed", subscription.user_id, reason=why))
        except Closed:
            return
        except Exception:
            await self._connection.fail()

    async def _send_notices(self) -> None:
        while True:
            await self._connection.send(await self._notices.get())

    async def _user_id(self, message: dict[str, Any]) -> str | None:
        try:
            return as_id(message.get("user_id"))
        except IdError as why:
            await self._refuse("invalid_id", f"user_id: {why}.")
            return None

    async def _refuse(self, code: str, detail: str, user_id: str | None = None) -> None:
        about = {} if user_id is None else {"user_id": shown_id(user_id)}
        await self._connection.send(messages.message("error", code=code, detail=detail, **about))

    def _redis_changed(self, up: bool) -> None:
        self._notify(messages.message("state", redis="up" if up else "down"))

    def _watch_changed(self, change: Change) -> None:
        if change.user_id not in self._following:
            return
        self._notify(self._watch_message(change))

    def _watch_message(self, change: Change) -> bytes:
        if change.watch is None:
            return messages.about("watch", change.user_id, watched=False, expires_at=None)
        until = change.watch.expires_at
        if change.expiring:
            left = max(int(until - self._viewer.clock()), 0)
            return messages.about("expiring", change.user_id, expires_at=_until(until), seconds_left=left)
        return messages.about("watch", change.user_id, watched=True, expires_at=_until(until))

    def _notify(self, data: bytes) -> None:
        with suppress(asyncio.QueueFull):
            # So many unread notices: this client will not answer its heartbeat either.
            self._notices.put_nowait(data)


def _until(seconds: float) -> datetime | None:
    return None if seconds == float("inf") else messages.moment(seconds)
