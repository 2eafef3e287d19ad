"""Ctrl-C, SIGTERM and a closed terminal, noticed between two steps instead of in the middle of one."""

import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While the block runs, these signals only count. The first asks for a clean stop, the second for a quick one."""

    def __init__(self) -> None:
        self._count = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Handlers are set even where a shell started us with SIGINT ignored, as it does for `spanflow up &`.
        self._before = {number: signal.signal(number, self._noticed) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def requested(self) -> bool:
        return self._count > 0

    def hurried(self) -> bool:
        return self._count > 1

    def wait(self, seconds: float) -> bool:
        """Wait, but not longer than until a stop is requested; True when it is."""
        deadline = time.monotonic() + seconds
        while not self.requested() and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
        return self.requested()

    def _noticed(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
