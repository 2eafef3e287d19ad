"""Owns one sink's bounded queue, its threads and the accounting. A sink that is slow or away holds up no other."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.stages import counters
from spanflow.span_processors.stages.breaker import Breaker
from spanflow.span_processors.stages.counters import StageCounts
from spanflow.span_processors.stages.own_thread import OwnThread
from spanflow.span_processors.stages.sink import Receipt, Sink, SinkLimits, Unavailable
from spanflow.span_processors.stages.sink_queue import Batch, SinkQueue

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: After what could not be set aside: the disk is not asked again for each item that comes.
_ASIDE_PAUSE: Final = 1.0


class SinkRunner(Generic[T]):
    """Delivers on a thread of its own. Where the sink can set things aside (`set_aside_from` below 1), a second thread
    does so while the first one waits for a slow server, and what finds the queue full is set aside at once: it is lost
    only when that is impossible as well.

    Fork: the child starts with an empty queue, counters at zero and no thread; what waited is the parent's to deliver.
    """

    def __init__(
        self,
        sink: Sink[T],
        *,
        limits: SinkLimits | None = None,
        breaker: Breaker | None = None,
        clock: Clock | None = None,
        hurry: Callable[[float], None] = lambda deadline: None,
        on_refused: Callable[[T], None] = lambda item: None,
    ) -> None:
        """`hurry` is told, by the thread that shuts down, until when a delivery that goes on just then has to end;
        infinity takes that back.

        `on_refused` hears of every item that finds no room, on the offering thread, before what came after it is taken.
        """
        self.sink = sink
        self._hurry = hurry
        self._on_refused = on_refused
        self._limits = limits or SinkLimits()
        self._clock = clock or SystemClock()
        self._breaker = breaker or Breaker(clock=self._clock)
        self._thread = OwnThread(sink.name, self._run)
        self._relief = OwnThread(f"{sink.name}-aside", self._relieve)
        self._can_set_aside = self._limits.set_aside_from < 1.0
        self._reset()

    def _reset(self) -> None:
        self._queue = SinkQueue(self.sink.sizes, self._limits, self._clock)
        self._changed = self._queue.changed
        self._stop_at: float | None = None
        self._deliver_until = 0.0
        self._flushing = 0
        self._idle_at = 0.0
        self._aside_at = 0.0

    def ensure_started(self) -> None:
        """Start the thread unless it was."""
        self._thread.ensure_started()

    # -- called by producers -------------------------------------------------------------------------------------------

    def offer(self, items: Sequence[T], refusable: Callable[[T], bool] | None = None) -> list[T]:
        """Queue what fits, set aside what does not, and count the rest as lost; returns what was lost.

        Items for which `refusable` is true are refused a little earlier, so that there is room left for the others.
        """
        if not items:
            return []
        sizes = self.sink.sizes(items)
        with self._changed:
            if self._stop_at is not None:
                self._queue.refuse_locked(len(items), counters.SHUTDOWN)
                return list(items)
            refused = self._queue.offer_locked(items, sizes, refusable)
            if refused.items and not self._can_set_aside:
                for item in refused.items:
                    self._on_refused(item)
                self._queue.settle_locked(refused, Receipt(0, {self._why_refused: len(refused.items)}))
            crowded = self._can_set_aside and self._queue.is_crowded_locked()
        self._thread.ensure_started()
        if crowded:
            self._relief.ensure_started()
        if refused.items and self._can_set_aside:
            return self._set_aside_or_lose(refused)
        return refused.items

    @property
    def _why_refused(self) -> str:
        return counters.UNAVAILABLE if self._breaker.reason else counters.QUEUE_FULL

    def _set_aside_or_lose(self, batch: Batch[T]) -> list[T]:
        """What found no room in the queue. This may take as long as the disk does; no request waits for this thread."""
        receipt = self._set_aside(batch.items)
        lost = list(receipt.again)
        dropped = dict(receipt.dropped)
        if lost:
            reason = receipt.away or self._why_refused
            dropped[reason] = dropped.get(reason, 0) + len(lost)
        self._queue.settle(batch, Receipt(receipt.delivered, dropped))
        return lost

    # -- called from any thread ----------------------------------------------------------------------------------------

    def counts(self) -> StageCounts:
        return self._queue.counts()

    def has_room(self, share: float) -> bool:
        """Whether this part of the queue is free."""
        with self._changed:
            return self._queue.has_room_locked(share)

    @property
    def state(self) -> str:
        """`closed` while the server is believed to be there, else `open` or `half_open`."""
        return self._breaker.state

    def flush(self, deadline: float) -> bool:
        """Wait until everything that is queued now has been delivered or lost; False when that is not so in time."""
        with self._changed:
            goal = self._queue.accepted
            self._flushing += 1
            self._changed.notify_all()
            try:
                while self._queue.finished < goal:
                    left = deadline - self._clock.monotonic()
                    if left <= 0:
                        return False
                    self._changed.wait(left)
            finally:
                self._flushing -= 1
        return True

    def settle(self, deadline: float) -> bool:
        """Like `flush`, but what the server has not taken when the spare part of the time begins is set aside.

        For a process that is probably about to end without another word. If it goes on, so does everything.
        """
        left = max(0.0, deadline - self._clock.monotonic())
        if self.flush(deadline - left * self._limits.spare):
            return True
        if not self._limits.spare:
            return False
        # What is with the server just now comes back at once, and the sink's own thread sets it aside.
        self._hurry(self._clock.monotonic())
        try:
            while (batch := self._take_waiting()).items:
                receipt = self._set_aside(batch.items)
                self._queue.settle(batch, receipt)
                if receipt.again:
                    break
            return self.flush(deadline)
        finally:
            self._hurry(math.inf)

    def _take_waiting(self) -> Batch[T]:
        with self._changed:
            return self._queue.take_locked(self._limits.batch_items, self._limits.batch_bytes)

    def shutdown(self, deadline: float) -> bool:
        """Deliver what is queued, then end the threads. True when nothing was lost on the way."""
        with self._changed:
            lost_before = self._queue.lost
            left = max(0.0, deadline - self._clock.monotonic())
            self._deliver_until = deadline - left * self._limits.spare
            self._stop_at = deadline
            self._changed.notify_all()
            self._queue.crowded.notify_all()
        self._hurry(self._deliver_until)
        ended = self._thread.join(max(0.0, deadline - self._clock.monotonic()))
        with self._changed:
            return ended and self._queue.lost == lost_before

    def after_fork(self) -> None:
        """In a forked child: start clean. Called by the pipeline's at-fork hook, in which no thread but one exists."""
        self._reset()
        self._breaker.succeeded()
        self._thread.after_fork()
        self._relief.after_fork()
        self.sink.after_fork()

    # -- the sink's own thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._turn():
            pass
        stop_at = self._stop_at or self._clock.monotonic()
        self._relief.join(max(0.0, stop_at - self._clock.monotonic()))
        while self._turn():
            pass  # what it had in its hands just then and could not set aside
        try:
            self.sink.close(stop_at)
        except Exception:
            _log.exception("%s: closing failed", self.sink.name)

    def _turn(self) -> bool:
        """Wait for something to do and do it; False when the thread should end."""
        batch = self._take()
        now = self._clock.monotonic()
        if self._stop_at is not None:
            if not batch.items:
                return False
            if now >= self._deliver_until or (self._breaker.reason and not self._breaker.allows()):
                self._set_aside_at_the_end(batch)
                return True
        if batch.items:
            self._handle(batch, now)
        elif self._breaker.allows() and now >= self._idle_at:
            self._housekeep(now)
        return True

    def _take(self) -> Batch[T]:
        """The next batch; empty when it is time for housekeeping or to stop."""
        with self._changed:
            while not self._queue and self._stop_at is None:
                left = max(self._idle_at - self._clock.monotonic(), self._breaker.pause())
                if left <= 0:
                    break
                self._changed.wait(left)
            self._gather_locked()
            return self._queue.take_locked(self._limits.batch_items, self._limits.batch_bytes)

    def _gather_locked(self) -> None:
        """Wait for more items for the same round trip, unless there are enough or a flush is waiting."""
        until = self._clock.monotonic() + self._limits.linger
        while (
            self._queue
            and not self._flushing
            and self._stop_at is None
            and len(self._queue) < self._limits.batch_items
            and self._queue.bytes < self._limits.batch_bytes
            and (left := until - self._clock.monotonic()) > 0
        ):
            self._changed.wait(left)

    def _handle(self, batch: Batch[T], now: float) -> None:
        if not self._breaker.allows():
            receipt = self._set_aside(batch.items)
            self._queue.settle(batch, receipt)
            if receipt.again:
                self._rest()
            return
        deadline = now + self._limits.timeout
        if self._stop_at is not None:
            deadline = min(deadline, self._deliver_until)
        try:
            receipt = self.sink.deliver(batch.items, deadline)
        except Unavailable as why:
            self._failed(str(why))
            receipt = self._set_aside(batch.items)
        except Exception:
            receipt = self._lost_to_a_fault(batch.items)
        else:
            if receipt.away:
                self._failed(receipt.away)
            else:
                self._recovered()
        self._queue.settle(batch, receipt)

    def _set_aside(self, items: Sequence[T]) -> Receipt[T]:
        """`again` is what there is no place for, and `away` why, in a word."""
        try:
            aside = self.sink.set_aside(items)
        except Exception:
            return self._lost_to_a_fault(items)
        return Receipt(aside.kept, again=items[aside.kept :], away=aside.reason)

    def _set_aside_at_the_end(self, batch: Batch[T]) -> None:
        receipt = self._set_aside(batch.items)
        dropped = {**receipt.dropped}
        if receipt.again:
            dropped[receipt.away or counters.SHUTDOWN] = len(receipt.again)
        self._queue.settle(batch, Receipt(receipt.delivered, dropped))

    def _lost_to_a_fault(self, items: Sequence[T]) -> Receipt[T]:
        _log.exception("%s: a batch of %d was lost to a fault", self.sink.name, len(items))
        return Receipt(0, {counters.FAULT: len(items)})

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

    # -- the second thread ---------------------------------------------------------------------------------------------

    def _relieve(self) -> None:
        """While the queue is crowded: set aside what has waited longest, so that there is room for what comes."""
        while (batch := self._take_when_crowded()) is not None:
            receipt = self._set_aside(batch.items)
            if receipt.again:
                self._aside_at = self._clock.monotonic() + _ASIDE_PAUSE
            self._queue.settle(batch, receipt)

    def _take_when_crowded(self) -> Batch[T] | None:
        """The oldest items; None when the thread should end."""
        with self._queue.crowded:
            while self._stop_at is None:
                pause = self._aside_at - self._clock.monotonic()
                if self._queue.is_crowded_locked() and pause <= 0:
                    return self._queue.take_locked(self._limits.batch_items, self._limits.batch_bytes)
                self._queue.crowded.wait(pause if pause > 0 else None)
        return None
