"""The pipeline's own counts as OpenTelemetry metrics, under the names that the SDK uses for its span processors."""

import weakref
from collections.abc import Callable, Iterable
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from spanflow.span_processors.pipeline import Pipeline, PipelineCounts
from spanflow.span_processors.stages.counters import StageCounts

PROCESSED: Final = "otel.sdk.processor.span.processed"
QUEUE_SIZE: Final = "otel.sdk.processor.span.queue.size"
QUEUE_CAPACITY: Final = "otel.sdk.processor.span.queue.capacity"
ACCEPTED: Final = "spanflow.processor.accepted"
LAG: Final = "spanflow.processor.lag"
SPOOL_SIZE: Final = "spanflow.spool.size"
OPEN_FLOWS: Final = "spanflow.flows.open"

COMPONENT_TYPE: Final = "spanflow_span_processor"
_INTAKE: Final = "intake"

_Labels = dict[str, str]


def observe(pipeline: Pipeline, meter: Meter) -> None:
    """Let `meter` read the pipeline's counts whenever it collects. It does not keep the pipeline alive."""
    reference = weakref.ref(pipeline)

    def reading(read: Callable[[PipelineCounts], Iterable[Observation]]) -> Callable[..., Iterable[Observation]]:
        def callback(options: CallbackOptions) -> Iterable[Observation]:
            alive = reference()
            return () if alive is None else read(alive.counters)

        return callback

    meter.create_observable_counter(
        PROCESSED, [reading(_processed)], "{span}", "What a stage has finished; error.type says why it was lost"
    )
    meter.create_observable_counter(
        ACCEPTED, [reading(_each(lambda stage: stage.accepted))], "{span}", "What came to a stage"
    )
    meter.create_observable_up_down_counter(
        QUEUE_SIZE, [reading(_each(lambda stage: stage.waiting))], "{span}", "What waits in a stage"
    )
    meter.create_observable_up_down_counter(
        QUEUE_CAPACITY, [reading(_each(lambda stage: stage.capacity))], "{span}", "How much can wait in a stage"
    )
    meter.create_observable_gauge(LAG, [reading(_lags)], "s", "The age of the oldest thing that waits for a server")
    meter.create_observable_up_down_counter(
        OPEN_FLOWS, [reading(lambda counts: [Observation(counts.open_flows)])], "{flow}", "Flows that are not complete"
    )
    meter.create_observable_up_down_counter(
        SPOOL_SIZE,
        [reading(lambda counts: [Observation(counts.spool_bytes)])],
        "By",
        "What waits on disk until Postgres takes it",
    )


def _each(value: Callable[[StageCounts], float]) -> Callable[[PipelineCounts], Iterable[Observation]]:
    def read(counts: PipelineCounts) -> Iterable[Observation]:
        return [Observation(value(stage), labels) for stage, labels in _stages(counts)]

    return read


def _lags(counts: PipelineCounts) -> Iterable[Observation]:
    return [Observation(stage.lag, labels) for stage, labels in _stages(counts) if stage.lag is not None]


def _processed(counts: PipelineCounts) -> Iterable[Observation]:
    for stage, labels in _stages(counts):
        yield Observation(stage.delivered, labels)
        for reason, number in stage.dropped.items():
            yield Observation(number, {**labels, "error.type": reason})


def _stages(counts: PipelineCounts) -> Iterable[tuple[StageCounts, _Labels]]:
    for name, stage in ((_INTAKE, counts.intake), *counts.sinks.items()):
        yield stage, {"otel.component.type": COMPONENT_TYPE, "otel.component.name": f"{COMPONENT_TYPE}/{name}"}
