"""A TCP proxy between a client and its server, to make the line between them misbehave."""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.ports import quick_listener


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
        self._listener: socket.socket | None = None
        self._tasks: dict[asyncio.Task[None], socket.socket] = {}
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
        self._call(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def cut(self) -> None:
        """Break every connection and refuse new ones, as a server that is down does."""
        self._call(self._stop_listening)
        self.drop_connections()

    def drop_connections(self) -> None:
        """Break the connections that are open now; new ones are welcome."""
        self._await(self._abort())

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
        self._call(self._listen)

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

    # Not asyncio's own server: closed at the wrong moment, it forgets connections that it has accepted.
    def _listen(self) -> None:
        if self._listener is None:
            self._listener = quick_listener(self.port)
            self._listener.setblocking(False)
            self.port = self._listener.getsockname()[1]
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:  # it is gone already
            return
        connection.setblocking(False)
        self.accepted += 1
        task = self._loop.create_task(self._serve(connection))
        self._tasks[task] = connection
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        # The task has closed it, unless it was cancelled before its first step.
        self._tasks.pop(task).close()

    async def _abort(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, connection: socket.socket) -> None:
        self.open += 1
        sides: list[asyncio.StreamWriter] = []
        pumps: list[asyncio.Task[None]] = []
        try:
            reader, writer = await asyncio.open_connection(sock=connection)
            sides.append(writer)
            answers, upstream = await asyncio.open_connection(*self._upstream)
            sides.append(upstream)
            pumps = [
                asyncio.create_task(self._pump(reader, upstream, shaped=False)),
                asyncio.create_task(self._pump(answers, writer, shaped=True)),
            ]
            await asyncio.gather(*pumps)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            for pump in pumps:
                pump.cancel()
            for side in sides:
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
