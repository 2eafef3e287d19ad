"""Hundreds of clients of the live socket in one process, each of which does nothing but count."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson

#: It stands in every event once.
_MARK: Final = b'"phase"'


class Watcher(asyncio.Protocol):
    """Counts the events in what it is sent; parsing would cost more than serving."""

    def __init__(self, hello: bytes = b"", *, reads: bool = True) -> None:
        self._hello = hello
        self._reads = reads
        self._rest = b""
        self.events = 0
        self.lost = False
        self.opened = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self._hello:
            self.transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        self.events += data.count(_MARK)
        self._rest = data[-len(_MARK) + 1 :]
        if not self.opened.done():
            self.opened.set_result(None)
            if not self._reads:
                self.transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True

    def say(self, message: dict[str, Any]) -> None:
        """A text frame as a client sends it, masked with zeros."""
        body = orjson.dumps(message)
        assert len(body) < 126
        self.transport.write(bytes((0x81, 0x80 | len(body), 0, 0, 0, 0)) + body)


async def until_all_have(watchers: list[Watcher], events: int) -> None:
    async with asyncio.timeout(60):
        while min(watcher.events for watcher in watchers) < events:
            assert not any(watcher.lost for watcher in watchers), "the viewer let go of a watcher"
            await asyncio.sleep(0.002)


def handshake(address: str, token: str) -> bytes:
    """What opens a live socket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /api/v1/live HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()


@asynccontextmanager
async def watching(
    address: str, number: int, token: str, user_id: str, *, reads: bool = True
) -> AsyncIterator[list[Watcher]]:
    """So many sockets that follow the user."""
    host, _, port = address.partition(":")
    hello = handshake(address, token)
    loop = asyncio.get_running_loop()
    watchers: list[Watcher] = []
    try:
        for _ in range(number):
            _, watcher = await loop.create_connection(lambda: Watcher(hello, reads=reads), host, int(port))
            watchers.append(watcher)
            await watcher.opened
            watcher.say({"type": "subscribe", "user_id": user_id})
        yield watchers
    finally:
        for watcher in watchers:
            watcher.transport.abort()
