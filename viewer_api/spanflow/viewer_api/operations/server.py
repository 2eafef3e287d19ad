"""The web server around a viewer: what strangers may cost it, and how it stops."""

import asyncio
import socket
from contextlib import suppress
from functools import partial
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from spanflow.viewer_api.auth.remote import neighbourhood
from spanflow.viewer_api.operations.idle_connections import IdleConnections
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
#: Connections that are no live sockets.
_OTHER_CONNECTIONS: Final = 1000


class LimitedHttp(HttpToolsProtocol):
    """Ends connections whose requests have an endless head, or take for ever to arrive, or whose clients do not take
    what they asked for: nobody is signed in yet."""

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
        # Before it is parsed: a whole head may come at once.
        if self._in_head and not self.transport.is_closing():
            near, self._last = self._last + data, data[-3:]
            end = near.find(_END_OF_HEAD)
            self._head_bytes += len(data) if end < 0 else end
            if self._head_bytes > MAX_HEAD:
                self.send_400_response("The head of this request is too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait_for_head()

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


class LiveWebSocket(WebSocketsSansIOProtocol):
    """Lets live clients, who mostly get the same, be written to without a task that wakes for each."""

    def write_at_once(self, frame: bytes) -> bool:
        """Write a whole frame; False when the client cannot take it at this moment, or never again."""
        ready = self.handshake_complete and not self.close_sent and self.writable.is_set()
        if not ready or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True


class ViewerServer(uvicorn.Server):
    """Takes its leave of the live clients, within the time that a stop may take, before connections are closed."""

    def __init__(self, config: uvicorn.Config, stop_seconds: float) -> None:
        super().__init__(config)
        self._stop_seconds = stop_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._stop_seconds
        # Nobody new: a balancer sends them elsewhere.
        for server in self.servers:
            server.close()
        viewer = getattr(self.config.app.state, "viewer", None)  # type: ignore[union-attr]
        if viewer is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._stop_seconds):
                    await viewer.hub.say_goodbye()
        self.config.timeout_graceful_shutdown = max(deadline - loop.time(), 0.1)  # type: ignore[assignment]
        await super().shutdown(sockets)
