"""The bounded queue between the requests' threads and the encoder's: append and go on, nothing else.

No lock is held on a request's thread. Appending to a deque is atomic, and what was accepted is not counted there but
follows from what the encoder took and what still waits; so the counts are exact without any synchronisation.

Fork: a child gets an empty one (`reset`); what waited in the parent is the parent's to deliver.
"""

import threading
from collections import deque
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final

from spanflow.span_processors.stages import counters
from spanflow.span_processors.stages.counters import StageCounts, Tally

#: A waker and the sleeper may just miss each other where there is no interpreter lock; then this is the delay.
_LONGEST_SLEEP: Final = 1.0
_weight: Final = itemgetter(-1)


class Intake:
    """Entries are tuples whose last member is their weight in bytes; `take` gives all that wait, in order.

    A start that does not fit is dropped whole: its end is refused as well. Ends, and what else concerns a span that
    was let in, may use the last fifth of the room, which starts may not. Each bound may be passed by as many entries
    as there are threads appending at that very moment.
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
        self._entries: deque[tuple[Any, ...]] = deque()
        # Near enough for a bound; put right whenever the encoder has taken everything.
        self._bytes = 0
        self._taken = 0
        self._taken_bytes = 0
        # Guards the tally of what was dropped. Re-entrant, because a garbage collection or a signal handler may end a
        # span on a thread that is just counting one.
        self._lock = threading.RLock()
        self._tally = Tally()
        # Insertion-ordered, so that the oldest can be forgotten when there are too many.
        self._dropped_starts: dict[int, None] = {}
        self._closed = False
        self._asleep = False
        # A plain lock as a binary semaphore: an `Event` would cost more than the rest of an append.
        self._signal = threading.Lock()
        self._signal.acquire()

    # -- the requests' threads -----------------------------------------------------------------------------------------

    def start(self, span_id: int, entry: tuple[Any, ...]) -> bool:
        """Append a span's start; False when it is dropped, with its end."""
        entries = self._entries
        if len(entries) + self._taken < self._start_entries and self._bytes < self._start_bytes and not self._closed:
            entries.append(entry)
            self._bytes += entry[-1]
            if self._asleep:
                self.wake()
            return True
        with self._lock:
            self._tally.refuse(counters.SHUTDOWN if self._closed else counters.QUEUE_FULL)
            self._dropped_starts[span_id] = None
            if len(self._dropped_starts) > self._max_entries:
                del self._dropped_starts[next(iter(self._dropped_starts))]
        return False

    def end(self, span_id: int, entry: tuple[Any, ...]) -> bool:
        """Append a span's end unless its start was dropped."""
        if self._dropped_starts and span_id in self._dropped_starts:
            with self._lock:
                self._dropped_starts.pop(span_id, None)
                self._tally.refuse(counters.START_DROPPED)
            return False
        return self.put(entry)

    def put(self, entry: tuple[Any, ...]) -> bool:
        """Append something that concerns a flow or a span that was let in."""
        entries = self._entries
        if len(entries) + self._taken < self._max_entries and self._bytes < self._max_bytes and not self._closed:
            entries.append(entry)
            self._bytes += entry[-1]
            if self._asleep:
                self.wake()
            return True
        with self._lock:
            self._tally.refuse(counters.SHUTDOWN if self._closed else counters.QUEUE_FULL)
        return False

    def was_dropped(self, span_id: int) -> bool:
        return span_id in self._dropped_starts

    def count_fault(self) -> None:
        """Something that could not even be appended, because of a fault of ours."""
        with self._lock:
            self._tally.refuse(counters.FAULT)

    def wake(self) -> None:
        """End the encoder's `wait`."""
        with self._lock:
            if self._asleep:
                self._asleep = False
                self._signal.release()

    # -- the encoder's thread ------------------------------------------------------------------------------------------

    def wait(self, timeout: float) -> None:
        """Sleep until something is appended, `wake` is called, or the timeout expires."""
        self._asleep = True
        if self._entries:
            timeout = 0.0
        if not self._signal.acquire(timeout=max(0.0, min(timeout, _LONGEST_SLEEP))):
            with self._lock:
                if not self._asleep:
                    # It was released between the time-out and here: use that up.
                    self._signal.acquire(blocking=False)
                self._asleep = False

    def take(self, most: int) -> list[tuple[Any, ...]]:
        """The oldest entries. They still count as waiting until `settle`."""
        entries = self._entries
        popleft = entries.popleft
        taken = [popleft() for _ in range(min(most, len(entries)))]
        self._taken = len(taken)
        self._taken_bytes = sum(map(_weight, taken))
        return taken

    def settle(self, faults: int = 0) -> None:
        """What was taken is encoded, `faults` of it without success."""
        with self._lock:
            tally = self._tally
            tally.accepted += self._taken
            tally.delivered += self._taken - faults
            if faults:
                tally.dropped[counters.FAULT] += faults
            self._bytes = max(0, self._bytes - self._taken_bytes) if self._entries else 0
            self._taken = self._taken_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    # -- any thread ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take nothing in any more."""
        self._closed = True

    def counts(self) -> StageCounts:
        with self._lock:
            waiting = len(self._entries) + self._taken
            read = self._tally.read(waiting, self._bytes if waiting else 0)
        return replace(read, accepted=read.accepted + waiting, capacity=self._max_entries)
