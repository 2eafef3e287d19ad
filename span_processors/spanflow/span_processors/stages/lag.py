"""How far behind a stage is: the age of the oldest thing that waits in it."""

from collections import deque
from typing import Final

#: Arrivals are noted this often, not one by one; the age is right to within as much.
_SPACING: Final = 0.1


class Lag:
    """Notes when things were queued. Its owner guards it with the lock that guards the queue."""

    __slots__ = ("_marks", "_queued")

    def __init__(self) -> None:
        self._queued = 0
        #: From which number on things came at which time (monotonic).
        self._marks: deque[tuple[int, float]] = deque()

    def queued(self, number: int, now: float) -> None:
        """So many things have been put at the end of the queue."""
        if number and (not self._marks or now - self._marks[-1][1] >= _SPACING):
            self._marks.append((self._queued, now))
        self._queued += number

    def seconds(self, waiting: int, now: float) -> float:
        """The age of the oldest of the `waiting` things."""
        if not waiting:
            self._marks.clear()
            return 0.0
        finished = self._queued - waiting
        while len(self._marks) > 1 and self._marks[1][0] <= finished:
            self._marks.popleft()
        return max(0.0, now - self._marks[0][1]) if self._marks else 0.0
