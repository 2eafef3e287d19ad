"""An ASGI application behind a real uvicorn in a thread of this process: real sockets, and spans within reach."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import uvicorn

from tests.support.poll import eventually
from tests.support.ports import quick_listener


class Told:
    """Wakes a server that is to stop. uvicorn would look for itself, ten times a second."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def now(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._stop.set)

    def main_loop_of(self, server: uvicorn.Server) -> Callable[[], Coroutine[Any, Any, None]]:
        async def main_loop() -> None:
            self._loop = asyncio.get_running_loop()
            for tick in count():
                if await server.on_tick(tick):
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), 0.1)

        return main_loop


@contextmanager
def serving(
    app: Any, *, make_server: Callable[[uvicorn.Config], uvicorn.Server] = uvicorn.Server, **options: Any
) -> Iterator[str]:
    """The address, like `127.0.0.1:4711`, while the application is served."""
    listener = quick_listener(0)
    config = uvicorn.Config(
        app, log_config=None, lifespan="on", timeout_graceful_shutdown=2, ws="websockets-sansio", **options
    )
    server = make_server(config)
    told = Told()

    async def serve() -> None:
        server.main_loop = told.main_loop_of(server)  # type: ignore[method-assign]
        await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="test-uvicorn", daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive())
        assert server.started, "uvicorn did not start"
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        told.now()
        thread.join(10)
        listener.close()
