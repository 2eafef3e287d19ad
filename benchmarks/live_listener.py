"""A client of the live socket that only notes when something came; what it was is looked at afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson

from tests.support.live_watchers import Watcher, handshake
from tests.support.poll import eventually_async


@dataclass(frozen=True, slots=True)
class Heard:
    """One event, by two clocks of one machine."""

    made_ns: int
    heard_ns: int

    @property
    def delay_ns(self) -> int:
        return self.heard_ns - self.made_ns


class Listener(Watcher):
    def __init__(self, hello: bytes) -> None:
        super().__init__(hello)
        self._came: list[tuple[int, bytes]] = []

    def data_received(self, data: bytes) -> None:
        self._came.append((time.time_ns(), data))
        if not self.opened.done():
            self.opened.set_result(None)

    def count(self, what: bytes) -> int:
        """How often this stands in all that came."""
        return b"".join(data for _, data in self._came).count(what)

    def ended(self) -> int:
        """Spans whose end came."""
        return self.count(b'"phase":"end"')

    def heard(self) -> list[Heard]:
        found = []
        for at_ns, text in self._messages():
            for event in orjson.loads(text).get("events", ()):
                made = event["end_ns" if event["phase"] == "end" else "start_ns"]
                found.append(Heard(int(made), at_ns))
        return found

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        """Each text frame, and when its last byte came."""
        rest = b""
        for at_ns, data in self._came:
            rest += data
            if rest.startswith(b"HTTP/"):
                head, _, rest = rest.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 101"), head
            while (length := _length(rest)) is not None and len(rest) >= sum(length):
                head_bytes, body_bytes = length
                yield at_ns, rest[head_bytes : head_bytes + body_bytes]
                rest = rest[head_bytes + body_bytes :]


def _length(frame: bytes) -> tuple[int, int] | None:
    """Bytes of a frame's head and of its body; None while the head is not there. Servers mask nothing."""
    if len(frame) < 2:
        return None
    more = {126: 2, 127: 8}.get(frame[1], 0)
    if len(frame) < 2 + more:
        return None
    return 2 + more, int.from_bytes(frame[2 : 2 + more], "big") if more else frame[1]


@asynccontextmanager
async def listening(address: str, token: str, user_id: str) -> AsyncIterator[Listener]:
    """A socket that follows a user, once it follows."""
    host, _, port = address.partition(":")
    loop = asyncio.get_running_loop()
    _, listener = await loop.create_connection(lambda: Listener(handshake(address, token)), host, int(port))
    try:
        await listener.opened
        listener.say({"type": "subscribe", "user_id": user_id, "reason": "benchmark"})
        await eventually_async(lambda: listener.count(b'"type":"events"'), within=10)
        yield listener
    finally:
        listener.transport.abort()
