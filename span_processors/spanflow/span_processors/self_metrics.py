"""The pipeline's own counts as OpenTelemetry metrics; where the SDK has a name for its own processors, that name."""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from spanflow.span_processors import native
from spanflow.span_processors.archive.archive import ArchiveState
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.pipeline_counts import PipelineCounts
from spanflow.span_processors.stages.counters import StageCounts

COMPONENT_TYPE: Final = "spanflow_span_processor"
_INTAKE: Final = "intake"

Kind = Literal["counter", "up-down counter", "gauge"]


@dataclass(frozen=True, slots=True)
class SelfMetric:
    """One metric. The page `docs/metrics.md` is made from these rows."""

    name: str
    kind: Kind
    #: `{item}` where stages hold different things: spans (intake), events (mirror), flows (postgres).
    unit: str
    help: str
    read: Callable[[PipelineCounts], Iterable[Observation]]
    #: Whether there is one value per stage, told apart by `otel.component.name`.
    per_stage: bool = False


def observe(pipeline: Pipeline, meter: Meter) -> None:
    """Let `meter` read the pipeline's counts whenever it collects. It does not keep the pipeline alive."""
    reference = weakref.ref(pipeline)
    make = {
        "counter": meter.create_observable_counter,
        "up-down counter": meter.create_observable_up_down_counter,
        "gauge": meter.create_observable_gauge,
    }

    def reading(read: Callable[[PipelineCounts], Iterable[Observation]]) -> Callable[..., Iterable[Observation]]:
        def callback(options: CallbackOptions) -> Iterable[Observation]:
            alive = reference()
            return () if alive is None else read(alive.counters)

        return callback

    for metric in METRICS:
        make[metric.kind](metric.name, [reading(metric.read)], metric.unit, metric.help)


def _each(value: Callable[[StageCounts], float | None]) -> Callable[[PipelineCounts], Iterable[Observation]]:
    def read(counts: PipelineCounts) -> Iterable[Observation]:
        for stage, labels in _stages(counts):
            number = value(stage)
            if number is not None:
                yield Observation(number, labels)

    return read


def _one(value: Callable[[PipelineCounts], float]) -> Callable[[PipelineCounts], Iterable[Observation]]:
    return lambda counts: [Observation(value(counts))]


def _archive(value: Callable[[ArchiveState], float]) -> Callable[[PipelineCounts], Iterable[Observation]]:
    """Nothing where flows are not archived."""
    return lambda counts: () if counts.archive is None else [Observation(value(counts.archive))]


def _processed(counts: PipelineCounts) -> Iterable[Observation]:
    for stage, labels in _stages(counts):
        yield Observation(stage.delivered, labels)
        for reason, number in stage.dropped.items():
            yield Observation(number, {**labels, "error.type": reason})


def _stages(counts: PipelineCounts) -> Iterable[tuple[StageCounts, dict[str, str]]]:
    for name, stage in ((_INTAKE, counts.intake), *counts.sinks.items()):
        yield stage, {"otel.component.type": COMPONENT_TYPE, "otel.component.name": f"{COMPONENT_TYPE}/{name}"}


METRICS: Final = (
    SelfMetric(
        "spanflow.processor.accepted",
        "counter",
        "{item}",
        "Items that arrived at a stage, including those it dropped.",
        _each(lambda stage: stage.accepted),
        per_stage=True,
    ),
    SelfMetric(
        "otel.sdk.processor.span.processed",
        "counter",
        "{item}",
        "Items that a stage has finished: delivered, or dropped for the reason in `error.type`. For `postgres`, "
        "spooled flows count as delivered.",
        _processed,
        per_stage=True,
    ),
    SelfMetric(
        "otel.sdk.processor.span.queue.size",
        "up-down counter",
        "{item}",
        "Items that are queued in a stage or being delivered.",
        _each(lambda stage: stage.waiting),
        per_stage=True,
    ),
    SelfMetric(
        "otel.sdk.processor.span.queue.capacity",
        "up-down counter",
        "{item}",
        "Maximum queue length of a stage. Bytes are bounded as well.",
        _each(lambda stage: stage.capacity),
        per_stage=True,
    ),
    SelfMetric(
        "spanflow.processor.queue.bytes",
        "up-down counter",
        "By",
        "Bytes queued in a stage.",
        _each(lambda stage: stage.waiting_bytes),
        per_stage=True,
    ),
    SelfMetric(
        "spanflow.processor.lag",
        "gauge",
        "s",
        "Age of the oldest item that waits for Redis (`mirror`) or Postgres (`postgres`), to a tenth of a second.",
        _each(lambda stage: stage.lag),
        per_stage=True,
    ),
    SelfMetric(
        "spanflow.flows.open",
        "up-down counter",
        "{flow}",
        "Flows that are not complete yet.",
        _one(lambda counts: counts.open_flows),
    ),
    SelfMetric(
        "spanflow.flows.open.bytes",
        "up-down counter",
        "By",
        "Bytes held in memory for flows that are not complete yet.",
        _one(lambda counts: counts.open_bytes),
    ),
    SelfMetric(
        "spanflow.flows.left_out",
        "counter",
        "{flow}",
        "Flows that were left out as noise, such as health checks.",
        _one(lambda counts: counts.left_out),
    ),
    SelfMetric(
        "spanflow.redaction.shortened",
        "counter",
        "{text}",
        "Strings truncated because their flow had used up `SPANFLOW_MAX_FLOW_TEXT`.",
        _one(lambda counts: counts.shortened_texts),
    ),
    SelfMetric(
        "spanflow.native.faults",
        "counter",
        "{fault}",
        "Faults of the native core. After the first one Python does its work, until the process ends.",
        _one(lambda counts: native.faults()),
    ),
    SelfMetric(
        "spanflow.spool.size",
        "up-down counter",
        "By",
        "Bytes on disk that wait for Postgres, including those taken over from dead processes.",
        _archive(lambda archive: archive.spool_bytes),
    ),
    SelfMetric(
        "spanflow.spool.written",
        "counter",
        "{flow}",
        "Finished flows written to the spool.",
        _archive(lambda archive: archive.spooled),
    ),
    SelfMetric(
        "spanflow.spool.replayed",
        "counter",
        "{flow}",
        "Finished flows replayed from the spool into Postgres.",
        _archive(lambda archive: archive.replayed),
    ),
    SelfMetric(
        "spanflow.spool.usable",
        "gauge",
        "1",
        "1 if the spool was writable at the last write or check (every ten seconds), else 0.",
        _archive(lambda archive: int(not archive.spool_problem)),
    ),
    SelfMetric(
        "spanflow.spool.unreadable",
        "up-down counter",
        "{file}",
        "Segments and folders of the spool that cannot be read at present.",
        _archive(lambda archive: archive.unreadable),
    ),
    SelfMetric(
        "spanflow.archive.poisoned",
        "counter",
        "{record}",
        "Records whose contents Postgres refuses; they are in the table `poison_records`.",
        _archive(lambda archive: archive.poisoned),
    ),
)
