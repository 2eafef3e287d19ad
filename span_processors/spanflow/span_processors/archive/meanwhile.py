"""Work for the time in which the event loop would only wait."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def meanwhile(step: Callable[[], bool]) -> Iterator[None]:
    """Call `step` between whatever else the running loop has to do, until it returns False or the block is left.

    Each call holds up the loop for as long as it takes, so a step should be a small one.
    """
    loop = asyncio.get_running_loop()
    handle: asyncio.Handle

    def again() -> None:
        nonlocal handle
        if step():
            handle = loop.call_soon(again)

    handle = loop.call_soon(again)
    try:
        yield
    finally:
        handle.cancel()
