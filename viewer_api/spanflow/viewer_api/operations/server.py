"""The web server around a viewer: what strangers may cost it, and how it stops."""

import asyncio
import socket
from contextlib import suppress
from functools import partial
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spanflow.viewer_api.auth.remote import neighbourhood
from spanflow.viewer_api.operations.idle_connections import IdleConnections
from spanflow.viewer_api.operations.live_web_socket import LiveWebSocket
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

#: The largest message that a dashboard has reason to send.
_MAX_MESSAGE: Final = 256 * 1024
#: Address and headers of one request.
MAX_HEAD: Final = 64 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"
_HEAD_SECONDS: Final = 10.0
_BODY_SECONDS: Final = 30.0
#: A client that takes nothing of an answer for so long is dropped.
_STUCK_SECONDS: Final = 30.0
#: What one read brings is looked at in slices of so many bytes: the limits below hold in the middle of a read, too.
SLICE: Final = 4096
#: Headers of one request. Each costs every look-up time.
_MOST_HEADERS: Final = 256
#: Requests that may wait behind the one that is served. Browsers and proxies send the next one after the answer.
_MOST_PIPELINED: Final = 8
#: Pieces that a body may come in: so many, and then one per so many bytes.
_PIECES: Final = 1000
_BYTES_PER_PIECE: Final = 64
#: Connections that are no live sockets.
_OTHER_CONNECTIONS: Final = 1000


class TooManyPieces(Exception):
    """A request is made of more parts than any client has reason to send."""


class LimitedHttp(HttpToolsProtocol):
    """Ends connections whose requests have an endless head, or take for ever to arrive, or whose clients do not take
    what they asked for: they are not signed in yet."""

    def __init__(self, *arguments: Any, idle: IdleConnections | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._idle = IdleConnections() if idle is None else idle
        self._address = ""
        self._stuck: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        #: The end of what came before, which the end of the head may begin in.
        self._last = b""
        self._in_head = True
        self._patience: asyncio.TimerHandle | None = None
        self._pieces = self._body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._address = neighbourhood(peer[0]) if isinstance(peer, tuple) else ""
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._take_again()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE):
            # It may be a WebSocket by now, whose clients wait for the answer before they send more.
            if self.transport.is_closing() or self.transport.get_protocol() is not self:
                return
            self._slice_received(data[start : start + SLICE])

    def _slice_received(self, data: bytes) -> None:
        # Before it is parsed: a whole head may come at once.
        if self._in_head:
            near, self._last = self._last + data, data[-3:]
            end = near.find(_END_OF_HEAD)
            self._head_bytes += len(data) if end < 0 else end
            if self._head_bytes > MAX_HEAD:
                self.send_400_response("The head of this request is too large.")
                return
        super().data_received(data)

    # What these raise ends the parsing at once, and the connection with a 400.

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise TooManyPieces
        super().on_message_begin()
        self._pieces = self._body_bytes = 0
        self._wait_for_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= _MOST_HEADERS:
            raise TooManyPieces
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._pieces += 1
        self._body_bytes += len(body)
        if self._pieces > _PIECES + self._body_bytes / _BYTES_PER_PIECE:
            raise TooManyPieces
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._last = b""
        self._wait(_BODY_SECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        # Of a socket, this is the whole of the request, too.
        self._stop_waiting()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stuck is None:
            self._stuck = asyncio.get_running_loop().call_later(_STUCK_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._take_again()
        super().resume_writing()

    def _take_again(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and self._patience is None:
            self._be_idle()

    def _be_idle(self) -> None:
        # One Unix socket's clients cannot be told apart, and only the machine's own get there.
        if self._address:
            self._idle.add(self, self._address, self.transport.close)

    def _wait_for_head(self) -> None:
        self._in_head = True
        self._wait(_HEAD_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._patience = asyncio.get_running_loop().call_later(seconds, self.transport.close)
        self._be_idle()

    def _stop_waiting(self) -> None:
        self._idle.discard(self)
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def configured(app: FastAPI, settings: ViewerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.viewer_host,
        port=settings.viewer_port,
        http=partial(LimitedHttp, idle=IdleConnections()),  # type: ignore[arg-type]
        ws=LiveWebSocket,
        ws_max_size=_MAX_MESSAGE,
        # Frames are many and small, and each is sent to several clients: compressing costs more than it saves.
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        # The app believes forwarding headers only from the proxies that the settings name.
        proxy_headers=False,
        limit_concurrency=settings.viewer_max_sockets + _OTHER_CONNECTIONS,
    )


class ViewerServer(uvicorn.Server):
    """Takes its leave of the live clients, within the time that a stop may take, before connections are closed."""

    def __init__(self, config: uvicorn.Config, stop_seconds: float) -> None:
        super().__init__(config)
        self._stop_seconds = stop_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._stop_seconds
        # No new clients: a load balancer sends them elsewhere.
        for server in self.servers:
            server.close()
        viewer = getattr(self.config.app.state, "viewer", None)  # type: ignore[union-attr]
        if viewer is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._stop_seconds):
                    await viewer.hub.say_goodbye()
        self.config.timeout_graceful_shutdown = max(deadline - loop.time(), 0.1)  # type: ignore[assignment]
        await super().shutdown(sockets)
