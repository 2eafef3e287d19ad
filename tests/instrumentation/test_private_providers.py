"""Libraries that make a tracer provider of their own are seen, and what they do with it does not stop us."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from spanflow.instrumentation import shutdown
from spanflow.instrumentation.startup import Started, start
from spanflow.span_processors.settings import Settings
from tests.support.traced_gateway import flow_id_of, stream_of


def tracing(redis_url: str, **changes: Any) -> Started:
    running = start(Settings(enabled=True, redis_url=redis_url, archive_enabled=False, **changes))
    assert running is not None
    return running


@pytest.fixture(autouse=True)
def stopped_afterwards(fresh_otel: None) -> Iterator[None]:
    yield
    shutdown()


def request(private: TracerProvider) -> str:
    """A request in which a library makes a span of its own provider; the flow's id."""
    with trace.get_tracer("gateway").start_as_current_span("POST /chat") as root:
        with private.get_tracer("library").start_as_current_span("chat gpt-4o") as call:
            call.set_attribute("gen_ai.operation.name", "chat")
    return flow_id_of(root)


def told(redis_url: str, flow_id: str) -> list[tuple[str, str | None]]:
    """Names and types as the stream has them at the end."""
    with redis.Redis.from_url(redis_url) as client:
        events = stream_of(client, flow_id)
    merged: dict[str, dict[str, str | None]] = {}
    for event in events:
        node = merged.setdefault(event["node_id"], {})
        node.update({key: event.get(key) for key in ("name", "event_type") if key in event})
    return [(str(node["name"]), node["event_type"]) for node in merged.values()]


def test_the_spans_of_a_librarys_own_provider_are_in_the_flow(redis_url: str) -> None:
    running = tracing(redis_url)
    private = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    flow_id = request(private)
    assert running.pipeline.force_flush(5)
    assert told(redis_url, flow_id) == [("POST /chat", "span"), ("chat gpt-4o", "llm_thinking")]


def test_a_library_that_is_done_with_its_provider_does_not_end_the_recording(redis_url: str) -> None:
    running = tracing(redis_url)
    TracerProvider(shutdown_on_exit=False).shutdown()
    flow_id = request(TracerProvider(shutdown_on_exit=False))
    assert running.pipeline.force_flush(5)
    assert len(told(redis_url, flow_id)) == 2


def test_each_of_its_spans_is_told_once(redis_url: str) -> None:
    running = tracing(redis_url)
    with TracerProvider(shutdown_on_exit=False).get_tracer("library").start_as_current_span("only") as span:
        assert running.pipeline.force_flush(5)
    assert running.pipeline.force_flush(5)
    with redis.Redis.from_url(redis_url) as client:
        assert [event["phase"] for event in stream_of(client, flow_id_of(span))] == ["start", "end"]


def test_one_that_was_made_before_us_is_seen_as_well(redis_url: str) -> None:
    private = TracerProvider(shutdown_on_exit=False)
    running = tracing(redis_url)
    flow_id = request(private)
    assert running.pipeline.force_flush(5)
    assert told(redis_url, flow_id) == [("POST /chat", "span"), ("chat gpt-4o", "llm_thinking")]


def test_they_are_left_alone_where_that_is_wanted(redis_url: str) -> None:
    running = tracing(redis_url, private_providers=False)
    flow_id = request(TracerProvider(shutdown_on_exit=False))
    assert running.pipeline.force_flush(5)
    assert told(redis_url, flow_id) == [("POST /chat", "span")]


def test_afterwards_nothing_of_it_is_left() -> None:
    before = TracerProvider.__init__
    assert start(Settings(enabled=True, mirror_enabled=False, archive_enabled=False)) is not None
    assert TracerProvider.__init__ is not before
    shutdown()
    assert TracerProvider.__init__ is before
