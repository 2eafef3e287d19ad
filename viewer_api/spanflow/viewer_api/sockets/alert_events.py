"""Events of alerts, for a client of the live socket that asked for them."""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.requests import HTTPConnection

from spanflow.viewer_api.alerts.messages import event_document
from spanflow.viewer_api.alerts.rule_store import Event
from spanflow.viewer_api.auth.permissions import Principal, Right, allowed
from spanflow.viewer_api.http.problems import forbidden
from spanflow.viewer_api.live import messages
from spanflow.viewer_api.sockets.transport import Transport
from spanflow.viewer_api.viewer import Viewer

#: A client that does not read so many reads them from the API.
_MAX_WAITING: Final = 1000


class AlertEvents:
    """Silent until it is asked for."""

    def __init__(self, connection: HTTPConnection, line: Transport, viewer: Viewer, principal: Principal) -> None:
        self._connection = connection
        self._line = line
        self._viewer = viewer
        self._principal = principal
        self._wanted = False
        self._waiting: asyncio.Queue[Event] = asyncio.Queue(_MAX_WAITING)

    async def subscribe(self) -> None:
        """Send events from now on; `Problem` for who may not see them."""
        if not allowed(self._principal, Right.MONITOR):
            await self._viewer.denied(self._connection, "alerts_followed")
            raise forbidden(f"You need the right {Right.MONITOR} for this.")
        await self._viewer.record_access(self._connection, "alerts_followed")
        if not self._wanted:
            await self._viewer.alerts.feed.listen(self._heard)
            self._wanted = True
        await self._line.send(messages.message("subscribed", alerts=True))

    async def unsubscribe(self) -> None:
        if self._wanted:
            self._stop()
            await self._line.send(messages.message("unsubscribed", alerts=True, reason="requested"))

    async def run(self) -> None:
        """Tell the client, until the connection ends."""
        try:
            while True:
                event = await self._waiting.get()
                if self._wanted:
                    await self._line.send(messages.message("alert", alert=event_document(event)))
        finally:
            self._stop()

    def _stop(self) -> None:
        self._wanted = False
        self._viewer.alerts.feed.leave(self._heard)

    def _heard(self, event: Event) -> None:
        visible, about = self._principal.visible, event.rule.definition.user_ids
        if visible is None or (about is not None and visible.issuperset(about)):
            with suppress(asyncio.QueueFull):
                self._waiting.put_nowait(event)
