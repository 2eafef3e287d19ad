"""The bounded queue between the requests' threads and the encoder's: append and go on, nothing else.

Fork: a child gets an empty one (`reset`); what waited in the parent is the parent's to deliver.
"""

import threading
from typing import Any, Final

from spanflow.span_processors import counters
from spanflow.span_processors.counters import StageCounts, Tally

#: What an entry occupies beside its texts, roughly: the span, its dictionaries, a context.
BASE_WEIGHT: Final = 1024


class Intake:
    """Entries are tuples whose last member is their weight in bytes; `take` gives all that wait, in order.

    A start that does not fit is dropped whole: its end is refused as well. Ends, and what else concerns a span that
    was let in, may use the last fifth of the room, which starts may not.

    The lock is held for a few instructions only. It is re-entrant, because a garbage collection or a signal handler
    may end a span on a thread that is just appending one.
    """

    _FOR_STARTS: Final = 0.8

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._start_entries = int(max_entries * self._FOR_STARTS)
        self._start_bytes = int(max_bytes * self._FOR_STARTS)
        self.reset()

    def reset(self) -> None:
        """Empty, with counters at zero: at the beginning, and in a forked child."""
        self._lock = threading.RLock()
        self._entries: list[tuple[Any, ...]] = []
        self._bytes = 0
        self._taken = 0
        self._tally = Tally()
        # Insertion-ordered, so that the oldest can be forgotten when there are too many.
        self._dropped_starts: dict[int, None] = {}
        self._closed = False
        self._asleep = False
        # A plain lock as a binary semaphore: `Event.set` would cost more than the rest of an append.
        self._signal = threading.Lock()
        self._signal.acquire()

    # -- the requests' threads -----------------------------------------------------------------------------------------

    def start(self, span_id: int, entry: tuple[Any, ...]) -> bool:
        """Append a span's start; False when it is dropped, with its end."""
        weight = entry[-1]
        with self._lock:
            tally = self._tally
            tally.accepted += 1
            if (
                len(self._entries) + self._taken < self._start_entries
                and self._bytes + weight <= self._start_bytes
                and not self._closed
            ):
                self._append(entry, weight)
                return True
            tally.dropped[counters.SHUTDOWN if self._closed else counters.QUEUE_FULL] += 1
            self._dropped_starts[span_id] = None
            if len(self._dropped_starts) > self._max_entries:
                del self._dropped_starts[next(iter(self._dropped_starts))]
            return False

    def end(self, span_id: int, entry: tuple[Any, ...]) -> bool:
        """Append a span's end unless its start was dropped."""
        weight = entry[-1]
        with self._lock:
            self._tally.accepted += 1
            if self._dropped_starts and span_id in self._dropped_starts:
                del self._dropped_starts[span_id]
                self._tally.dropped[counters.START_DROPPED] += 1
                return False
            return self._append_or_drop(entry, weight)

    def put(self, entry: tuple[Any, ...]) -> bool:
        """Append something that concerns a flow or a span that was let in."""
        with self._lock:
            self._tally.accepted += 1
            return self._append_or_drop(entry, entry[-1])

    def was_dropped(self, span_id: int) -> bool:
        return span_id in self._dropped_starts

    def count_fault(self) -> None:
        """Something that could not even be appended, because of a fault of ours."""
        with self._lock:
            self._tally.refuse(counters.FAULT)

    def _append_or_drop(self, entry: tuple[Any, ...], weight: int) -> bool:
        if self._closed:
            self._tally.dropped[counters.SHUTDOWN] += 1
        elif len(self._entries) + self._taken >= self._max_entries or self._bytes + weight > self._max_bytes:
            self._tally.dropped[counters.QUEUE_FULL] += 1
        else:
            self._append(entry, weight)
            return True
        return False

    def _append(self, entry: tuple[Any, ...], weight: int) -> None:
        self._entries.append(entry)
        self._bytes += weight
        if self._asleep:
            self._asleep = False
            self._signal.release()

    # -- the encoder's thread ------------------------------------------------------------------------------------------

    def wait(self, timeout: float) -> None:
        """Sleep until something is appended, somebody calls `wake`, or the time is over."""
        with self._lock:
            if self._entries:
                return
            self._asleep = True
        if not self._signal.acquire(timeout=max(0.0, timeout)):
            with self._lock:
                if not self._asleep:
                    # It was released between the time-out and here: use that up.
                    self._signal.acquire(blocking=False)
                self._asleep = False

    def wake(self) -> None:
        """End `wait` although nothing was appended."""
        with self._lock:
            if self._asleep:
                self._asleep = False
                self._signal.release()

    def take(self) -> list[tuple[Any, ...]]:
        """Everything that waits. It still counts as waiting until `settle`."""
        with self._lock:
            entries, self._entries = self._entries, []
            self._taken = len(entries)
        return entries

    def settle(self, number: int, weight: int, faults: int = 0) -> None:
        """So many of the entries taken are encoded, `faults` of them without success."""
        with self._lock:
            self._taken -= number
            self._bytes -= weight
            self._tally.delivered += number - faults
            if faults:
                self._tally.dropped[counters.FAULT] += faults

    def __len__(self) -> int:
        return len(self._entries)

    # -- anybody -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take nothing in any more."""
        with self._lock:
            self._closed = True

    def counts(self) -> StageCounts:
        with self._lock:
            return self._tally.read(len(self._entries) + self._taken, self._bytes)
