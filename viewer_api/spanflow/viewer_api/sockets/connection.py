"""One accepted WebSocket: one sender at a time, nothing sent after it was closed, a client that is gone is noticed."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from spanflow.viewer_api.live import messages
from spanflow.viewer_api.live.frames import Frame
from spanflow.viewer_api.sockets import transport

log = logging.getLogger(__name__)

NORMAL: Final = 1000
RESTARTING: Final = 1012
TRY_LATER: Final = 1013
MISTAKE: Final = 1011
NOT_UNDERSTOOD: Final = 4400
NOT_SIGNED_IN: Final = 4401
FORBIDDEN: Final = 4403
NO_ANSWER: Final = 4408
RIGHTS_CHANGED: Final = 4409
SIGN_IN_AGAIN: Final = 4410
TOO_MANY: Final = 4429

_MAX_MESSAGE: Final = 64 * 1024
_CLOSE_SECONDS: Final = 1.5
_GONE = (WebSocketDisconnect, RuntimeError, OSError)


class Closed(Exception):
    """The socket is closed, by whichever side."""


class Refused(Exception):
    """What the client sent cannot be understood."""


class Connection:
    """Wraps an accepted socket."""

    def __init__(self, websocket: WebSocket, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._websocket = websocket
        self._monotonic = monotonic
        self._sending = asyncio.Lock()
        self._closed = False
        self._sending_since: float | None = None
        self._write_at_once = transport.writer_of(websocket.scope)
        self.heard_at = monotonic()

    async def send(self, data: bytes, at: Callable[[], str] | None = None) -> None:
        """Send one message; `Closed` when the client is gone. The message itself carries the client's cursor."""
        async with self._sending:
            if self._closed:
                raise Closed
            self._sending_since = self._monotonic()
            try:
                await self._websocket.send({"type": "websocket.send", "text": data.decode()})
            except _GONE:
                self._closed = True
                raise Closed from None
            finally:
                self._sending_since = None

    def send_at_once(self, frame: Frame) -> bool:
        """Send without waiting, if the client can take it at this moment and nothing is being sent."""
        if self._write_at_once is None or self._closed or self._sending.locked():
            return False
        return self._write_at_once(frame.wire)

    async def receive(self) -> dict[str, Any]:
        """The client's next message. `Refused` for what is no JSON object."""
        try:
            received = await self._websocket.receive()
        except _GONE:
            self._closed = True
            raise Closed from None
        if received["type"] == "websocket.disconnect":
            self._closed = True
            raise Closed
        self.heard_at = self._monotonic()
        text = received.get("text") or received.get("bytes") or b""
        if len(text) > _MAX_MESSAGE:
            raise Refused(f"a message may have at most {_MAX_MESSAGE} bytes")
        try:
            message = orjson.loads(text)
        except ValueError:
            raise Refused("a message must be JSON") from None
        if not isinstance(message, dict):
            raise Refused("a message must be a JSON object")
        return message

    async def fail(self) -> None:
        """End the socket because of a mistake of the viewer. Called where the exception is at hand."""
        log.exception("Internal error on a WebSocket")
        await self.close(MISTAKE, "internal_error", "Internal error; details are in the viewer's log.")

    def silent_for(self) -> float:
        """Seconds since the client was heard last."""
        return self._monotonic() - self.heard_at

    def stuck_for(self) -> float:
        """Seconds for which a message has been waiting for a client that does not read."""
        return 0.0 if self._sending_since is None else self._monotonic() - self._sending_since

    def cut(self) -> None:
        """Drop it at once, with what the client has not taken."""
        self._closed = True
        transport.cut(self._websocket.scope)

    async def close(self, code: int, why: str, detail: str, *, announced: bool = True, **fields: Any) -> None:
        """Say why, then close. Harmless when it is closed already, and never waits long for a client that is gone."""
        if self._closed:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                if announced:
                    await self.send(messages.message("closing", code=why, detail=detail, **fields))
                async with self._sending:
                    self._closed = True
                    with suppress(*_GONE):
                        await self._websocket.close(code, why)
            transport.cut_later(self._websocket.scope)
        except TimeoutError:
            self.cut()
        except Closed:
            pass
        self._closed = True
