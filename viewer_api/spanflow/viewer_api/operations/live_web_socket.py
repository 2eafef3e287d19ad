"""WebSockets as uvicorn serves them, with limits on what a client may cost that is not signed in yet."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

#: What one read brings is parsed in slices of so many bytes: 256 KB may be forty thousand frames.
_SLICE: Final = 4096
#: Frames that a client may send at once, and in a second after that, of whatever kind and size.
_FRAMES: Final = 500
_FRAMES_PER_SECOND: Final = 100.0
#: A client that takes nothing for so long is dropped.
_STUCK_SECONDS: Final = 30.0


class LiveWebSocket(WebSocketsSansIOProtocol):
    """Lets live clients, who mostly get the same, be written to without a task that wakes for each.

    A client that sends frame after frame is closed, whatever they are: pings and parts of messages cost as much. So the
    answers to pings that it does not read are few until it is dropped.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._frames = float(_FRAMES)
        self._counted_at = self.loop.time()
        self._ended = False
        self._stuck: asyncio.TimerHandle | None = None

    def write_at_once(self, frame: bytes) -> bool:
        """Write a whole frame; False when the client cannot take it at this moment, or never again."""
        ready = self.handshake_complete and not self.close_sent and self.writable.is_set()
        if not ready or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def data_received(self, data: bytes) -> None:
        for part in _slices(data):
            if self.transport.is_closing():
                return
            super().data_received(part)

    def handle_cont(self, event: Frame) -> None:
        if self._takes_frame():
            super().handle_cont(event)

    def handle_text(self, event: Frame) -> None:
        if self._takes_frame():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._takes_frame():
            super().handle_bytes(event)

    def handle_pong(self, event: Frame) -> None:
        if self._takes_frame():
            super().handle_pong(event)

    def handle_ping(self) -> None:
        if self._takes_frame():
            super().handle_ping()

    def _takes_frame(self) -> bool:
        """False when the client has sent too many, and is closed."""
        if self.close_sent or self.transport.is_closing():
            return False
        now = self.loop.time()
        self._frames = min(_FRAMES, self._frames + (now - self._counted_at) * _FRAMES_PER_SECOND)
        self._counted_at = now
        if self._frames >= 1.0:
            self._frames -= 1.0
            return True
        self.conn.fail(CloseCode.POLICY_VIOLATION, "too many frames")
        self.handle_parser_exception()
        return False

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        # To the application it is a client that has left, not a mistake of its own to go on writing.
        self._ended = True

    async def send(self, message: Any) -> None:
        if self._ended:
            raise ClientDisconnected
        await super().send(message)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(_STUCK_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._take_again()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._take_again()
        super().connection_lost(exc)

    def _take_again(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


def _slices(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _SLICE):
        yield data[start : start + _SLICE]
