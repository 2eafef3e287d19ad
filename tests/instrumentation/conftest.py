"""A tracer provider that keeps every finished span, installed the way `configure` installs one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from spanflow.instrumentation import shutdown
from spanflow.instrumentation.identity_processor import IdentitySpanProcessor
from spanflow.instrumentation.runtime import install, unconfigured
from spanflow.instrumentation.startup import start
from spanflow.span_processors.settings import Settings
from tests.support.span_tree import Node, outline, span_tree


class KeepAll(SimpleSpanProcessor):
    """Keeps spans that are not sampled for export, too."""

    def on_end(self, span: ReadableSpan) -> None:
        self.span_exporter.export((span,))


@dataclass
class Recorded:
    """What was recorded, and the provider that records it."""

    provider: TracerProvider = field(default_factory=lambda: TracerProvider(shutdown_on_exit=False))
    memory: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.memory.get_finished_spans()

    def tree(self, attributes: Sequence[str] | None = None) -> list[Node]:
        return span_tree(self.spans, attributes)

    def outline(self) -> list[str]:
        return outline(self.spans)

    def trace_ids(self) -> list[str]:
        """Each trace once, in the order in which they ended."""
        return list({f"{span.context.trace_id:032x}": None for span in self.spans if span.context is not None})

    def only(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.spans if span.name == name]
        return span


@pytest.fixture
def started(fresh_otel: None) -> Iterator[Callable[..., Recorded]]:
    """Starts Spanflow as a process does, without Redis and Postgres: `started(trusted_peers=())`."""
    made: list[Recorded] = []

    def start_process(sampler: Sampler | None = None, **changes: Any) -> Recorded:
        recorded = Recorded(TracerProvider(sampler=sampler, shutdown_on_exit=False))
        made.append(recorded)
        trace.set_tracer_provider(recorded.provider)
        assert start(Settings(enabled=True, mirror_enabled=False, archive_enabled=False, **changes)) is not None
        recorded.provider.add_span_processor(KeepAll(recorded.memory))
        return recorded

    yield start_process
    shutdown()
    for recorded in made:
        recorded.provider.shutdown()


@pytest.fixture
def recorded(fresh_otel: None) -> Iterator[Recorded]:
    recorded = Recorded()
    recorded.provider.add_span_processor(IdentitySpanProcessor())
    recorded.provider.add_span_processor(SimpleSpanProcessor(recorded.memory))
    trace.set_tracer_provider(recorded.provider)
    before = install(unconfigured())
    yield recorded
    install(before)
    recorded.provider.shutdown()


@pytest.fixture
def fresh_mcp_tracer() -> Iterator[None]:
    """The MCP SDK's tracer remembers the first provider it met, which was an earlier test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcp.shared._otel._tracer", trace.ProxyTracer("mcp-python-sdk"))
        yield
