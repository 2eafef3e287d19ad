"""How much of one person is worked on at once: more waits in line, so that others find room."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

#: Longer than this nobody waits, in seconds, nor in a longer line.
_PATIENCE: Final = 10.0
_MOST_WAITING: Final = 200


class NoTurn(Exception):
    """The line is too long, or does not move."""


@dataclass
class _Line:
    places: asyncio.Semaphore
    present: int = 0


class Turns:
    """One per viewer process. Nothing is kept of people who ask for nothing."""

    def __init__(self, at_once: int, patience: float = _PATIENCE) -> None:
        self._at_once = at_once
        self._patience = patience
        self._lines: dict[Hashable, _Line] = {}

    def __len__(self) -> int:
        """Of how many people something is worked on, or waits."""
        return len(self._lines)

    @asynccontextmanager
    async def turn(self, who: Hashable) -> AsyncIterator[None]:
        """Wait until it is this person's turn, and take it for as long as the block lasts; `NoTurn` when it does not
        come."""
        line = self._lines.setdefault(who, _Line(asyncio.Semaphore(self._at_once)))
        if line.present >= self._at_once + _MOST_WAITING:
            raise NoTurn
        line.present += 1
        try:
            try:
                async with asyncio.timeout(self._patience):
                    await line.places.acquire()
            except TimeoutError:
                raise NoTurn from None
            try:
                yield
            finally:
                line.places.release()
        finally:
            line.present -= 1
            if not line.present:
                del self._lines[who]
