"""The way of a span through this process: request's thread → bounded queue → encoder's thread → a queue per sink.

What the requests' threads call only appends. Nothing is opened and no thread starts before the first span.
"""

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Set
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.archive.archive import ArchiveState
from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.encoding.encoder import DeferredStart, Encoder
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.pipeline_counts import PipelineCounts
from spanflow.span_processors.redis.mirror import archived_in, is_refusable
from spanflow.span_processors.redis.mirror_items import MirrorItem
from spanflow.span_processors.redis.watched import WatchedUsers
from spanflow.span_processors.span_attributes import attributes_in_place, attributes_of, first_attributes_of
from spanflow.span_processors.span_name import name_of
from spanflow.span_processors.stages.counters import StageCounts
from spanflow.span_processors.stages.fork_guard import wait_until_forkable
from spanflow.span_processors.stages.intake import Intake
from spanflow.span_processors.stages.own_thread import OwnThread
from spanflow.span_processors.stages.sink_runner import SinkRunner
from spanflow.span_processors.weight import BASE_WEIGHT, weight_of, weight_of_span

_log = logging.getLogger(__name__)

_START: Final = 0
_END: Final = 1
_UPDATE: Final = 2
_IDENTIFY: Final = 3
_ACTIVITY: Final = 4
_END_FLOW: Final = 5

#: Entries that are encoded before requests get the interpreter: a millisecond.
_SLICE: Final = 256
#: Events handed on to the mirror without waiting for the rest, so that it writes them concurrently.
_HANDFUL: Final = 500
#: What is written once more leaves so much of the mirror's queue to what is new.
_ROOM_TO_RETELL: Final = 0.5
#: From so many entries on, a span that starts and ends among them becomes one event instead of two: half the
#: work under load. No reader could see the state between the two: they would leave in the same round trip.
_BUSY: Final = 32
_NONE: Final[Set[int]] = frozenset()
#: With so many entries waiting there is no point in collecting more, nor in giving way to who makes them.
_PLENTY: Final = 4096
#: How long events are batched at most while a user is watched.
_WATCHED_INTERVAL: Final = 0.0003
#: For the end of a process in which nothing told that it is about to end.
ATEXIT_BUDGET: Final = 5.0
#: Of the time for ending: what may be spent before the process's exit begins.
_BEFORE_EXIT: Final = 0.6
#: What is left at least at exit, for letting go of the servers.
_LAST_WORDS: Final = 0.5
#: A process that still runs so long after the time for its end was over has gone on; its end has a time of its own.
_WENT_ON: Final = 10.0
#: What the application has registered with `multiprocessing` comes first, as at exit.
_AFTER_ALL_OTHERS: Final = -1000
_ARCHIVE_SHARE: Final = 0.7


class Pipeline:
    """Composed in `assembly.py`. All methods may be called from any thread.

    Fork: the child starts clean. What waited, and what was open, is the parent's; the child's first span starts
    threads and connections of its own.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        encoder: Encoder,
        process: ProcessInfo,
        mirror: SinkRunner[MirrorItem] | None = None,
        archive: SinkRunner[FlowPart] | None = None,
        watched: WatchedUsers | None = None,
        batch_interval: float = 0.005,
        archive_state: Callable[[], ArchiveState] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._intake = intake
        self._append_start = intake.start
        self._append_end = intake.end
        self._archive_state = archive_state
        self._encoder = encoder
        self._process = process
        self._mirror = mirror
        self._archive = archive
        self._watched = watched
        self._interval = batch_interval
        self._clock = clock or SystemClock()
        self._thread = OwnThread("encoder", self._run)
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=wait_until_forkable, after_in_child=_weakly(self, "after_fork"))
        self._at_exit = _weakly(self, "shutdown")
        atexit.register(self._at_exit)

    def _reset(self) -> None:
        self._flush_lock = threading.Lock()
        self._flushes: list[_Flush] = []
        self._running = False
        self._mirror_emptied = False
        self._stopping = False
        self._shut_down = False
        self._complained = False
        #: When a process that said it is about to end has to be through with everything (monotonic).
        self._end_by: float | None = None

    # -- the requests' threads: append and go on -----------------------------------------------------------------------

    def span_started(self, span: ReadableSpan, identity: Identity) -> None:
        """A span has started. Its attributes are kept as they are now: they change until it ends.

        They weigh nothing yet: as long as the span is open it is the application that keeps their values alive.
        """
        context = span.context
        if context is None:
            return
        span_id = context[1]  # by its name it costs a call
        entry = (_START, span_id, span, name_of(span.name), first_attributes_of(span), identity, BASE_WEIGHT)
        if self._append_start(span_id, entry) and not self._running:
            self._start_threads()

    def span_ended(self, span: ReadableSpan) -> None:
        """A span has ended; the SDK changes it no more."""
        context = span.context
        if context is None:
            return
        span_id = context[1]  # by its name it costs a call
        if self._append_end(span_id, (_END, span_id, span, weight_of_span(span))) and not self._running:
            self._start_threads()

    def span_updated(self, span: trace.Span) -> None:
        """A running span has got attributes or a name that should be seen before it ends."""
        if isinstance(span, ReadableSpan) and span.context is not None:
            if not self._intake.was_dropped(span.context.span_id):
                self._put((_UPDATE, span.context.span_id, span, BASE_WEIGHT))

    def identify(self, trace_id: int, identity: Identity) -> None:
        """Whose flow it is, also for everything in it that has already happened."""
        self._put((_IDENTIFY, trace_id, identity, BASE_WEIGHT))

    def record_activity(self, trace_id: int, activity: Activity) -> None:
        """Something the person saw."""
        self._put((_ACTIVITY, trace_id, activity, weight_of(activity.data)))

    def end_flow(self, trace_id: int) -> None:
        """The flow is over although its root may not have ended, or never was."""
        self._put((_END_FLOW, trace_id, BASE_WEIGHT))

    def is_watched(self, user_id: str) -> bool:
        """Whether this user is watched live, as far as this process knows now."""
        return self._watched is not None and self._watched.is_watched(user_id)

    def count_fault(self) -> None:
        """A span could not be taken in because of a fault of ours."""
        self._intake.count_fault()

    def _put(self, entry: tuple[Any, ...]) -> None:
        if self._intake.put(entry) and not self._running:
            self._start_threads()

    def _start_threads(self) -> None:
        if self._watched is not None:
            self._watched.ensure_started()
        for runner in self._runners():
            # Not when there is something to deliver: a process that ends just then starts no thread any more.
            runner.ensure_started()
        self._running = self._thread.ensure_started()
        self._end_with_multiprocessing()

    def _end_with_multiprocessing(self) -> None:
        """A child that `multiprocessing` has forked runs nothing at its end but what is registered with it."""
        process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
        if process is not None and util is not None and process.parent_process() is not None:
            util.Finalize(None, self._at_exit, exitpriority=_AFTER_ALL_OTHERS)

    # -- any thread ----------------------------------------------------------------------------------------------------

    @property
    def instance_id(self) -> str:
        """This process, as it is named in events and heartbeats."""
        return self._process.instance_id

    @property
    def counters(self) -> PipelineCounts:
        sinks: dict[str, StageCounts] = {}
        for runner in (self._mirror, self._archive):
            if runner is not None:
                sinks[runner.sink.name] = runner.counts()
        archive = self._archive_state() if self._archive_state is not None else None
        encoder = self._encoder
        counted = len(encoder), encoder.open_bytes, archive, encoder.shortened_texts, encoder.held.left_out
        return PipelineCounts(self._intake.counts(), sinks, *counted)

    def prepare(self) -> None:
        """Start the threads and let them connect before the first span comes: the application is about to serve.

        Never at import or configuration, which also happen in processes that serve no request. Waits for nothing.
        """
        if not self._running and not self._shut_down:
            self._start_threads()

    def retell_open_flows(self) -> None:
        """Redis has lost what was written to it."""
        self._mirror_emptied = True
        self._intake.wake()

    def force_flush(self, timeout: float = 30.0) -> bool:
        """Encode and deliver what has come in, and hand over flows that look finished without waiting for their grace.

        True when all of it has left within the timeout. What the sinks cannot deliver now is not lost by this.
        """
        deadline = self._clock.monotonic() + timeout
        if not self._encode_all(deadline):
            return False
        return all([runner.flush(deadline) for runner in self._runners()])

    def prepare_to_end(self, timeout: float) -> bool:
        """The application has stopped and the process is about to end, perhaps without another word.

        Everything that ends the process has `timeout` together: this, which delivers what can be delivered and spools
        the rest, and what follows at exit. True when nothing waits any more. If the process goes on, nothing is lost.
        """
        now = self._clock.monotonic()
        self._end_by = now + timeout
        deadline = now + timeout * _BEFORE_EXIT
        if not self._encode_all(deadline):
            return False
        return all([runner.settle(deadline) for runner in self._runners()])

    def shutdown(self, timeout: float | None = None) -> bool:
        """Take in nothing more, hand over every flow, deliver what can be delivered in time, and end all threads.

        Without `timeout`: in what `prepare_to_end` has left of its time. True when everything ended and nothing was
        lost on the way.
        """
        if timeout is None:
            timeout = self._time_to_end()
        with self._flush_lock:
            if self._shut_down:
                return True
            self._shut_down = True
        atexit.unregister(self._at_exit)
        deadline = self._clock.monotonic() + timeout
        self._intake.close()
        self._stopping = True
        self._intake.wake()
        good = self._thread.join(self._left(deadline))
        # The archive first: what it has made safe is still to be told to the mirror. It may not use up the budget.
        if self._archive is not None:
            share = self._left(deadline) * _ARCHIVE_SHARE
            good = self._archive.shutdown(self._clock.monotonic() + share) and good
        if self._mirror is not None:
            good = self._mirror.shutdown(deadline) and good
        if self._watched is not None:
            good = self._watched.shutdown(deadline) and good
        return good

    def after_fork(self) -> None:
        """In a forked child, before any other thread exists there."""
        self._reset()
        self._intake.reset()
        self._process.after_fork()
        self._encoder.after_fork()
        self._thread.after_fork()
        if self._watched is not None:
            self._watched.after_fork()
        for runner in self._runners():
            runner.after_fork()

    def _time_to_end(self) -> float:
        if self._end_by is None:
            return ATEXIT_BUDGET
        left = self._end_by - self._clock.monotonic()
        return ATEXIT_BUDGET if left < -_WENT_ON else max(_LAST_WORDS, left)

    def _runners(self) -> list[SinkRunner[Any]]:
        return [runner for runner in (self._archive, self._mirror) if runner is not None]

    def _left(self, deadline: float) -> float:
        return max(0.0, deadline - self._clock.monotonic())

    def _encode_all(self, deadline: float) -> bool:
        if not self._thread.started:
            return True
        flush = _Flush()
        with self._flush_lock:
            self._flushes.append(flush)
        self._intake.wake()
        return flush.done.wait(self._left(deadline)) and flush.good

    # -- the encoder's thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failed_stopping = False
        if self._watched is not None:
            # Or a flow that ends before it is known who is watched would not be told.
            self._watched.wait_loaded()
        while True:
            stopping = self._stopping
            try:
                if not self._turn():
                    return
            except Exception:
                # Nothing may end this thread but a shutdown, and that not twice in vain.
                _log.exception("an iteration of the encoder failed")
                if failed_stopping:
                    return
                failed_stopping = stopping
                time.sleep(0.1)

    def _turn(self) -> bool:
        intake = self._intake
        if not self._stopping and not self._flushes:
            intake.wait(self._encoder.next_due(self._clock.monotonic()))
            self._collect()
        stopping = self._stopping
        with self._flush_lock:
            flushes, self._flushes = self._flushes, []
        good = False
        try:
            # Only what is queued now: later items wait for the next turn, so that due flows get theirs.
            left = len(intake)
            while left > 0 and (entries := intake.take(min(left, _SLICE))):
                left -= len(entries)
                self._encode(entries)
                if len(self._encoder.events) >= _HANDFUL:
                    self._encoder.ring()
                    self._hand_on()
                if 0 < left < _PLENTY:
                    # Otherwise a request would wait until the interpreter takes turns by itself, five milliseconds.
                    time.sleep(0)
            self._retell()
            now = self._clock.monotonic()
            for span in self._encoder.late_changes.spans(now):
                self._encode_update(span, now)
            if flushes:
                self._encoder.complete_finished()
            if stopping:
                self._encoder.complete_all()
            self._encoder.complete(self._clock.monotonic())
            self._encoder.ring()
            self._hand_on()
            good = True
        finally:
            for flush in flushes:
                flush.good = good
                flush.done.set()
        return not stopping

    def _retell(self) -> None:
        """After Redis has lost everything: open flows once more, a few at a time and only while the mirror has room."""
        if self._mirror_emptied:
            self._mirror_emptied = False
            self._encoder.retelling.begin()
        retelling = self._encoder.retelling
        if retelling and self._mirror is not None and self._mirror.has_room(_ROOM_TO_RETELL):
            self._encoder.events += retelling.items(_HANDFUL)

    def _collect(self) -> None:
        """Let a few more events come, so that they travel together."""
        interval = self._interval
        if self._watched is not None and self._watched.any_watched():
            interval = min(interval, _WATCHED_INTERVAL)
        if interval and 0 < len(self._intake) < _PLENTY and not self._stopping and not self._flushes:
            time.sleep(interval)

    def _encode(self, entries: list[tuple[Any, ...]]) -> None:
        now = self._clock.monotonic()
        faults = 0
        updates: dict[int, ReadableSpan] = {}
        # Starts of spans whose end waits here as well, and what is known of them.
        begun: dict[int, tuple[tuple[Any, ...], DeferredStart]] = {}
        ending = _ending(entries) if len(entries) >= _BUSY else _NONE
        encoder = self._encoder
        for entry in entries:
            known = None
            try:
                kind, key = entry[0], entry[1]
                if kind == _START:
                    _, _, span, name, before, identity, _ = entry
                    if (
                        key in ending
                        and key not in begun
                        and (defer_start := encoder.defer_start(span, name, before, identity, now)) is not None
                    ):
                        begun[key] = (entry, defer_start)
                    else:
                        encoder.started(span, name, before, identity, now)
                elif kind == _END:
                    if updates:
                        # The end says all that an update still waiting here would have said.
                        updates.pop(key, None)
                    span = entry[2]
                    if begun and (known := begun.pop(key, None)) is not None:
                        (_, _, begun_span, name, before, identity, _), defer_start = known
                        if encoder.encode_complete(span, begun_span.context, defer_start, name, before, identity, now):
                            continue
                        encoder.started(begun_span, name, before, identity, now)
                    encoder.ended(span, attributes_in_place(span), now)
                elif kind == _UPDATE:
                    updates[key] = entry[2]
                else:
                    self._encode_other(entry, now)
            except Exception:
                faults += 1 if known is None else 2
                self._complain()
        for entry, _ in begun.values():
            # Its end came before it.
            faults += not self._encode_start(entry, now)
        for span in updates.values():
            faults += not self._encode_update(span, now)
        self._intake.settle(faults)

    def _encode_start(self, entry: tuple[Any, ...], now: float) -> bool:
        try:
            self._encoder.started(entry[2], entry[3], entry[4], entry[5], now)
        except Exception:
            self._complain()
            return False
        return True

    def _encode_other(self, entry: tuple[Any, ...], now: float) -> None:
        kind = entry[0]
        if kind == _IDENTIFY:
            self._encoder.identify(entry[1], entry[2], self._clock.time_ns(), now)
        elif kind == _ACTIVITY:
            self._encoder.activity(entry[1], entry[2], now)
        elif kind == _END_FLOW:
            self._encoder.end_flow(entry[1], now)

    def _complain(self) -> None:
        if not self._complained:
            self._complained = True
            _log.exception("A span could not be encoded. It is counted; further ones are not logged.")

    def _encode_update(self, span: ReadableSpan, now: float) -> bool:
        try:
            self._encoder.updated(span, name_of(span.name), attributes_of(span), self._clock.time_ns(), now)
        except Exception:
            _log.exception("An update of a span could not be encoded")
            return False
        return True

    def _hand_on(self) -> None:
        encoder = self._encoder
        if encoder.events:
            events, encoder.events = encoder.held.sift(encoder.events), []
            if self._mirror is not None:
                self._mirror.offer(events, is_refusable)
        if encoder.finished_ids:
            finished, encoder.finished_ids = encoder.finished_ids, []
            archived_in(self._mirror)(finished)
        if encoder.parts:
            parts, encoder.parts = encoder.parts, []
            if self._archive is not None:
                self._archive.offer(parts)


def _ending(entries: list[tuple[Any, ...]]) -> set[int]:
    """The spans that end among these entries."""
    return {entry[1] for entry in entries if entry[0] == _END}


class _Flush:
    """A flush: waits until the encoder has handed on everything that had arrived by then."""

    __slots__ = ("done", "good")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.good = False


def _weakly(pipeline: Pipeline, method: str) -> Any:
    """A callable for hooks that cannot be unregistered: it does not keep the pipeline alive."""
    reference = weakref.ref(pipeline)

    def call() -> None:
        alive = reference()
        if alive is not None:
            getattr(alive, method)()

    return call
