"""A clock that goes as the system's does, and ahead of it when a test tells it to."""

from spanflow.span_processors.clock import SystemClock


class SteppedClock(SystemClock):
    """`step` moves both of its times."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def time_ns(self) -> int:
        return super().time_ns() + int(self._ahead * 1e9)

    def step(self, seconds: float) -> None:
        self._ahead += seconds
