"""How often somebody may do something: a bucket of permits each, which fills up again."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

_MOST: Final = 10_000


class Buckets:
    """At most `burst` permits at once and `per_second` after that, for each key.

    The memory is bounded: of too many keys, the one that was quiet longest is forgotten.
    """

    def __init__(self, per_second: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._monotonic = monotonic
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, key: Hashable) -> float:
        """Seconds until there is a permit; 0 when there is one."""
        return max(0.0, (1.0 - self._permits(key, self._monotonic())) / self._per_second)

    def take(self, key: Hashable) -> float:
        """Take a permit; or else the seconds until there is one."""
        now = self._monotonic()
        permits = self._permits(key, now)
        if permits < 1.0:
            return (1.0 - permits) / self._per_second
        self._buckets[key] = (permits - 1.0, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        return 0.0

    def _permits(self, key: Hashable, now: float) -> float:
        permits, since = self._buckets.get(key, (self._burst, now))
        return min(self._burst, permits + (now - since) * self._per_second)
