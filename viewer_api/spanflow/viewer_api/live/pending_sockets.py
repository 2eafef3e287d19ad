"""Where sockets wait that have not said who they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TooManySockets(Exception):
    """The place is needed for another socket."""


class PendingSockets:
    """It has few places. When all are taken, the socket that has been silent longest is evicted: no client can block
    others by opening silent sockets, and a client with a credential needs a place only briefly."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._silent: dict[asyncio.Timeout, None] = {}

    def __len__(self) -> int:
        return len(self._silent)

    @asynccontextmanager
    async def place(self, seconds: float) -> AsyncIterator[None]:
        """A place for so long: `TimeoutError` after that, or `TooManySockets` before."""
        crowded = False
        try:
            async with asyncio.timeout(seconds) as patience:
                self._make_room()
                self._silent[patience] = None
                try:
                    yield
                finally:
                    crowded = patience not in self._silent
                    self._silent.pop(patience, None)
        except TimeoutError:
            if crowded:
                raise TooManySockets from None
            raise

    def _make_room(self) -> None:
        while len(self._silent) >= self._places:
            longest = next(iter(self._silent))
            del self._silent[longest]
            longest.reschedule(asyncio.get_running_loop().time())
