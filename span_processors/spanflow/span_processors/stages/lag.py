"""How far behind a stage is: the age of the oldest thing that waits in it."""

from collections import deque
from typing import Final

#: Arrivals are noted this often, not one by one; the age is right to within as much.
_SPACING: Final = 0.1
#: With so many notes every second one goes: after minutes of waiting a tenth of a second says nothing.
_MOST_MARKS: Final = 1024


class Lag:
    """Notes when things were queued. Its owner guards it with the lock that guards the queue."""

    __slots__ = ("_marks", "_queued")

    def __init__(self) -> None:
        self._queued = 0
        #: From which number on things came at which time (monotonic).
        self._marks: deque[tuple[int, float]] = deque()

    def queued(self, number: int, waiting: int, now: float) -> None:
        """So many things have been put at the end of a queue in which `waiting` others waited."""
        if not number:
            return
        self._forget_finished(waiting)
        if not self._marks or now - self._marks[-1][1] >= _SPACING:
            if len(self._marks) >= _MOST_MARKS:
                self._marks = deque(list(self._marks)[::2])
            self._marks.append((self._queued, now))
        self._queued += number

    def seconds(self, waiting: int, now: float) -> float:
        """The age of the oldest of the `waiting` things."""
        self._forget_finished(waiting)
        return max(0.0, now - self._marks[0][1]) if self._marks else 0.0

    def _forget_finished(self, waiting: int) -> None:
        marks = self._marks
        if not waiting:
            marks.clear()
            return
        finished = self._queued - waiting
        while len(marks) > 1 and marks[1][0] <= finished:
            marks.popleft()
