"""Spans that are made the quick way are the same spans: whatever is done to them, exporters see no difference."""

import asyncio
import logging
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from spanflow.instrumentation.quick.quick_provider import quicken
from spanflow.instrumentation.quick.quick_span import QuickSpan
from spanflow.instrumentation.sampler import record_everything
from spanflow.span_processors.opentelemetry_versions import AlwaysRecordSampler
from spanflow.span_processors.span_attributes import first_attributes_of
from tests.support.quick_spans import needs_quick_spans

pytestmark = needs_quick_spans


class CountedIds(IdGenerator):
    def __init__(self) -> None:
        self._numbers = count(1)

    def generate_trace_id(self) -> int:
        return next(self._numbers)

    def generate_span_id(self) -> int:
        return next(self._numbers)


def looks(span: ReadableSpan) -> tuple[Any, ...]:
    """All that a span says of itself."""
    return (
        *(span.name, span.context, span.parent, span.kind, span.start_time, span.end_time),
        *(span.status.status_code, span.status.description, span.resource, span.instrumentation_scope),
        list((span.attributes or {}).items()),
        [(log.name, log.timestamp, dict(log.attributes or {})) for log in span.events],
        [(link.context, dict(link.attributes or {})) for link in span.links],
    )


class Witness(SpanProcessor):
    """What a span processor gets to see: each span as it starts and as it ends."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.seen.append(("start", looks(span), span.is_recording()))

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)
        dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)
        self.seen.append(("end", looks(span), dropped, isinstance(span, ReadableSpan)))


def provider(quick: bool, sampler: Sampler, limits: SpanLimits | None = None) -> tuple[TracerProvider, Witness]:
    made = TracerProvider(
        sampler=sampler,
        resource=Resource({"service.name": "gateway"}),
        shutdown_on_exit=False,
        id_generator=CountedIds(),
        span_limits=limits,
    )
    witness = Witness()
    made.add_span_processor(witness)
    assert not quick or quicken(made)
    return made, witness


plain = st.one_of(st.text(max_size=6), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
odd = st.one_of(st.none(), st.binary(max_size=3), st.lists(st.integers(0, 9), max_size=2), st.just({"a": {"b": 1}}))
keys = st.sampled_from(["a", "b", "c", "user.id", ""])
attributes = st.dictionaries(keys, st.one_of(plain, plain, odd), max_size=4)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("set_attribute"), keys, st.one_of(plain, odd)),
        st.tuples(st.just("set_attributes"), attributes),
        st.tuples(st.just("add_event"), st.text(max_size=3), attributes, st.just(5)),
        st.tuples(st.just("add_link"), st.just(SpanContext(7, 8, True)), attributes),
        st.tuples(st.just("update_name"), st.text(max_size=3)),
        st.tuples(st.just("set_status"), st.sampled_from(list(StatusCode)), st.none()),
        st.tuples(st.just("set_status"), st.just(Status(StatusCode.ERROR, "why"))),
        st.tuples(st.just("end"), st.just(9)),
    ),
    max_size=8,
)
samplers = st.sampled_from(
    [
        ALWAYS_ON,
        ALWAYS_OFF,
        ParentBased(ALWAYS_ON),
        AlwaysRecordSampler(ParentBased(ALWAYS_ON)),
        AlwaysRecordSampler(ParentBased(ALWAYS_OFF)),
        AlwaysRecordSampler(TraceIdRatioBased(0.5)),
        ParentBased(ALWAYS_ON, local_parent_sampled=ALWAYS_OFF),
    ]
)
limits = st.sampled_from(
    [
        None,
        SpanLimits(max_span_attributes=2, max_events=1, max_links=1),
        SpanLimits(max_span_attributes=0, max_events=0, max_links=0),
        SpanLimits(max_span_attribute_length=2, max_attribute_length=2),
        SpanLimits(max_span_attributes=SpanLimits.UNSET),
    ]
)


@settings(deadline=None, max_examples=300)
@given(
    sampler=samplers,
    bounds=limits,
    kind=st.sampled_from(list(SpanKind)),
    given_attributes=st.one_of(st.none(), attributes),
    links=st.sampled_from([None, (), (Link(SpanContext(3, 4, True)),)]),
    operations=operations,
    state=st.sampled_from([None, TraceState([("k", "v")])]),
    remote=st.booleans(),
)
def test_whatever_is_done_to_a_span_exporters_see_the_same(
    sampler: Sampler,
    bounds: SpanLimits | None,
    kind: SpanKind,
    given_attributes: Any,
    links: Any,
    operations: list[Any],
    state: TraceState | None,
    remote: bool,
) -> None:
    def run(quick: bool) -> tuple[Any, Any, Any]:
        made, witness = provider(quick, sampler, bounds)
        tracer = made.get_tracer("library", "1.0", "https://schema", {"x": 1})
        far = SpanContext(5, 6, True, TraceFlags(1), state) if remote else None
        above = set_span_in_context(NonRecordingSpan(far) if far else INVALID_SPAN, Context())
        root = tracer.start_span("root", above, start_time=1)
        child = tracer.start_span(
            "child", set_span_in_context(root, Context()), kind, given_attributes, links, start_time=2
        )
        other = tracer.start_span("other root", Context(), kind, given_attributes, links, start_time=2)
        grandchild = tracer.start_span("grandchild", set_span_in_context(child, Context()), start_time=3)
        for name, *arguments in operations:
            getattr(child, name)(*arguments)
            getattr(other, name)(*arguments)
        for span in (grandchild, child, other, root):
            span.end(20)
        contexts = [span.get_span_context() for span in (root, child, other, grandchild)]
        return witness.seen, encode_spans(witness.ended), contexts

    logging.disable(logging.CRITICAL)
    try:
        assert run(quick=True) == run(quick=False)
    finally:
        logging.disable(logging.NOTSET)


def use_as_block(tracer: Any, error: BaseException | None, options: dict[str, Any]) -> None:
    with tracer.start_as_current_span("outer"):
        with tracer.start_as_current_span("inner", attributes={"a": 1}, **options) as span:
            assert get_current_span() is span
            if error is not None:
                raise error


def use_as_decorator(tracer: Any, error: BaseException | None, options: dict[str, Any]) -> None:
    @tracer.start_as_current_span("inner", **options)  # type: ignore[untyped-decorator]
    def work() -> None:
        if error is not None:
            raise error

    with tracer.start_as_current_span("outer"):
        work()
        work()


def use_on_coroutine(tracer: Any, error: BaseException | None, options: dict[str, Any]) -> None:
    @tracer.start_as_current_span("inner", **options)  # type: ignore[untyped-decorator]
    async def work() -> None:
        await asyncio.sleep(0)
        if error is not None:
            raise error

    async def outer() -> None:
        with tracer.start_as_current_span("outer"):
            await work()

    asyncio.run(outer())


@pytest.mark.parametrize("use", [use_as_block, use_as_decorator, use_on_coroutine])
@pytest.mark.parametrize(
    "error", [None, ValueError("no"), StopIteration("stop"), KeyboardInterrupt(), GeneratorExit()], ids=repr
)
@pytest.mark.parametrize(
    "options",
    [{}, {"record_exception": False}, {"set_status_on_exception": False}, {"end_on_exit": False}],
    ids=lambda options: next(iter(options), "usual"),
)
def test_with_and_decorators_behave_as_the_sdks(
    use: Callable[..., None], error: BaseException | None, options: dict[str, Any]
) -> None:
    def run(quick: bool) -> list[Any]:
        made, witness = provider(quick, ParentBased(ALWAYS_ON))
        raised: list[Any] = []
        try:
            use(made.get_tracer("library"), error, options)
        except BaseException as why:
            raised = [type(why), str(why)]
        assert get_current_span() is not None and not get_current_span().get_span_context().is_valid
        ended = []
        for span in witness.ended:
            logs = [
                (log.name, {key: text for key, text in (log.attributes or {}).items() if "stacktrace" not in key})
                for log in span.events
            ]
            ended.append((span.name, span.status.status_code, span.status.description, logs, span.parent is None))
        return [raised, ended]

    assert run(quick=True) == run(quick=False)


def test_what_is_said_of_an_ended_span_is_refused_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    made, witness = provider(True, ALWAYS_ON)
    tracer = made.get_tracer("library")
    with tracer.start_as_current_span("root"):
        span = tracer.start_span("child")
        assert isinstance(span, QuickSpan)
        span.end()
        span.set_attribute("late", 1)
        span.set_attributes({"late": 1})
        span.add_event("late")
        span.add_link(SpanContext(1, 2, True))
        span.update_name("late")
        span.end()
    assert [(end.name, dict(end.attributes or {}), end.events, end.links) for end in witness.ended[:1]] == [
        ("child", {}, (), ())
    ]
    assert len(caplog.records) == 6


def test_tracers_that_were_made_before_are_quick_too_and_follow_a_changed_sampler() -> None:
    made = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)
    tracer = made.get_tracer("library")
    assert quicken(made) and not quicken(made)
    record_everything(made)
    with tracer.start_as_current_span("root") as root:
        assert isinstance(tracer.start_span("child"), QuickSpan)
        made.sampler = ALWAYS_OFF
        tracer.sampler = ALWAYS_OFF  # type: ignore[attr-defined]
        assert not tracer.start_span("child").is_recording()
        assert not tracer.start_span("root", Context()).is_recording()
        assert isinstance(root, QuickSpan)
        tracer.sampler = ParentBased(TraceIdRatioBased(0.5))  # type: ignore[attr-defined]
        assert isinstance(tracer.start_span("child"), QuickSpan)
        assert not isinstance(tracer.start_span("root", Context()), QuickSpan)


def test_somebody_elses_provider_is_left_alone() -> None:
    class Own(TracerProvider):
        """An application's own."""

    made = Own(shutdown_on_exit=False)
    assert not quicken(made)
    assert type(made) is Own
    assert not quicken(object())


def test_attributes_kept_from_the_start_do_not_change_with_the_span() -> None:
    made, _ = provider(True, ALWAYS_ON)
    kept: list[dict[str, Any]] = []

    class Keeper(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            kept.append(first_attributes_of(span))

    made.add_span_processor(Keeper())
    tracer = made.get_tracer("library")
    root = tracer.start_span("root", Context())
    span: Any = tracer.start_span("child", set_span_in_context(root, Context()), attributes={"a": 1, "b": 2})
    span.set_attribute("a", 3)
    span.set_attributes({"c": [4]})
    span.end()
    assert type(span) is QuickSpan
    assert kept == [{}, {"a": 1, "b": 2}]
    assert span.attributes == {"b": 2, "a": 3, "c": (4,)}


def test_what_processors_got_of_an_ended_span_stays_as_it_was() -> None:
    made, witness = provider(True, ALWAYS_ON)
    span = made.get_tracer("library").start_span("root", Context(), attributes={"a": 1})
    span.end()
    (ended,) = witness.ended
    before = looks(ended)
    span.update_name("late")
    span.set_attributes({"a": 2})
    span.set_status(Status(StatusCode.ERROR, "late"))
    span.add_event("late")
    span.end()
    assert looks(ended) == before
