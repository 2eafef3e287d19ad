"""Stops asking a server that does not answer, and probes it again after a growing, jittered pause."""

import random
from collections.abc import Callable
from typing import Final, Literal

from spanflow.span_processors.clock import Clock, SystemClock

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Closed: everything passes. Open: nothing passes until `probe_at`. Half-open: one attempt decides.

    Used by one thread, the sink's own. The jitter keeps the processes of a fleet from coming back all at once.
    """

    _FIRST_PAUSE: Final = 0.1

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        longest_pause: float = 5.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock or SystemClock()
        self._longest = longest_pause
        self._jitter = jitter
        self._failures = 0
        self._probe_at = 0.0
        #: Why it opened last; empty while it is closed.
        self.reason = ""

    @property
    def state(self) -> State:
        if not self._failures:
            return "closed"
        return "half_open" if self._clock.monotonic() >= self._probe_at else "open"

    def allows(self) -> bool:
        """May the server be asked now?"""
        return not self._failures or self._clock.monotonic() >= self._probe_at

    def pause(self) -> float:
        """Seconds until the server may be asked again; 0 when it may be asked now."""
        return max(0.0, self._probe_at - self._clock.monotonic()) if self._failures else 0.0

    def failed(self, reason: str) -> None:
        pause = min(self._longest, self._FIRST_PAUSE * 2 ** min(self._failures, 16))
        self._failures += 1
        self._probe_at = self._clock.monotonic() + pause * (0.5 + self._jitter() / 2)
        self.reason = reason

    def succeeded(self) -> None:
        self._failures = 0
        self._probe_at = 0.0
        self.reason = ""
