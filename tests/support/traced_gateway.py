"""A pipeline with a tracer before it, as a gateway has them, with ids and times that a test can write down."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import Any, Self

import orjson
import redis
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import Span, set_span_in_context

from spanflow.span_processors import names
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.clock import Clock
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.stages.counters import StageCounts

#: 2026-01-05 12:00 UTC, a Monday.
NOON = 1_767_614_400_000_000_000
MS = 1_000_000


class CountedIds(IdGenerator):
    """Ids 1, 2, 3, …"""

    def __init__(self) -> None:
        self._traces = count(1)
        self._spans = count(1)

    def generate_trace_id(self) -> int:
        return next(self._traces)

    def generate_span_id(self) -> int:
        return next(self._spans)


class TracedGateway:
    """`with TracedGateway(redis_url) as gateway:` gives a tracer whose spans go into that Redis."""

    def __init__(
        self, redis_url: str, *, counted_ids: bool = True, wall_clock: Clock | None = None, **settings: Any
    ) -> None:
        given = {"redis_url": redis_url, "archive_enabled": False, "redis_timeout": 0.5, "flow_grace": 0.05}
        self.settings = Settings(**{**given, **settings})
        self.pipeline = build_pipeline(self.settings, clock=wall_clock)
        self.provider = TracerProvider(
            resource=Resource({"service.name": "gateway"}),
            shutdown_on_exit=False,
            id_generator=CountedIds() if counted_ids else RandomIdGenerator(),
        )
        self.processor = FlowSpanProcessor(self.pipeline)
        self.provider.add_span_processor(self.processor)
        self.tracer = self.provider.get_tracer("gateway.code", "1.2")
        self.clock = NOON

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pipeline.shutdown(2.0)

    @contextmanager
    def span(self, name: str, parent: Span | None = None, **options: Any) -> Iterator[Span]:
        """A span that starts and ends one millisecond after whatever came before it. A root unless it has a parent."""
        span = self.start(name, parent, **options)
        try:
            yield span
        finally:
            self.end(span)

    def start(self, name: str, parent: Span | None = None, **options: Any) -> Span:
        context = (
            set_span_in_context(parent, options.pop("context", Context())) if parent else options.pop("context", None)
        )
        self.clock += MS
        return self.tracer.start_span(name, context or Context(), start_time=self.clock, **options)

    def end(self, span: Span) -> None:
        self.clock += MS
        span.end(end_time=self.clock)

    def counts(self, sink: str = "mirror") -> StageCounts:
        return self.pipeline.counters.sinks[sink]


def flow_id_of(span: Span) -> str:
    return f"{span.get_span_context().trace_id:032x}"


def stream_of(client: "redis.Redis", flow_id: str) -> list[Event]:
    """What stands in a flow's stream, in order, without what differs between runs: the process, and when an update
    was made."""
    field = names.STREAM_FIELD.encode()
    entries: Any = client.xrange(names.flow_stream(flow_id))
    left_out = {"process", "v", "flow_id", "updated_ns"}
    return [
        {key: value for key, value in orjson.loads(entry[field]).items() if key not in left_out}  # type: ignore[misc]
        for _, entry in entries
    ]


def phases_of(client: "redis.Redis", flow_id: str) -> list[tuple[str, str]]:
    """The same in short: node id and phase."""
    return [(event["node_id"].lstrip("0"), event["phase"]) for event in stream_of(client, flow_id)]
