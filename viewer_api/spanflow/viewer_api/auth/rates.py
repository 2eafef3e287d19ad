"""How much one signed-in person or token may ask of a viewer process."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from spanflow.viewer_api.auth.buckets import Buckets
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.auth.turns import NoTurn, Turns
from spanflow.viewer_api.problems import too_many_at_once, too_many_requests, too_many_sockets

_BURST_SECONDS: Final = 10.0


class Rates:
    """Requests by the second and at once, and sockets at once."""

    def __init__(
        self,
        requests_per_second: float,
        sockets: int,
        requests_at_once: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        burst = max(1.0, requests_per_second * _BURST_SECONDS)
        self._requests = Buckets(requests_per_second, burst, monotonic)
        self._turns = Turns(requests_at_once)
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
        except NoTurn:
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
