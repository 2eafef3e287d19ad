"""`/api/v1/live` as server-sent events: the same messages for `curl` and `EventSource`, without a way to change one's
mind. Each message with a cursor has an id, and `Last-Event-ID` goes on from there."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.live import messages
from spanflow.viewer_api.live.frames import Frame
from spanflow.viewer_api.live.subscription import Subscription
from spanflow.viewer_api.sockets import transport
from spanflow.viewer_api.sockets.client import Client
from spanflow.viewer_api.sockets.connection import MISTAKE, NORMAL, Closed
from spanflow.viewer_api.sockets.subscription_requests import SubscriptionRequest
from spanflow.viewer_api.viewer import Viewer

log = logging.getLogger(__name__)

MAX_TOPICS: Final = 20
_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),
    # nginx would collect what it passes on.
    (b"x-accel-buffering", b"no"),
)
#: A browser that was cut off waits so long before it comes back.
_RETRY_MS: Final = 2000
_CLOSE_SECONDS: Final = 1.5


class StreamLine:
    """Sends messages as events of one endless answer; one sender at a time, and nothing after its end."""

    def __init__(self, scope: Scope, send: Send, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._scope = scope
        self._send = send
        self._monotonic = monotonic
        self._sending = asyncio.Lock()
        self._sending_since: float | None = None
        self.closed = False

    async def begin(self) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        await self._write(b"retry: %d\n\n" % _RETRY_MS)

    async def send(self, data: bytes, at: Callable[[], str] | None = None) -> None:
        id = b"" if at is None else b"id: %b\n" % at().encode()
        await self._write(b"%bdata: %b\n\n" % (id, data))

    def send_at_once(self, frame: Frame) -> bool:
        """Never: each client's events have ids of its own."""
        return False

    async def heartbeat(self, seconds: float) -> None:
        """Comments keep proxies from taking silence for the end, and notice a client that is gone."""
        while True:
            await asyncio.sleep(seconds)
            await self._write(b": still here\n\n")

    async def close(self, code: int, why: str, detail: str, *, announced: bool = True, **fields: Any) -> None:
        if self.closed:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                if announced:
                    await self.send(messages.message("closing", code=why, detail=detail, **fields))
                await self._write(b"", last=True)
            transport.cut_later(self._scope)
        except TimeoutError:
            self.cut()
        except Closed:
            pass
        self.closed = True

    async def fail(self) -> None:
        log.exception("Internal error on an event stream")
        await self.close(MISTAKE, "internal_error", "Internal error; details are in the viewer's log.")

    def stuck_for(self) -> float:
        return 0.0 if self._sending_since is None else self._monotonic() - self._sending_since

    def cut(self) -> None:
        self.closed = True
        transport.cut(self._scope)

    async def _write(self, body: bytes, *, last: bool = False) -> None:
        async with self._sending:
            if self.closed:
                raise Closed
            self._sending_since = self._monotonic()
            try:
                await self._send({"type": "http.response.body", "body": body, "more_body": not last})
            except OSError:
                self.closed = True
                raise Closed from None
            finally:
                self._sending_since = None
            self.closed = self.closed or last


class EventStream(Response):
    """The answer. What may not be followed is refused before it begins."""

    def __init__(
        self,
        request: Request,
        viewer: Viewer,
        principal: Principal,
        wanted: Sequence[SubscriptionRequest],
        reason: str | None,
    ) -> None:
        super().__init__()
        self._request = request
        self._viewer = viewer
        self._principal = principal
        self._wanted = wanted
        self._reason = reason

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hub = self._viewer.hub
        stream = StreamLine(scope, send)
        client = Client(self._request, stream, self._viewer, self._principal)
        try:
            with hub.place(self._viewer.settings.viewer_max_sockets), self._viewer.rates.socket(self._principal):
                places = [await client.admitted(each, self._reason) for each in self._wanted]
                await self._serve(stream, client, places, receive)
        except Problem as problem:
            await problem.response()(scope, receive, send)

    async def _serve(
        self, stream: StreamLine, client: Client, places: Sequence[Subscription], receive: Receive
    ) -> None:
        beat = self._viewer.settings.viewer_heartbeat_seconds

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            stream.closed = True

        async def follow() -> None:
            for place in places:
                await client.follow(place)
            await client.until_nothing_is_left()
            await stream.close(NORMAL, "ended", "Nothing is left to follow.")

        try:
            await stream.begin()
            await client.run(gone, follow, lambda: stream.heartbeat(beat))
        except Closed:
            pass
        except Exception:
            await stream.fail()
        finally:
            with suppress(Closed):
                await stream.close(NORMAL, "requested", "", announced=False)
