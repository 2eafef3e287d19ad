"""A TCP proxy between a client and its server, to make the line between them misbehave."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


class TcpProxy:
    """Forwards one loopback port to `upstream`, a URL such as `redis://127.0.0.1:6379/0` or plain `host:port`.

    `url` is the upstream's URL with this proxy's address in it. All methods may be called from any thread and have
    taken effect when they return. `restore` ends every misbehaviour.
    """

    host = "127.0.0.1"

    def __init__(self, upstream: str) -> None:
        self._upstream_text = upstream
        parts = urlsplit(upstream if "://" in upstream else f"tcp://{upstream}")
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"the proxied address needs a host and a port: {upstream!r}")
        self._upstream = (parts.hostname, parts.port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tcp-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0
        self._bytes_per_s: float | None = None
        self.port = 0
        #: Connections accepted so far.
        self.accepted = 0
        #: Connections open now.
        self.open = 0

    @property
    def url(self) -> str:
        upstream = f"{self._upstream[0]}:{self._upstream[1]}"
        return self._upstream_text.replace(upstream, f"{self.host}:{self.port}", 1)

    def __enter__(self) -> Self:
        self._thread.start()
        self._await(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._await(self._stop_listening())
        self._call(self._abort_all)
        self._await(self._until_idle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def cut(self) -> None:
        """Break every connection and refuse new ones, as a server that is down does."""
        self._await(self._stop_listening())
        self._call(self._abort_all)

    def drop_connections(self) -> None:
        """Break the connections that are open now; new ones are welcome."""
        self._call(self._abort_all)

    def half_open(self) -> None:
        """Accept connections and bytes, answer nothing: a peer that vanished without a word."""
        self._call(self._flowing.clear)

    def delay(self, seconds: float) -> None:
        """Let every piece of an answer arrive that much later."""
        self._delay = seconds

    def drip(self, bytes_per_s: float) -> None:
        """Let answers trickle at this pace."""
        self._bytes_per_s = bytes_per_s

    def restore(self) -> None:
        """An honest line again, on the same port. What was held back flows on."""
        self._delay = 0.0
        self._bytes_per_s = None
        self._call(self._flowing.set)
        self._await(self._listen())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _await(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=10)

    def _call(self, action: Callable[[], None]) -> None:
        done: Future[None] = Future()

        def run() -> None:
            action()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result(timeout=10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _abort_all(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _until_idle(self) -> None:
        self._flowing.set()
        current = asyncio.current_task()
        rest = [task for task in asyncio.all_tasks() if task is not current]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        self._writers.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            answers, upstream = await asyncio.open_connection(*self._upstream)
            self._writers.add(upstream)
            there = asyncio.create_task(self._pump(reader, upstream, shaped=False))
            back = asyncio.create_task(self._pump(answers, writer, shaped=True))
            await asyncio.gather(there, back)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            for side in (writer, upstream):
                if side is not None:
                    self._writers.discard(side)
                    side.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, shaped: bool) -> None:
        try:
            while chunk := await reader.read(65536):
                await self._flowing.wait()
                if shaped:
                    await self._send_shaped(writer, chunk)
                else:
                    writer.write(chunk)
                    await writer.drain()
            await self._flowing.wait()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            writer.transport.abort()

    async def _send_shaped(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        while chunk:
            pace = self._bytes_per_s
            size = len(chunk) if pace is None else max(1, int(pace / 20))
            writer.write(chunk[:size])
            await writer.drain()
            chunk = chunk[size:]
            if pace is not None:
                await asyncio.sleep(size / pace)
