"""Where encoded things go: a sink does the I/O, its runner owns the bounded queue, the thread and the accounting.

A sink that is slow or away holds up nobody else: each has a runner of its own.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, Protocol, TypeVar

from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.stages import counters
from spanflow.span_processors.stages.breaker import Breaker
from spanflow.span_processors.stages.counters import StageCounts, Tally
from spanflow.span_processors.stages.lag import Lag
from spanflow.span_processors.stages.own_thread import OwnThread

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Unavailable(Exception):
    """The server is away or refuses everything for now. The whole batch is offered again; nothing of it is lost."""


@dataclass(frozen=True, slots=True)
class Receipt(Generic[T]):
    """What became of a batch: every item is in exactly one of the three."""

    delivered: int
    #: Lost for good, by reason.
    dropped: Mapping[str, int] = field(default_factory=dict)
    #: To be offered again, before anything newer.
    again: Sequence[T] = ()
    #: Why the server as a whole did not take what is in `again`; it is then treated as away for a while.
    away: str = ""


class Sink(Protocol[T]):
    """Does the I/O for one kind of server. All methods but `sizes` and `after_fork` run on the runner's thread.

    That thread has an empty context in which instrumentation is suppressed.
    """

    @property
    def name(self) -> str:
        """For the thread's name, metrics and log lines."""
        ...

    def sizes(self, items: Sequence[T]) -> list[int]:
        """Bytes that each item occupies while it waits."""
        ...

    def deliver(self, batch: Sequence[T], deadline: float) -> Receipt[T]:
        """Write the batch; give up at `deadline` (monotonic). Raises `Unavailable` when the server is away.

        Any other exception is a fault of ours: the batch is counted as lost with reason `fault`.
        """
        ...

    def set_aside(self, batch: Sequence[T], reason: str, *, final: bool) -> Receipt[T]:
        """The server is away: keep the batch safe elsewhere (delivered), or ask to get it again.

        With `final` the process is ending and what comes back in `again` is counted as lost.
        """
        ...

    def idle(self, deadline: float) -> float | None:
        """Housekeeping between batches while the server is believed to be there. May raise `Unavailable`.

        Returns the seconds after which it wants to be called again, None when it does not care.
        """
        ...

    def close(self, deadline: float) -> None:
        """Let go of connections and files. Nothing is called afterwards."""
        ...

    def after_fork(self) -> None:
        """In a forked child: forget connections and files without using them; they are the parent's."""
        ...


@dataclass(frozen=True, slots=True)
class SinkLimits:
    """How much may wait, how much goes at once, and how long one attempt may take."""

    max_items: int = 200_000
    max_bytes: int = 64 * 1024 * 1024
    batch_items: int = 1000
    batch_bytes: int = 4 * 1024 * 1024
    timeout: float = 10.0
    #: How long a batch may take to come together, for servers where every round trip costs; nobody who flushes waits.
    linger: float = 0.0
    #: The part of the time for a shutdown that is kept for setting aside what the server has not taken by then.
    spare: float = 0.0


class SinkRunner(Generic[T]):
    """The bounded queue and the thread of one sink.

    Fork: the child starts with an empty queue, counters at zero and no thread; what waited is the parent's to deliver.
    """

    #: The part of the bounds that items which may be refused leave free for those that should not be.
    _RESERVED: Final = 0.2

    def __init__(
        self,
        sink: Sink[T],
        *,
        limits: SinkLimits | None = None,
        breaker: Breaker | None = None,
        clock: Clock | None = None,
        hurry: Callable[[float], None] = lambda deadline: None,
    ) -> None:
        """`hurry` is told, by the thread that shuts down, until when a delivery that goes on just then has to end."""
        self.sink = sink
        self._hurry = hurry
        self._limits = limits or SinkLimits()
        self._clock = clock or SystemClock()
        self._breaker = breaker or Breaker(clock=self._clock)
        self._thread = OwnThread(f"spanflow-{sink.name}", self._run)
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._queue: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._in_hand = 0
        self._in_hand_bytes = 0
        self._tally = Tally()
        self._lag = Lag()
        self._stop_at: float | None = None
        self._deliver_until = 0.0
        self._flushing = 0
        self._idle_at = 0.0

    def ensure_started(self) -> None:
        """Start the thread unless it was."""
        self._thread.ensure_started()

    # -- called by the encoder's thread --------------------------------------------------------------------------------

    def offer(self, items: Sequence[T], refusable: Callable[[T], bool] | None = None) -> list[T]:
        """Queue what fits and count the rest as lost; returns what was refused.

        Items for which `refusable` is true are refused a little earlier, so that there is room left for the others.
        """
        if not items:
            return []
        sizes = self.sink.sizes(items)
        size = sum(sizes)
        with self._changed:
            self._tally.accepted += len(items)
            if self._stop_at is not None:
                self._tally.dropped[counters.SHUTDOWN] += len(items)
                return list(items)
            if self._all_fit(len(items), size):
                self._queue.extend(zip(items, sizes, strict=True))
                self._bytes += size
                refused: list[T] = []
            else:
                refused = self._queue_what_fits(items, sizes, refusable)
            self._changed.notify_all()
        self._thread.ensure_started()
        return refused

    def _all_fit(self, number: int, size: int) -> bool:
        share = 1 - self._RESERVED
        return (
            len(self._queue) + self._in_hand + number <= self._limits.max_items * share
            and self._bytes + size <= self._limits.max_bytes * share
        )

    def _queue_what_fits(
        self, items: Sequence[T], sizes: Sequence[int], refusable: Callable[[T], bool] | None
    ) -> list[T]:
        refused: list[T] = []
        for item, size in zip(items, sizes, strict=True):
            share = 1 - self._RESERVED if refusable is not None and refusable(item) else 1.0
            if (
                len(self._queue) + self._in_hand < self._limits.max_items * share
                and self._bytes + size <= self._limits.max_bytes * share
            ):
                self._queue.append((item, size))
                self._bytes += size
            else:
                refused.append(item)
        if refused:
            reason = counters.UNAVAILABLE if self._breaker.reason else counters.QUEUE_FULL
            self._tally.dropped[reason] += len(refused)
        return refused

    # -- called by anybody ---------------------------------------------------------------------------------------------

    def counts(self) -> StageCounts:
        with self._changed:
            waiting = len(self._queue) + self._in_hand
            return replace(
                self._tally.read(waiting, self._bytes),
                capacity=self._limits.max_items,
                lag=self._lag.seconds(waiting, self._clock.monotonic()),
            )

    @property
    def state(self) -> str:
        """`closed` while the server is believed to be there, else `open` or `half_open`."""
        return self._breaker.state

    def flush(self, deadline: float) -> bool:
        """Wait until everything that is queued now has been delivered or lost; False when that is not so in time."""
        with self._changed:
            goal = self._tally.accepted
            self._flushing += 1
            self._changed.notify_all()
            try:
                while self._tally.delivered + sum(self._tally.dropped.values()) < goal:
                    left = deadline - self._clock.monotonic()
                    if left <= 0:
                        return False
                    self._changed.wait(left)
            finally:
                self._flushing -= 1
        return True

    def shutdown(self, deadline: float) -> bool:
        """Deliver what is queued, then end the thread. True when nothing was lost on the way."""
        with self._changed:
            lost_before = sum(self._tally.dropped.values())
            left = max(0.0, deadline - self._clock.monotonic())
            self._deliver_until = deadline - left * self._limits.spare
            self._stop_at = deadline
            self._changed.notify_all()
        self._hurry(self._deliver_until)
        ended = self._thread.join(max(0.0, deadline - self._clock.monotonic()))
        with self._changed:
            return ended and sum(self._tally.dropped.values()) == lost_before

    def after_fork(self) -> None:
        """In a forked child: start clean. Called by the pipeline's at-fork hook, in which no thread but one exists."""
        self._reset()
        self._breaker.succeeded()
        self._thread.after_fork()
        self.sink.after_fork()

    # -- the sink's own thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._turn():
            pass
        stop_at = self._stop_at or self._clock.monotonic()
        try:
            self.sink.close(stop_at)
        except Exception:
            _log.exception("%s: closing failed", self.sink.name)

    def _turn(self) -> bool:
        """Wait for something to do and do it; False when the thread should end."""
        batch = self._take()
        now = self._clock.monotonic()
        if self._stop_at is not None:
            if not batch:
                return False
            if now >= self._deliver_until or (self._breaker.reason and not self._breaker.allows()):
                self._settle(self._set_aside(batch, final=True), final=True)
                return True
        if batch:
            self._handle(batch, now)
        elif self._breaker.allows() and now >= self._idle_at:
            self._housekeep(now)
        return True

    def _take(self) -> list[T]:
        """The next batch; empty when it is time for housekeeping or to stop."""
        with self._changed:
            while not self._queue and self._stop_at is None:
                left = max(self._idle_at - self._clock.monotonic(), self._breaker.pause())
                if left <= 0:
                    break
                self._changed.wait(left)
            self._gather()
            batch, taken = self._cut()
            self._in_hand_bytes = taken
            self._in_hand = len(batch)
            return batch

    def _cut(self) -> tuple[list[T], int]:
        """What goes at once, and its size. Holds the lock."""
        queue, most, most_bytes = self._queue, self._limits.batch_items, self._limits.batch_bytes
        if len(queue) <= most and self._bytes <= most_bytes:
            batch = [item for item, _ in queue]
            queue.clear()
            return batch, self._bytes
        batch = []
        taken = 0
        while queue and len(batch) < most and taken < most_bytes:
            item, size = queue.popleft()
            batch.append(item)
            taken += size
        return batch, taken

    def _gather(self) -> None:
        """Let more come for the same round trip, unless it is enough already or somebody waits. Holds the lock."""
        until = self._clock.monotonic() + self._limits.linger
        while (
            self._queue
            and not self._flushing
            and self._stop_at is None
            and len(self._queue) < self._limits.batch_items
            and self._bytes < self._limits.batch_bytes
            and (left := until - self._clock.monotonic()) > 0
        ):
            self._changed.wait(left)

    def _handle(self, batch: list[T], now: float) -> None:
        if not self._breaker.allows():
            receipt = self._set_aside(batch, final=False)
            self._settle(receipt)
            if receipt.again:
                self._rest()
            return
        deadline = now + self._limits.timeout
        if self._stop_at is not None:
            deadline = min(deadline, self._deliver_until)
        try:
            receipt = self.sink.deliver(batch, deadline)
        except Unavailable as why:
            self._failed(str(why))
            receipt = self._set_aside(batch, final=False)
        except Exception:
            _log.exception("%s: a batch of %d was lost to a fault", self.sink.name, len(batch))
            receipt = Receipt(0, {counters.FAULT: len(batch)})
        else:
            if receipt.away:
                self._failed(receipt.away)
            else:
                self._recovered()
        self._settle(receipt)

    def _set_aside(self, batch: list[T], *, final: bool) -> Receipt[T]:
        try:
            return self.sink.set_aside(batch, self._breaker.reason or counters.SHUTDOWN, final=final)
        except Exception:
            _log.exception("%s: a batch of %d was lost to a fault", self.sink.name, len(batch))
            return Receipt(0, {counters.FAULT: len(batch)})

    def _settle(self, receipt: Receipt[T], *, final: bool = False) -> None:
        """Count what became of the batch in hand; what is to be offered again stands first in the queue."""
        with self._changed:
            if final:
                self._tally.dropped[counters.SHUTDOWN] += len(receipt.again)
            else:
                if receipt.again:
                    sizes = self.sink.sizes(receipt.again)
                    self._queue.extendleft(zip(reversed(receipt.again), reversed(sizes), strict=True))
                    self._bytes += sum(sizes)
            self._bytes -= self._in_hand_bytes
            self._in_hand = self._in_hand_bytes = 0
            self._tally.delivered += receipt.delivered
            for reason, number in receipt.dropped.items():
                self._tally.dropped[reason] += number
            self._changed.notify_all()

    def _rest(self) -> None:
        """The server is away and the batch has to wait for it: sleep until it may be asked again."""
        with self._changed:
            while self._stop_at is None and (pause := self._breaker.pause()) > 0:
                self._changed.wait(pause)

    def _housekeep(self, now: float) -> None:
        again: float | None = 0.0  # after a failure: as soon as the breaker allows
        try:
            again = self.sink.idle(now + self._limits.timeout)
        except Unavailable as why:
            self._failed(str(why))
        except Exception:
            _log.exception("%s: housekeeping failed", self.sink.name)
            again = 1.0
        else:
            self._recovered()
        with self._changed:
            self._idle_at = self._clock.monotonic() + (60.0 if again is None else again)

    def _failed(self, reason: str) -> None:
        if not self._breaker.reason:
            _log.warning("%s is away: %s. Requests go on; trying again in the background.", self.sink.name, reason)
        self._breaker.failed(reason or "away")
        self._idle_at = 0.0

    def _recovered(self) -> None:
        if self._breaker.reason:
            # A warning like the first one: where only warnings are shown, it would seem to be away for ever.
            _log.warning("%s is back", self.sink.name)
        self._breaker.succeeded()
