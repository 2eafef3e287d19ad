"""Values without an end: our spans and checkpoints take them in a moment and say what was left out."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from opentelemetry import trace

from spanflow.instrumentation import checkpoint, flow
from spanflow.instrumentation.activity_tracker import ActivityTracker
from spanflow.instrumentation.configure import configure, shutdown
from spanflow.instrumentation.quick.quick_span import QuickSpan
from spanflow.span_processors.settings import Settings
from tests.support.quick_spans import needs_quick_spans


class EndlessList(Sequence[Any]):
    def __len__(self) -> int:
        return 10**12

    def __getitem__(self, index: Any) -> Any:
        return index


class EndlessMapping(Mapping[str, Any]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, key: str) -> Any:
        return key

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            yield str(number)
            number += 1


class Raising(EndlessMapping):
    def __iter__(self) -> Iterator[str]:
        raise ValueError("closed")


def cyclic(times: int) -> list[Any]:
    found: list[Any] = []
    found.extend([found] * times)
    return found


def deep(levels: int) -> list[Any]:
    outer: list[Any] = []
    inner = outer
    for _ in range(levels):
        inner.append([])
        inner = inner[0]
    return outer


VALUES: dict[str, Callable[[], Any]] = {
    "a list in itself": lambda: cyclic(1),
    "a list in itself many times": lambda: cyclic(256),
    "a very deep list": lambda: deep(50_000),
    "an endless list": EndlessList,
    "an endless mapping": EndlessMapping,
    "a mapping that raises": Raising,
}


@pytest.fixture
def tracer(fresh_otel: None) -> Iterator[trace.Tracer]:
    assert configure(settings=Settings(enabled=True, mirror_enabled=False, archive_enabled=False))
    yield trace.get_tracer("gateway")
    shutdown(1.0)


@pytest.fixture
def in_a_moment() -> Iterator[None]:
    """What takes longer than a moment is interrupted, as a hang would not end by itself."""

    def too_long(number: int, frame: object) -> None:
        raise AssertionError("it takes too long")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, 2.0)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def by_set_attribute(tracer: trace.Tracer, value: Any) -> None:
    with tracer.start_as_current_span("step") as span:
        assert isinstance(span, QuickSpan)
        span.set_attribute("value", value)
        span.set_attributes({"other": 1, "same": value})
        assert span.attributes is not None
        assert span.attributes["other"] == 1
        assert str(span.attributes["value"]).startswith("["), "a text that says why"


def by_first_attributes(tracer: trace.Tracer, value: Any) -> None:
    with tracer.start_as_current_span("step", attributes={"value": value, "other": 1}) as span:
        assert isinstance(span, QuickSpan) and span.attributes is not None
        assert span.attributes["other"] == 1


def by_event(tracer: trace.Tracer, value: Any) -> None:
    with tracer.start_as_current_span("step") as span:
        span.add_event("news", {"value": value})


def by_checkpoint(tracer: trace.Tracer, value: Any) -> None:
    with checkpoint("tool_call", arguments=value) as step:
        step.set(result=value)


def by_tracker(tracer: trace.Tracer, value: Any) -> None:
    asyncio.run(ActivityTracker().record_tool_call("8", "7", 1, "server", "tool", value))


@pytest.mark.parametrize(
    "way",
    [
        *(pytest.param(way, marks=needs_quick_spans) for way in (by_set_attribute, by_first_attributes, by_event)),
        by_checkpoint,
        by_tracker,
    ],
)
@pytest.mark.parametrize("kind", VALUES)
def test_a_value_without_end_neither_raises_nor_hangs(
    kind: str, way: Callable[[trace.Tracer, Any], None], tracer: trace.Tracer, in_a_moment: None
) -> None:
    with flow("turn"):
        way(tracer, VALUES[kind]())


@needs_quick_spans
def test_attributes_of_every_usual_size_are_left_as_they_are(tracer: trace.Tracer) -> None:
    vector = [0.5] * 3072
    nested: Any = {"a": [{"b": ["c", 1, 2.5, True, None, b"d"]}]}
    with flow("turn"), tracer.start_as_current_span("step", attributes={"vector": vector}) as span:
        span.set_attribute("nested", nested)
        assert isinstance(span, QuickSpan) and span.attributes is not None
        assert span.attributes["vector"] == tuple(vector)
        assert span.attributes["nested"] == {"a": ({"b": ("c", 1, 2.5, True, None, b"d")},)}
