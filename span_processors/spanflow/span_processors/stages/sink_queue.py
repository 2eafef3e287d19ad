"""The bounded queue in front of a sink, with the accounting of everything that goes through it."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from spanflow.span_processors.clock import Clock
from spanflow.span_processors.stages.counters import StageCounts, Tally
from spanflow.span_processors.stages.lag import Lag
from spanflow.span_processors.stages.sink import Receipt, SinkLimits

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Items that a thread has taken from the queue. They count as waiting until they are settled."""

    items: list[T]
    size: int = 0


class SinkQueue(Generic[T]):
    """Any number of threads put items in, take them out in batches and settle what became of each batch.

    `changed` guards everything and is notified of every change; methods whose names end in `_locked` are called while
    it is held. `crowded` shares its lock and is notified when more waits than `set_aside_from` of the bounds.

    Fork: a child makes a new one; what waits in its copy is the parent's to deliver.
    """

    #: The part of the bounds that items which may be refused leave free for those that should not be.
    _RESERVED: Final = 0.2

    def __init__(
        self,
        sizes: Callable[[Sequence[T]], list[int]],
        limits: SinkLimits,
        clock: Clock,
    ) -> None:
        self._sizes = sizes
        self._max_items = limits.max_items
        self._max_bytes = limits.max_bytes
        self._crowded_from = limits.set_aside_from
        self._clock = clock
        lock = threading.Lock()
        self.changed = threading.Condition(lock)
        self.crowded = threading.Condition(lock)
        self._entries: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._in_hand = 0
        self._tally = Tally()
        self._lag = Lag()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """What waits and what is in hand."""
        return self._bytes

    @property
    def finished(self) -> int:
        """Items that have been delivered or lost so far."""
        return self._tally.delivered + sum(self._tally.dropped.values())

    @property
    def accepted(self) -> int:
        return self._tally.accepted

    def is_crowded_locked(self) -> bool:
        share = self._crowded_from
        return len(self._entries) > self._max_items * share or self._bytes > self._max_bytes * share

    def has_room_locked(self, share: float) -> bool:
        """Whether this part of the bounds is free."""
        used = 1 - share
        return len(self._entries) + self._in_hand <= self._max_items * used and self._bytes <= self._max_bytes * used

    # -- in ------------------------------------------------------------------------------------------------------------

    def offer_locked(self, items: Sequence[T], sizes: list[int], refusable: Callable[[T], bool] | None) -> Batch[T]:
        """Queue what fits. The rest comes back as a batch in the caller's hand, to be settled."""
        self._tally.accepted += len(items)
        waiting = len(self._entries) + self._in_hand
        size = sum(sizes)
        if self._all_fit(len(items), size):
            self._entries.extend(zip(items, sizes, strict=True))
            self._bytes += size
            refused: Batch[T] = Batch([])
        else:
            refused = self._queue_what_fits(items, sizes, refusable)
        self._lag.queued(len(items) - len(refused.items), waiting, self._clock.monotonic())
        self.changed.notify_all()
        if self.is_crowded_locked():
            self.crowded.notify()
        return refused

    def _all_fit(self, number: int, size: int) -> bool:
        share = 1 - self._RESERVED
        return (
            len(self._entries) + self._in_hand + number <= self._max_items * share
            and self._bytes + size <= self._max_bytes * share
        )

    def _queue_what_fits(
        self, items: Sequence[T], sizes: Sequence[int], refusable: Callable[[T], bool] | None
    ) -> Batch[T]:
        refused: list[T] = []
        refused_bytes = 0
        room = self._max_items - self._in_hand
        for item, size in zip(items, sizes, strict=True):
            share = 1 - self._RESERVED if refusable is not None and refusable(item) else 1.0
            if (
                len(self._entries) < room - self._max_items * (1 - share)
                and self._bytes + size <= self._max_bytes * share
            ):
                self._entries.append((item, size))
                self._bytes += size
            else:
                refused.append(item)
                refused_bytes += size
        # Only now: what does not fit must not take the room of what follows and does.
        self._in_hand += len(refused)
        self._bytes += refused_bytes
        return Batch(refused, refused_bytes)

    def refuse_locked(self, number: int, reason: str) -> None:
        """Count what is turned away at the door."""
        self._tally.refuse(reason, number)

    # -- out -----------------------------------------------------------------------------------------------------------

    def take_locked(self, most: int, most_bytes: int) -> Batch[T]:
        """The oldest items, as many as go at once."""
        entries = self._entries
        if len(entries) <= most and not self._in_hand and self._bytes <= most_bytes:
            batch = Batch([item for item, _ in entries], self._bytes)
            entries.clear()
        else:
            items: list[T] = []
            taken = 0
            while entries and len(items) < most and taken < most_bytes:
                item, size = entries.popleft()
                items.append(item)
                taken += size
            batch = Batch(items, taken)
        self._in_hand += len(batch.items)
        return batch

    def settle(self, batch: Batch[T], receipt: Receipt[T]) -> None:
        """Count what became of a batch; what is to be offered again stands first in the queue."""
        with self.changed:
            self.settle_locked(batch, receipt)

    def settle_locked(self, batch: Batch[T], receipt: Receipt[T]) -> None:
        if receipt.again:
            sizes = self._sizes(receipt.again)
            self._entries.extendleft(zip(reversed(receipt.again), reversed(sizes), strict=True))
            self._bytes += sum(sizes)
        self._bytes -= batch.size
        self._in_hand -= len(batch.items)
        self._tally.delivered += receipt.delivered
        for reason, number in receipt.dropped.items():
            self._tally.dropped[reason] += number
        self.changed.notify_all()

    # -- any thread ----------------------------------------------------------------------------------------------------

    @property
    def lost(self) -> int:
        return sum(self._tally.dropped.values())

    def counts(self) -> StageCounts:
        with self.changed:
            waiting = len(self._entries) + self._in_hand
            return replace(
                self._tally.read(waiting, self._bytes),
                capacity=self._max_items,
                lag=self._lag.seconds(waiting, self._clock.monotonic()),
            )
