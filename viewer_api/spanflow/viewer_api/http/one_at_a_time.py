"""Work that takes a second of the interpreter: one at a time, and what several wait for is done once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class OneAtATime:
    """Used in one event loop. The last result is kept only as long as others wait."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._last: tuple[object, bytes] | None = None

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            async with self._lock:
                yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._last = None

    async def shared(self, source: object, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """What `make` makes of `source`, or has just made of an equal one for another request."""
        last = self._last
        # In a thread: a source may be large.
        if last is not None and await asyncio.to_thread(lambda: last[0] == source):
            return last[1]
        made = await make()
        self._last = (source, made)
        return made
