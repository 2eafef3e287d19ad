"""Accepted requests on their way to the encoder: bounded by bytes and in number, all of a request or nothing."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from spanflow.viewer_api.otlp.lazy_messages import LazyResourceSpans
from spanflow.viewer_api.otlp.log_record import LogGroup, Place, SpanLog


@dataclass(frozen=True, slots=True)
class Batch:
    """One accepted request, or log records whose spans have been found."""

    groups: Sequence[LazyResourceSpans]
    spans: int
    #: Bytes of the request, unpacked.
    size: int
    logs: Sequence[LogGroup] = ()
    #: How many log records there are.
    records: int = 0
    placed: Sequence[tuple[LogGroup, SpanLog, Place]] = ()

    @property
    def items(self) -> int:
        return self.spans + self.records


class SpanQueue:
    """For any threads. What is taken counts as waiting until it is settled."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._batches: deque[Batch] = deque()
        self._items = 0
        self._bytes = 0
        self._closed = False
        self._woken = False

    def offer(self, batch: Batch) -> bool:
        """False when there is no room, or nothing is taken in any more. An empty queue takes a batch of any size."""
        with self._changed:
            full = self._items + batch.items > self._max_items or self._bytes + batch.size > self._max_bytes
            if self._closed or (full and self._items):
                return False
            self._batches.append(batch)
            self._items += batch.items
            self._bytes += batch.size
            self._changed.notify()
        return True

    def take(self, timeout: float) -> Batch | None:
        """The oldest; None when there is none in time, or `wake` was called."""
        with self._changed:
            if not self._batches and not self._woken and not self._closed:
                self._changed.wait(timeout)
            self._woken = False
            return self._batches.popleft() if self._batches else None

    def settle(self, batch: Batch) -> None:
        """What was taken is encoded."""
        with self._changed:
            self._items -= batch.items
            self._bytes -= batch.size

    def wake(self) -> None:
        with self._changed:
            self._woken = True
            self._changed.notify()

    def close(self) -> None:
        """Take nothing in any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def waiting_bytes(self) -> int:
        with self._changed:
            return self._bytes
