"""Keeps a number of connections busy with one request each. Run as
`python -m benchmarks.load_client PORT SECONDS PATH CONNECTIONS`; prints one JSON object.

Not wrk, but the same for every variant. `busy` is the share of a core that it used itself: well below 1, it was the
server that set the pace.
"""

import asyncio
import sys
import time
from typing import Any

import orjson
import uvloop

_END = b'{"answer":"yes"}'


class Connection(asyncio.Protocol):
    """Sends the next request as soon as an answer is there."""

    def __init__(self, request: bytes, until: float) -> None:
        self._request = request
        self._until = until
        self._sent = 0.0
        self._answer = b""
        self.times: list[float] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked by type: uvloop's transports are no subclasses of asyncio's.
        self._transport: Any = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.endswith(_END):
            if not self._answer.startswith(b"HTTP/1.1 200") and not self.over.done():
                self.over.set_exception(RuntimeError(self._answer[:100].decode("latin-1")))
            return
        self._answer = b""
        now = time.perf_counter()
        self.times.append(now - self._sent)
        if now < self._until:
            self._ask()
        else:
            self._transport.close()
            self.over.set_result(None)

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def load(port: int, seconds: float, path: str, number: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
    begun, used = time.perf_counter(), time.process_time()
    connections = []
    for _ in range(number):
        _, connection = await loop.create_connection(lambda: Connection(request, begun + seconds), "127.0.0.1", port)
        connections.append(connection)
    await asyncio.gather(*(connection.over for connection in connections))
    passed, used = time.perf_counter() - begun, time.process_time() - used
    times = sorted(time for connection in connections for time in connection.times)
    return {
        "per_s": len(times) / passed,
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[int(len(times) * 0.99)] * 1000,
        "busy": used / passed,
    }


def main() -> None:
    port, seconds, path, number = sys.argv[1:]
    result = uvloop.run(load(int(port), float(seconds), path, int(number)))
    sys.stdout.write(orjson.dumps(result).decode() + "\n")


if __name__ == "__main__":
    main()
