"""Time as the pipeline sees it, so that tests can bring their own."""

import time
from typing import Protocol


class Clock(Protocol):
    """Deadlines and waits use `monotonic`; only what people read or other machines compare uses `time_ns`."""

    def monotonic(self) -> float: ...

    def time_ns(self) -> int: ...


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    time_ns = staticmethod(time.time_ns)
