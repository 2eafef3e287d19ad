"""What must be the same with every release of OpenTelemetry; `make test-otel-versions` runs it with several."""

import logging
from importlib.metadata import version
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from packaging.version import Version

from spanflow.instrumentation import checkpoint, configure, flow, shutdown
from spanflow.instrumentation.quick.quick_provider import quicken
from spanflow.span_processors.opentelemetry_versions import AlwaysRecordSampler, tracers_of
from spanflow.span_processors.redaction.redacting_exporter import RedactingExporter
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.settings import Settings
from tests.support.mirrored import flows_of
from tests.support.poll import eventually
from tests.support.quick_spans import has_quick_spans

SDK = Version(version("opentelemetry-sdk"))
NESTED: dict[str, Any] = {
    "where": {"status": ["open", None], "limit": 3},
    "rows": [[1, 2], [3]],
    "mixed": [1, "a", 2.5],
}


def test_nested_values_are_whole_in_a_flow_and_in_what_is_exported(redis_url: str) -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(RedactingExporter(memory, Redactor())))
    trace.set_tracer_provider(provider)
    assert configure(settings=Settings(enabled=True, archive_enabled=False, redis_url=redis_url))
    with flow("turn", user_id="ann", filters=NESTED), checkpoint("tool_call", filters=NESTED) as step:
        step.set(outcome_rows=NESTED["rows"])
    eventually(lambda: "outcome_rows" in str(flows_of(redis_url, "ann")))
    shutdown(5)
    [events] = flows_of(redis_url, "ann").values()
    told: dict[str, Any] = {}
    for event in events:
        told.update(event.get("attributes", {}))
    assert told["flow.data.filters"] == NESTED
    assert told["flow.data.outcome_rows"] == NESTED["rows"]
    [exported] = [span for span in memory.get_finished_spans() if span.name == "tool_call"]
    value: Any = (exported.attributes or {})["flow.data.filters"]
    as_json = '{"where":{"status":["open",null],"limit":3},"rows":[[1,2],[3]],"mixed":[1,"a",2.5]}'
    as_value = {"where": {"status": ("open", None), "limit": 3}, "rows": ((1, 2), (3,)), "mixed": (1, "a", 2.5)}
    assert value == (as_value if SDK >= Version("1.45") else as_json)


def test_the_tracers_of_a_provider_are_known_and_those_of_others_are_not() -> None:
    one, other = (TracerProvider(shutdown_on_exit=False) for _ in range(2))
    made = {id(one.get_tracer(name)) for name in ("a", "b")}
    assert other.get_tracer("c")
    tracers = [one.get_tracer("a"), one.get_tracer("b")]
    found = {id(tracer) for tracer in tracers_of(one)}
    assert made | {id(tracer) for tracer in tracers} >= found >= {id(tracer) for tracer in tracers}


def test_a_sampler_that_records_everything_says_which_one_it_stands_before() -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    sampler: Any = AlwaysRecordSampler(ALWAYS_OFF)
    assert sampler.get_description() == "AlwaysRecordSampler{AlwaysOffSampler}"
    span = TracerProvider(sampler=sampler, shutdown_on_exit=False).get_tracer("x").start_span("x")
    assert span.is_recording() and not span.get_span_context().trace_flags.sampled


def test_spans_are_quick_from_1_45_on_and_before_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="spanflow"):
        quick = quicken(TracerProvider(shutdown_on_exit=False))
    assert quick is has_quick_spans() is (SDK >= Version("1.45"))
    assert ("makes the spans itself" in caplog.text) is not quick
