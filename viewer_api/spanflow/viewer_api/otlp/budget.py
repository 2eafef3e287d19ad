"""How many bytes of requests may be in work at once."""

from collections.abc import Iterator
from contextlib import contextmanager


class ByteBudget:
    """Used on the event loop only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    def take(self, size: int) -> bool:
        """False when there is not so much left. If nothing is in work, any size is allowed."""
        if self.taken and self.taken + size > self._most:
            return False
        self.taken += size
        return True

    def give(self, size: int) -> None:
        self.taken -= size


class Share:
    """What one request has taken."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> bool:
        """Take so many bytes in all; False when there are not enough left."""
        more = max(0, size - self.size)
        if more and not self._budget.take(more):
            return False
        self.size += more
        return True


@contextmanager
def share_of(budget: ByteBudget) -> Iterator[Share]:
    """A share that is given back at the end."""
    share = Share(budget)
    try:
        yield share
    finally:
        budget.give(share.size)
