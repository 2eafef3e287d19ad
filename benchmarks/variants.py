"""The ways of tracing that are compared. Each gives the request to serve, and a function that waits for the rest."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import redis.asyncio
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.workload import Request, documented, traced, untraced, user_of
from spanflow.instrumentation import runtime as runtimes
from spanflow.instrumentation.quick.quick_provider import quicken
from spanflow.instrumentation.startup import record
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.pipeline_counts import PipelineCounts
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

#: The reference that every ratio is against: the SDK, its batch processor and an exporter that does nothing.
REFERENCE = "c SDK + batch processor, no-op exporter"
NONE = "a no tracing"
PLAINLY = "b a plain design"
OTLP = "d SDK + batch processor, OTLP"
MIRROR = "m Spanflow, mirror only"
EVERYTHING = "s Spanflow, everything on"
#: As gateways run it, and as the targets are judged.
DOCUMENTED = "k Spanflow, everything on: checkpoint(), identify()"
#: The same with the native core, where this installation has one.
EVERYTHING_NATIVE = "sn Spanflow, everything on, native core"
DOCUMENTED_NATIVE = "kn Spanflow, everything on, native core: checkpoint(), identify()"
#: Few spans are lost in the queue of the reference, or it would look faster than it is.
_QUEUE = 65_536


@dataclass(frozen=True)
class Servers:
    """Where the variants write."""

    redis_url: str
    postgres_dsn: str
    otlp_url: str
    data_dir: str
    #: A database of its own, for weeks of past flows.
    history_dsn: str = ""


@dataclass
class Variant:
    """One way of tracing, ready to serve."""

    request: Request
    flush: Callable[[], bool]
    close: Callable[[], None]
    pipeline: Pipeline | None = None

    def counts(self) -> PipelineCounts | None:
        return self.pipeline.counters if self.pipeline else None


class NoExporter(SpanExporter):
    """Takes spans and drops them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to close."""


def _provider(*processors: Any) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


def _from_provider(provider: TracerProvider, pipeline: Pipeline | None = None) -> Variant:
    return Variant(traced(provider.get_tracer("benchmark")), provider.force_flush, provider.shutdown, pipeline)


def none(servers: Servers) -> Variant:
    return Variant(untraced(), lambda: True, lambda: None)


def reference(servers: Servers) -> Variant:
    return _from_provider(_provider(BatchSpanProcessor(NoExporter(), max_queue_size=_QUEUE)))


def otlp(servers: Servers) -> Variant:
    exporter = OTLPSpanExporter(endpoint=servers.otlp_url)
    return _from_provider(_provider(BatchSpanProcessor(exporter, max_queue_size=_QUEUE)))


def _settings(servers: Servers, archive: bool = True, native: str = "off") -> Settings:
    return Settings(
        redis_url=servers.redis_url,
        postgres_dsn=servers.postgres_dsn,
        data_dir=servers.data_dir,
        archive_enabled=archive,
        native=native,
    )


def _spanflow(
    servers: Servers, *, archive: bool, batch_processor: bool = False, quick: bool = True, native: str = "off"
) -> Variant:
    pipeline = build_pipeline(_settings(servers, archive, native))
    processors: list[Any] = [FlowSpanProcessor(pipeline)]
    if batch_processor:
        processors.append(BatchSpanProcessor(NoExporter(), max_queue_size=_QUEUE))
    provider = _provider(*processors)
    if quick:  # as in a gateway that was started under Spanflow
        quicken(provider)
    return _from_provider(provider, pipeline)


def mirror(servers: Servers) -> Variant:
    return _spanflow(servers, archive=False)


def everything(servers: Servers) -> Variant:
    return _spanflow(servers, archive=True)


def everything_native(servers: Servers) -> Variant:
    return _spanflow(servers, archive=True, native="auto")


def as_documented(servers: Servers, native: str = "off") -> Variant:
    """What `configure` makes of a process, without FastAPI: every variant is served by the same bare application."""
    settings = _settings(servers, native=native)
    pipeline = build_pipeline(settings)
    provider = _provider()
    trace.set_tracer_provider(provider)
    runtimes.install(record(provider, pipeline, settings))
    tracer = provider.get_tracer("benchmark")
    return Variant(documented(tracer), provider.force_flush, provider.shutdown, pipeline)


def everything_with_spans_of_the_sdk(servers: Servers) -> Variant:
    return _spanflow(servers, archive=True, quick=False)


def everything_and_batch_processor(servers: Servers) -> Variant:
    return _spanflow(servers, archive=True, batch_processor=True)


class PlainTracker:
    """A plain design: every checkpoint awaits its own round trips to Redis."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._clients: dict[asyncio.AbstractEventLoop, redis.asyncio.Redis] = {}

    def _client(self) -> redis.asyncio.Redis:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = redis.asyncio.Redis.from_url(self._url, decode_responses=True)
        return self._clients[loop]

    async def log_event(
        self, session_id: str, user_id: str, event_type: str, parent_id: str | None, **data: Any
    ) -> str:
        client = self._client()
        node_id = str(uuid.uuid4())
        event: dict[Any, Any] = {
            "session_id": session_id,
            "node_id": node_id,
            "event_type": event_type,
            "parent_id": parent_id or "",
            "timestamp": str(time.time()),
            **{key: str(value) for key, value in data.items()},
        }
        key = f"flow:{session_id}"
        await client.xadd(key, event)
        await client.expire(key, 86_400)
        if await client.sismember("monitored_users", user_id):
            await client.publish(f"flow_events:{user_id}", orjson.dumps(event))
        return node_id


def plainly(servers: Servers) -> Variant:
    tracker = PlainTracker(servers.redis_url)

    async def request(number: int) -> None:
        session, user = str(uuid.uuid4()), user_of(number)

        def log(kind: str, parent: str | None = None, **data: Any) -> Awaitable[str]:
            return tracker.log_event(session, user, kind, parent, **data)

        node = await log("auth_check", method="bearer", passed=True)
        node = await log("block_check", node, blocked=False, checked=3)
        node = await log("usage_check", node, remaining=1000 - number % 1000, limit=1000)
        thinking = await log("llm_thinking", node, model="example-large")
        for call in range(5):
            await log("tool_call", thinking, mcp="qa_mcp", tool="list_snapshots", call=call)
        await log("llm_complete", thinking, tokens=1555, finish_reason="stop", score=0.93)

    return Variant(request, lambda: True, lambda: None)


VARIANTS: dict[str, Callable[[Servers], Variant]] = {
    NONE: none,
    PLAINLY: plainly,
    REFERENCE: reference,
    OTLP: otlp,
    MIRROR: mirror,
    EVERYTHING: everything,
    DOCUMENTED: as_documented,
    EVERYTHING_NATIVE: everything_native,
    DOCUMENTED_NATIVE: partial(as_documented, native="auto"),
    "u Spanflow, everything on, the SDK's own spans": everything_with_spans_of_the_sdk,
    "t Spanflow, everything on, and a batch processor": everything_and_batch_processor,
}
