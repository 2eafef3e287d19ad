"""The one place where the pipeline's parts are put together."""

import threading
from collections.abc import Callable

from spanflow.span_processors.archive.archive import (
    BATCH,
    BATCH_BYTES,
    BATCHES,
    LINGER,
    SET_ASIDE_FROM,
    ArchiveSink,
    build_archive,
)
from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.mapping import SpanMapping
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.encoding.span_events import Classifier
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redis.mirror import Mirror, MirrorItem, archived_in, note_refused
from spanflow.span_processors.redis.redis_link import link_to
from spanflow.span_processors.redis.watched import NobodyWatched, WatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.stages.intake import Intake
from spanflow.span_processors.stages.sink import SinkLimits
from spanflow.span_processors.stages.sink_runner import SinkRunner


def build_pipeline(
    settings: Settings,
    *,
    redactor: Redactor | None = None,
    classifier: Classifier | None = None,
    clock: Clock | None = None,
) -> Pipeline:
    """A pipeline for this process. It opens nothing and starts no thread before the first span."""
    clock = clock or SystemClock()
    redactor = redactor or Redactor(RedactionPolicy.from_settings(settings))
    process = ProcessInfo(redactor)
    intake = Intake(settings.queue_spans, settings.queue_bytes)
    emptied = threading.Event()

    def on_emptied() -> None:
        emptied.set()
        intake.wake()

    mirror = _mirror(settings, process, on_emptied, clock) if settings.mirror_enabled else None
    watched = _watched(settings, intake, clock) if settings.mirror_enabled else None
    archive: SinkRunner[FlowPart] | None = None
    sink: ArchiveSink | None = None
    if settings.archive_enabled:
        sink = build_archive(settings, lambda: process.instance_id, on_safe=archived_in(mirror), clock=clock)
        # A transaction costs more than ten flows in it do, and nobody waits for a finished flow.
        limits = SinkLimits(
            max_items=settings.open_flows,
            max_bytes=settings.queue_bytes,
            batch_items=BATCHES * BATCH,
            batch_bytes=BATCHES * BATCH_BYTES,
            linger=LINGER,
            timeout=settings.postgres_timeout,
            spare=0.3,
            set_aside_from=SET_ASIDE_FROM,
        )
        archive = SinkRunner(sink, limits=limits, clock=clock, hurry=sink.hurry)
    encoder = Encoder(
        settings,
        process=process,
        watched=watched or NobodyWatched(),
        redactor=redactor,
        classifier=classifier or SpanMapping.from_settings(settings),
        archiving=archive is not None,
    )
    return Pipeline(
        intake=intake,
        encoder=encoder,
        process=process,
        mirror=mirror,
        archive=archive,
        watched=watched,
        batch_interval=settings.batch_interval,
        mirror_emptied=emptied,
        archive_state=None if sink is None else sink.read_state,
        clock=clock,
    )


def _watched(settings: Settings, intake: Intake, clock: Clock) -> WatchedUsers:
    return WatchedUsers(settings, changed=intake.wake, wall_clock=lambda: clock.time_ns() / 1e9)


def _mirror(
    settings: Settings, process: ProcessInfo, on_emptied: Callable[[], None], clock: Clock
) -> SinkRunner[MirrorItem]:
    sink = Mirror(
        link_to(settings),
        settings,
        instance_id=lambda: process.instance_id,
        process=process.description,
        on_emptied=on_emptied,
        clock=clock,
    )
    limits = SinkLimits(
        max_items=settings.queue_spans * 4,
        max_bytes=settings.queue_bytes,
        batch_items=1000,
        batch_bytes=1_000_000,
    )
    return SinkRunner(sink, limits=limits, clock=clock, on_refused=note_refused)
