"""The way of received spans and log records through this process: queue → one encoding thread → Redis and Postgres, as
in a gateway.

Everything that happens to a gateway's own spans happens here by the same code: redaction, content policy, mapping,
identity, outcomes, limits. No thread starts and nothing is opened before the first request.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from spanflow.span_processors import native
from spanflow.span_processors.assembly import archive_runner, mirror_runner, watched_users
from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.encoding.process_info import new_instance_id
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redis.mirror import HEARTBEAT_EVERY, archived_in, is_refusable
from spanflow.span_processors.redis.mirror_items import OtherProcess
from spanflow.span_processors.setting_table import MIB
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.span_processors.stages import counters
from spanflow.span_processors.stages.counters import StageCounts, Tally
from spanflow.span_processors.stages.own_thread import OwnThread
from spanflow.viewer_api.otlp.lazy_messages import LazyResourceSpans
from spanflow.viewer_api.otlp.log_record import LogGroup, Place, SpanLog, span_log
from spanflow.viewer_api.otlp.sources import Source, Sources
from spanflow.viewer_api.otlp.span_decoder import SpanDecoder
from spanflow.viewer_api.otlp.span_queue import Batch, SpanQueue
from spanflow.viewer_api.otlp.unplaced_logs import KnownResponses, Unplaced, UnplacedLogs

_log = logging.getLogger(__name__)

#: Spans that are encoded before the event loop gets the interpreter: about a millisecond.
_SLICE: Final = 50
_HANDFUL: Final = 500
#: Where a sink has less room than this, nothing more is accepted.
_ROOM: Final = 0.2
_ROOM_TO_RETELL: Final = 0.5
_ARCHIVE_SHARE: Final = 0.7
_MAX_SPANS: Final = 200_000


def ingest_settings(shared: SharedSettings, environ: Mapping[str, str] | None = None) -> Settings:
    """What gateways read (content, redaction, rules, limits), with the servers of this viewer. `SettingsError` also
    where they require a native core that is not here."""
    servers = {row.name: getattr(shared, row.name) for row in SharedSettings.rows()}
    settings = Settings.from_environ(environ)
    native.chosen(settings.native)
    return replace(settings, **servers, mirror_enabled=True, archive_enabled=True)


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """Received spans. `spans.accepted == delivered + dropped + waiting`; the same holds for each sink."""

    spans: StageCounts
    #: Refused before they were accepted, by reason; clients were told.
    refused: dict[str, int] = field(default_factory=dict)
    sinks: dict[str, StageCounts] = field(default_factory=dict)
    #: The same of log records; what waits for its span is among those that wait.
    logs: StageCounts = field(default_factory=StageCounts)
    refused_logs: dict[str, int] = field(default_factory=dict)
    sources: int = 0
    open_flows: int = 0


class Ingest:
    """All methods may be called from any thread. It is made in a process that does not fork any more."""

    def __init__(self, settings: Settings, *, max_bytes: int = 64 * MIB, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._instance_id = new_instance_id()
        self._queue = SpanQueue(_MAX_SPANS, max_bytes)
        self._emptied = threading.Event()
        self._mirror = mirror_runner(settings, lambda: self._instance_id, lambda: b"{}", self._on_emptied, self._clock)
        self._archive, self._archive_sink = archive_runner(
            settings, lambda: self._instance_id, self._mirror, self._clock
        )
        self._watched = watched_users(settings, self._queue.wake, self._clock)
        self.redactor = redactor = Redactor(RedactionPolicy.from_settings(settings))
        self._sources = Sources(settings, redactor, self._watched)
        self._thread = OwnThread("otlp", self._run)
        self._lock = threading.Lock()
        self._tally = Tally()
        self._refused: dict[str, int] = {}
        self._log_tally = Tally()
        self._refused_logs: dict[str, int] = {}
        self._responses = KnownResponses()
        self._decoder = SpanDecoder(self._responses)
        #: Log records whose spans are looked for by a job of the viewer, which hands them to `place`.
        self.unplaced = UnplacedLogs(self._lose_log)
        self._open_flows = self._source_count = 0
        self._stopping = False
        self._complained = False

    # -- the routes ----------------------------------------------------------------------------------------------------

    def accept(self, batch: Batch) -> bool:
        """Take in a whole request; False when there is no room for it. What is accepted is stored, or counted as lost
        with the reason."""
        with self._lock:
            taken = self._archive.has_room(_ROOM) and self._queue.offer(batch)
            if taken:
                self._tally.accepted += batch.spans
                self._log_tally.accepted += batch.records
        if not taken:
            if batch.spans:
                self.refuse(counters.QUEUE_FULL, batch.spans)
            if batch.records:
                self.refuse_logs(counters.QUEUE_FULL, batch.records)
            return False
        self._start_threads()
        return True

    def store(self, parts: Sequence[FlowPart]) -> bool:
        """Take in whole flows; False when there is no room for them. What is accepted is stored or spooled."""
        if not self._archive.has_room(_ROOM):
            return False
        self._start_threads()
        self._archive.offer(list(parts))
        return True

    def refuse(self, reason: str, spans: int) -> None:
        """Count what was not accepted, as far as it could be read."""
        with self._lock:
            self._refused[reason] = self._refused.get(reason, 0) + spans

    def refuse_logs(self, reason: str, records: int) -> None:
        """The same of log records."""
        with self._lock:
            self._refused_logs[reason] = self._refused_logs.get(reason, 0) + records

    def place(self, waiting: Unplaced, place: Place) -> None:
        """The span of a waiting log record has been found."""
        if not self._queue.offer(Batch((), 0, waiting.size, placed=((waiting.group, waiting.log, place),))):
            self.unplaced.again(waiting, self._clock.monotonic())

    def _lose_log(self, reason: str) -> None:
        with self._lock:
            self._log_tally.dropped[reason] += 1

    def _start_threads(self) -> None:
        if not self._thread.started:
            self._watched.ensure_started()
            self._archive.ensure_started()
            self._mirror.ensure_started()
            self._thread.ensure_started()

    # -- the viewer ----------------------------------------------------------------------------------------------------

    def counts(self) -> IngestCounts:
        with self._lock:
            tally = self._tally
            waiting = tally.accepted - tally.delivered - sum(tally.dropped.values())
            spans = tally.read(waiting, self._queue.waiting_bytes)
            refused = dict(self._refused)
            log_tally = self._log_tally
            logs = log_tally.read(log_tally.accepted - log_tally.delivered - sum(log_tally.dropped.values()), 0)
            refused_logs = dict(self._refused_logs)
        sinks = {runner.sink.name: runner.counts() for runner in (self._mirror, self._archive)}
        return IngestCounts(spans, refused, sinks, logs, refused_logs, self._source_count, self._open_flows)

    @property
    def spooled(self) -> int:
        """Flows that went to the disk, because Postgres did not take them."""
        return self._archive_sink.state.spooled

    def shutdown(self, timeout: float) -> bool:
        """Take nothing in any more, hand over every flow, deliver what there is time for, and end all threads."""
        deadline = self._clock.monotonic() + timeout
        self._stopping = True
        self._queue.close()
        good = self._thread.join(self._left(deadline))
        self.unplaced.close()
        # The archive first: what it has made safe is still to be told to the mirror.
        good = self._archive.shutdown(self._clock.monotonic() + self._left(deadline) * _ARCHIVE_SHARE) and good
        good = self._mirror.shutdown(deadline) and good
        return self._watched.shutdown(deadline) and good

    def _left(self, deadline: float) -> float:
        return max(0.0, deadline - self._clock.monotonic())

    def _on_emptied(self) -> None:
        self._emptied.set()
        self._queue.wake()

    # -- the ingest thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            stopping = self._stopping
            try:
                if not self._turn():
                    return
            except Exception:
                _log.exception("an iteration of the OTLP ingest failed")
                if stopping:
                    return
                time.sleep(0.1)

    def _turn(self) -> bool:
        # Read first: what is accepted before the queue is closed is still taken.
        stopping = self._stopping
        batch = self._queue.take(0.0 if stopping else self._next_due())
        if batch is not None:
            self._encode(batch)
            self._encode_logs(batch)
        now = self._clock.monotonic()
        if self._emptied.is_set():
            self._emptied.clear()
            for source in self._sources:
                source.encoder.retelling.begin()
                source.beat_at = 0.0
        ending = stopping and batch is None
        for source in self._sources:
            encoder = source.encoder
            if not (len(encoder) or encoder.events or encoder.parts):
                continue
            if encoder.retelling and self._mirror.has_room(_ROOM_TO_RETELL):
                encoder.events += encoder.retelling.items(_HANDFUL)
            if ending:
                encoder.complete_all()
            encoder.complete(now)
            self._hand_on(source)
        self._relieve()
        return not ending

    def _next_due(self) -> float:
        now = self._clock.monotonic()
        due = [source.encoder.next_due(now) for source in self._sources if len(source.encoder)]
        return min([1.0, *due])

    def _encode(self, batch: Batch) -> None:
        done = faults = 0
        now = self._clock.monotonic()
        try:
            for group in batch.groups:
                source = self._source(group)
                encoder = source.encoder
                decode = self._decoder.decode
                for scope_spans in group.scope_spans:
                    scope = source.scope(scope_spans)
                    for data in scope_spans.spans:
                        done += 1
                        try:
                            decode(data, source, scope, now)
                        except Exception:
                            faults += 1
                            self._complain()
                        if not done % _SLICE:
                            # Otherwise the event loop would wait until the interpreter takes turns by itself.
                            time.sleep(0)
                            now = self._clock.monotonic()
                            if len(encoder.events) >= _HANDFUL:
                                self._hand_on(source)
        finally:
            self._queue.settle(batch)
            with self._lock:
                faults += batch.spans - done
                self._tally.delivered += batch.spans - faults
                if faults:
                    self._tally.dropped[counters.FAULT] += faults

    def _source(self, group: LazyResourceSpans | LogGroup) -> Source:
        source, let_go = self._sources.of(group)
        if let_go is not None:
            let_go.encoder.complete_early()
            self._hand_on(let_go)
        return source

    def _encode_logs(self, batch: Batch) -> None:
        for group in batch.logs:
            origin = LogGroup(group.resource, group.schema_url, ())
            for message in group.records:
                try:
                    log = span_log(message)
                    place = self._responses.place(log.response_id) if log.response_id else None
                    place = place or log.place
                    if place is None:
                        now = self._clock.monotonic()
                        self.unplaced.add(Unplaced(origin, log, message.ByteSize(), now, now))
                        continue
                    self._attach(origin, log, place)
                except Exception:
                    self._lose_log(counters.FAULT)
                    self._complain()
        for origin, log, place in batch.placed:
            try:
                self._attach(origin, log, place)
            except Exception:
                self._lose_log(counters.FAULT)
                self._complain()

    def _attach(self, origin: LogGroup, log: SpanLog, place: Place) -> None:
        source = self._source(origin)
        time_ns = log.time_ns or self._clock.time_ns()
        source.encoder.logged(place, log.name, time_ns, log.attributes, self._clock.monotonic())
        with self._lock:
            self._log_tally.delivered += 1

    def _hand_on(self, source: Source) -> None:
        encoder = source.encoder
        encoder.ring()
        now = self._clock.monotonic()
        if encoder.events or len(encoder):
            if now >= source.beat_at:
                source.beat_at = now + HEARTBEAT_EVERY
                self._mirror.offer([OtherProcess(source.process.instance_id, source.process.description())])
            events, encoder.events = encoder.events, []
            self._mirror.offer(events, is_refusable)
        if encoder.parts:
            parts, encoder.parts = encoder.parts, []
            self._archive.offer(parts)
        if encoder.finished_ids:
            finished, encoder.finished_ids = encoder.finished_ids, []
            archived_in(self._mirror)(finished)

    def _relieve(self) -> None:
        """The limits of open flows hold for all services together."""
        sources = list(self._sources)
        self._source_count = len(sources)
        self._open_flows = sum(len(source.encoder) for source in sources)
        size = sum(source.encoder.open_bytes for source in sources)
        if self._open_flows > self._settings.open_flows or size > self._settings.open_flows_bytes:
            largest = max(sources, key=lambda source: (source.encoder.open_bytes, len(source.encoder)))
            largest.encoder.complete_early()
            self._hand_on(largest)

    def _complain(self) -> None:
        if not self._complained:
            self._complained = True
            _log.exception("Received spans could not be encoded. They are counted; further faults are not logged.")
