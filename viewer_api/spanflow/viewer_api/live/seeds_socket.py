"""The sockets of existing dashboards: `/ws/flows/{user_id}` and `/ws`, one message per checkpoint of watched users.

While somebody is not watched, their socket stays open and silent, as it always did.
"""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket

from spanflow.span_processors.ids import id_or_none
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.live.connection import Closed, Connection, Refused
from spanflow.viewer_api.live.entrance import entered
from spanflow.viewer_api.live.seeds_messages import SeedsMessages
from spanflow.viewer_api.live.subscription import Subscription
from spanflow.viewer_api.live.vigil import recheck, until_closed
from spanflow.viewer_api.problems import Problem
from spanflow.viewer_api.viewer import Viewer
from spanflow.viewer_api.watching import Change

_MAX_FILTER: Final = 1000
_RETRY_SECONDS: Final = 1.0


async def serve_user(websocket: WebSocket, user_id: str) -> None:
    """`/ws/flows/{user_id}`."""
    async with entered(websocket) as known:
        if known is not None:
            await SeedsSocket(websocket, *known, only=user_id).run()


async def serve_all(websocket: WebSocket) -> None:
    """`/ws`: every watched user, unless the client narrows it."""
    async with entered(websocket) as known:
        if known is not None:
            await SeedsSocket(websocket, *known, only=None).run()


class SeedsSocket:
    """Follows whoever is watched and wanted, at every moment."""

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
        watching = self._viewer.watching
        watching.listeners.append(self._watch_changed)
        try:
            await until_closed(
                self._receive, self._follow, lambda: recheck(self._connection, self._viewer, self._principal)
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
                self._users = _ids(message.get("user_ids"))
                self._types = _words(message.get("event_types"))
                self._changed.set()

    async def _follow(self) -> None:
        """Have one task per user who is watched and wanted."""
        while True:
            self._changed.clear()
            watched = {watch.user_id for watch in self._viewer.watching.running()}
            wanted = watched if self._users is None else watched & self._users
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

    async def _send_messages(self, user_id: str) -> None:
        if not await self._noted(user_id):
            return
        subscription = Subscription(user_id, self._viewer.hub.limits)
        messages = SeedsMessages(user_id)
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
        watch = self._viewer.watching.watch_of(user_id)
        reason = watch.reason if watch else None
        try:
            await self._viewer.look(self._websocket, "live_opened", user_id=user_id, reason=reason)
        except Problem:
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._changed.set)
            return False
        return True

    def _watch_changed(self, change: Change) -> None:
        self._changed.set()


def _ids(values: Any) -> frozenset[str] | None:
    return frozenset(user_id for value in _some(values) if (user_id := id_or_none(value))) or None


def _words(values: Any) -> frozenset[str] | None:
    return frozenset(value for value in _some(values) if isinstance(value, str)) or None


def _some(values: Any) -> Iterable[Any]:
    return values[:_MAX_FILTER] if isinstance(values, list) else ()
