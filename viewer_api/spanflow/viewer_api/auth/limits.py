"""Rate and concurrency limits of signed-in users: token buckets, and slots for requests and sockets."""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.http.problems import too_many_at_once, too_many_requests, too_many_sockets

_MOST: Final = 10_000


class TokenBuckets:
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


#: No request waits longer than this, in seconds, or in a longer queue.
_PATIENCE: Final = 10.0
_MOST_WAITING: Final = 200


class TooManyConcurrent(Exception):
    """The line is too long, or does not move."""


@dataclass
class _Line:
    places: asyncio.Semaphore
    present: int = 0


class ConcurrencyLimiter:
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
        """Hold one of this person's slots while the block runs; `TooManyConcurrent` if none gets free."""
        line = self._lines.setdefault(who, _Line(asyncio.Semaphore(self._at_once)))
        if line.present >= self._at_once + _MOST_WAITING:
            raise TooManyConcurrent
        line.present += 1
        try:
            try:
                async with asyncio.timeout(self._patience):
                    await line.places.acquire()
            except TimeoutError:
                raise TooManyConcurrent from None
            try:
                yield
            finally:
                line.places.release()
        finally:
            line.present -= 1
            if not line.present:
                del self._lines[who]


_BURST_SECONDS: Final = 10.0


class RateLimits:
    """Requests by the second and at once, and sockets at once."""

    def __init__(
        self,
        requests_per_second: float,
        sockets: int,
        requests_at_once: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        burst = max(1.0, requests_per_second * _BURST_SECONDS)
        self._requests = TokenBuckets(requests_per_second, burst, monotonic)
        self._turns = ConcurrencyLimiter(requests_at_once)
        self._most_sockets = sockets
        self._sockets: Counter[Hashable] = Counter()
        #: Requests and sockets that were refused since the process began.
        self.refused = 0

    def request(self, principal: Principal) -> None:
        """`Problem` when there were too many."""
        wait = self._requests.take(_who(principal))
        if wait > 0:
            self.refused += 1
            raise too_many_requests(wait)

    @asynccontextmanager
    async def turn(self, principal: Principal) -> AsyncIterator[None]:
        """The place of one request while it is worked on. It waits for it; `Problem` when it comes to nothing."""
        try:
            async with self._turns.turn(_who(principal)):
                yield
        except TooManyConcurrent:
            self.refused += 1
            raise too_many_at_once() from None

    @contextmanager
    def socket(self, principal: Principal) -> Iterator[None]:
        """A place for one socket, or one endless answer, for as long as it is open; `Problem` when all are taken."""
        who = _who(principal)
        if self._sockets[who] >= self._most_sockets:
            self.refused += 1
            raise too_many_sockets(self._most_sockets)
        self._sockets[who] += 1
        try:
            yield
        finally:
            self._sockets[who] -= 1
            if not self._sockets[who]:
                del self._sockets[who]


def _who(principal: Principal) -> Hashable:
    # A name alone may be that of several people.
    return principal.origin, principal.name, principal.user_id
