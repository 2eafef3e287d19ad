"""The one place where the pipeline's parts are put together."""

from collections.abc import Callable, Mapping, Sequence

from spanflow.span_processors import native
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
from spanflow.span_processors.redis.mirror import Mirror, archived_in, note_refused
from spanflow.span_processors.redis.mirror_items import MirrorItem
from spanflow.span_processors.redis.redis_link import link_to
from spanflow.span_processors.redis.watched import NoWatchedUsers, WatchedUsers
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
    on_stored: Callable[[Sequence[str]], None] | None = None,
) -> Pipeline:
    """A pipeline for this process. It opens nothing and starts no thread before the first span.

    `on_stored` is called with the ids of flows that are stored, on a thread of the pipeline's.
    """
    clock = clock or SystemClock()
    redactor = redactor or Redactor(RedactionPolicy.from_settings(settings))
    process = ProcessInfo(redactor)
    intake = Intake(settings.queue_spans, settings.queue_bytes)

    def on_emptied() -> None:
        pipeline.retell_open_flows()

    def process_id() -> str:
        return process.instance_id

    mirror = None
    watched = None
    if settings.mirror_enabled:
        mirror = mirror_runner(
            settings, process_id, process.description, on_emptied, clock, lambda: pipeline.counters.losses
        )
        watched = watched_users(settings, intake.wake, clock)
    archive: SinkRunner[FlowPart] | None = None
    sink: ArchiveSink | None = None
    if settings.archive_enabled:
        archive, sink = archive_runner(settings, process_id, mirror, clock, on_stored)
    encoder = Encoder(
        settings,
        process=process,
        watched=watched or NoWatchedUsers(),
        redactor=redactor,
        classifier=classifier or SpanMapping.from_settings(settings),
        archiving=archive is not None,
    )
    pipeline = Pipeline(
        intake=intake,
        encoder=encoder,
        process=process,
        mirror=mirror,
        archive=archive,
        watched=watched,
        batch_interval=settings.batch_interval,
        archive_state=None if sink is None else sink.read_state,
        clock=clock,
    )
    return pipeline


def archive_runner(
    settings: Settings,
    instance_id: Callable[[], str],
    mirror: SinkRunner[MirrorItem] | None,
    clock: Clock,
    on_stored: Callable[[Sequence[str]], None] | None = None,
) -> tuple[SinkRunner[FlowPart], ArchiveSink]:
    """The archive's queue and thread. `mirror` is notified which flows are stored."""
    tell_mirror = archived_in(mirror)

    def stored(flow_ids: Sequence[str]) -> None:
        tell_mirror(flow_ids)
        if on_stored is not None:
            on_stored(flow_ids)

    sink = build_archive(settings, instance_id, on_safe=stored, clock=clock)
    # A transaction costs more than ten flows in it do, and nothing waits for a finished flow.
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
    return SinkRunner(sink, limits=limits, clock=clock, hurry=sink.hurry), sink


def watched_users(settings: Settings, changed: Callable[[], None], clock: Clock) -> WatchedUsers:
    """Who is watched, kept in step with Redis; `changed` is called on its thread."""
    return WatchedUsers(settings, changed=changed, wall_clock=lambda: clock.time_ns() / 1e9)


def mirror_runner(
    settings: Settings,
    instance_id: Callable[[], str],
    process: Callable[[], bytes],
    on_emptied: Callable[[], None],
    clock: Clock,
    losses: Callable[[], Mapping[str, int]] = dict,
) -> SinkRunner[MirrorItem]:
    """The mirror's queue and thread."""
    sink = Mirror(
        link_to(settings, native.chosen(settings.native)),
        settings,
        instance_id=instance_id,
        process=process,
        on_emptied=on_emptied,
        losses=losses,
        clock=clock,
    )
    limits = SinkLimits(
        max_items=settings.queue_spans * 4,
        max_bytes=settings.queue_bytes,
        batch_items=1000,
        batch_bytes=1_000_000,
    )
    return SinkRunner(sink, limits=limits, clock=clock, on_refused=note_refused)
