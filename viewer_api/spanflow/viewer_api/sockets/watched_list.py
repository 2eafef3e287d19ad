"""Who is watched, for a client of the live socket that asked for it: once the whole list, then what changes."""

import asyncio
from typing import Final

from starlette.requests import HTTPConnection

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.problems import forbidden
from spanflow.viewer_api.live import messages
from spanflow.viewer_api.monitoring.own_access import knows_watches
from spanflow.viewer_api.monitoring.watch_documents import watch_documents
from spanflow.viewer_api.monitoring.watching import Change
from spanflow.viewer_api.sockets.transport import Transport
from spanflow.viewer_api.viewer import Viewer

#: One call may change hundreds of watches: changes are collected this long before the client is notified.
_COALESCE_SECONDS: Final = 0.05


class WatchedList:
    """Silent until it is asked for. Holds one change per user, the last, so it is bounded by the watched users."""

    def __init__(self, connection: HTTPConnection, line: Transport, viewer: Viewer, principal: Principal) -> None:
        self._connection = connection
        self._line = line
        self._viewer = viewer
        self._principal = principal
        self._wanted = False
        self._complete = False
        self._changes: dict[str, Change] = {}
        self._news = asyncio.Event()

    async def subscribe(self) -> None:
        """Send the list, now and whenever it changes; `Problem` for who may not see it."""
        if not knows_watches(self._principal):
            await self._viewer.denied(self._connection, "monitoring_followed")
            raise forbidden(f"You need the right '{Right.MONITOR}' for this.")
        await self._viewer.record_access(self._connection, "monitoring_followed")
        self._wanted, self._complete = True, True
        self._news.set()

    async def unsubscribe(self) -> None:
        if self._wanted:
            self._wanted = False
            self._changes.clear()
            await self._line.send(messages.message("unsubscribed", monitoring=True, reason="requested"))

    async def run(self) -> None:
        """Tell the client, until the connection ends."""
        watching = self._viewer.watching
        watching.listeners.append(self._changed)
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                if self._wanted:
                    await self._tell()
                await asyncio.sleep(_COALESCE_SECONDS)
        finally:
            watching.listeners.remove(self._changed)

    def _changed(self, change: Change) -> None:
        if self._wanted and not change.expiring and self._principal.sees(change.user_id):
            self._changes[change.user_id] = change
            self._news.set()

    async def _tell(self) -> None:
        viewer, complete = self._viewer, self._complete
        changes, self._changes, self._complete = self._changes, {}, False
        if complete:
            watches = [watch for watch in viewer.watching.running() if self._principal.sees(watch.user_id)]
        else:
            watches = [change.watch for change in changes.values() if change.watch is not None]
        ended = [] if complete else [change for change in changes.values() if change.watch is None]
        shown = await watch_documents(viewer.users, watches, viewer.clock())
        ended_watches = [{"user_id": shown_id(change.user_id), "reason": change.why} for change in ended]
        # Asked for again, or not any more, while names were looked up.
        if self._wanted:
            await self._line.send(
                messages.message("monitoring", complete=complete, monitored_users=shown, ended=ended_watches)
            )
