"""An ASGI application behind a real uvicorn in a thread of this process: real sockets, and spans within reach."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.support.poll import eventually
from tests.support.ports import quick_listener


class QuickAsyncio:
    """asyncio as uvicorn's server sees it. It looks whether it is to stop ten times a second, and waits as long again
    when it is; over all tests that is more than a minute."""

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


setattr(uvicorn.server, "asyncio", QuickAsyncio())  # noqa: B010


@contextmanager
def serving(
    app: Any, *, make_server: Callable[[uvicorn.Config], uvicorn.Server] = uvicorn.Server, **options: Any
) -> Iterator[str]:
    """The address, like `127.0.0.1:4711`, while the application is served."""
    listener = quick_listener(0)
    config = uvicorn.Config(
        app, log_config=None, lifespan="on", timeout_graceful_shutdown=2, **{"ws": "websockets-sansio", **options}
    )
    server = make_server(config)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])), name="test-uvicorn", daemon=True
    )
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive())
        assert server.started, "uvicorn did not start"
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
