"""Every shape of a secret, wherever a span or an activity can carry it: nowhere is it stored, sent or logged."""

import logging
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from spanflow.instrumentation import checkpoint, flow, record_tool_call, record_user_message
from spanflow.instrumentation.runtime import say_once
from tests.support.everything_recorded import LAST, USER, Sinks, keys_of, record_everything
from tests.support.poll import eventually
from tests.support.secret_shapes import SECRET_NAMES, SHAPES, Secret, word


class Text(str):
    """As libraries have them: markup, lazy translations, enumerations."""


class Gateway:
    """Puts a text, or a name and its value, into each place that there is."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("library")

    def attribute(self, text: str) -> None:
        self._span(attributes={"note": text})

    def attribute_set_later(self, text: str) -> None:
        with self._tracer.start_as_current_span("later") as span:
            span.set_attribute("note", [text, "x"])

    def nested_attribute(self, text: str) -> None:
        self._span(attributes={"note": {"list": [{"deep": text}]}})

    def subclass_of_text(self, text: str) -> None:
        self._span(attributes={"note": Text(text)})

    def key(self, text: str) -> None:
        self._span(attributes={text: "x", "outer": {text: 1}})

    def name(self, text: str) -> None:
        self._span(text)

    def new_name(self, text: str) -> None:
        with self._tracer.start_as_current_span("named later") as span:
            span.update_name(text)

    def status(self, text: str) -> None:
        with self._tracer.start_as_current_span("failed") as span:
            span.set_status(StatusCode.ERROR, text)

    def exception(self, text: str) -> None:
        with self._tracer.start_as_current_span("raised") as span:
            span.record_exception(ValueError(text))

    def event_name(self, text: str) -> None:
        with self._tracer.start_as_current_span("told") as span:
            span.add_event(text)

    def event(self, text: str) -> None:
        with self._tracer.start_as_current_span("told") as span:
            span.add_event("told", {"note": text, text: 1})

    def link(self, text: str) -> None:
        self._span(links=[Link(SpanContext(5, 6, True), {"note": text})])

    def scope(self, text: str) -> None:
        tracer = self._provider.get_tracer(text, text, f"https://example.org/{text}", {"note": text})
        with tracer.start_as_current_span("scoped"):
            pass

    def trace_state(self, text: str) -> None:
        state = TraceState([("vendor", text)])
        around = get_current_span().get_span_context()
        parent = SpanContext(around.trace_id, around.span_id, False, TraceFlags(1), state)
        links = [Link(SpanContext(5, 6, True, TraceFlags(1), state))]
        context = set_span_in_context(NonRecordingSpan(parent))
        self._tracer.start_span("with a state", context=context, links=links).end()

    def checkpoint(self, text: str) -> None:
        with checkpoint("tool_call", tool="t", note=text, object={"deep": [text]}) as step:
            step.set(more=text)

    def denied(self, text: str) -> None:
        with checkpoint("block_check") as step:
            step.deny(text)

    def raised(self, text: str) -> None:
        try:
            with checkpoint("tool_call", tool="t"):
                raise ValueError(text)
        except ValueError:
            pass

    def activity(self, text: str) -> None:
        record_user_message(text, note={"deep": [text]})

    def log_line(self, text: str) -> None:
        try:
            raise ValueError(text)
        except ValueError:
            say_once(f"test {text}", "Something of ours failed", exc_info=True)

    # A name and its value.

    def named_attribute(self, name: str, value: str) -> None:
        self._span(attributes={name: value, f"some.{name}": value, "outer": {"inner": {name: value}}})

    def named_in_an_event(self, name: str, value: str) -> None:
        with self._tracer.start_as_current_span("told") as span:
            span.add_event("told", {name: value})

    def named_in_a_link(self, name: str, value: str) -> None:
        self._span(links=[Link(SpanContext(5, 6, True), {name: value})])

    def named_in_a_checkpoint(self, name: str, value: str) -> None:
        with checkpoint("tool_call", **{"tool": "t", name: value}):
            pass

    def named_in_an_activity(self, name: str, value: str) -> None:
        record_tool_call("qa", "list", {name: value, "deep": [{name: value}]})

    def named_in_a_text(self, name: str, value: str) -> None:
        self._span(attributes={"a": f"{name}={value}", "b": f'{{"{name}": "{value}"}}', "c": f"'{name}' : '{value}'"})

    def named_in_a_trace_state(self, name: str, value: str) -> None:
        if name.replace("_", "").islower():
            self.trace_state_entry(name, value)

    def trace_state_entry(self, key: str, value: str) -> None:
        around = get_current_span().get_span_context()
        state = TraceState([(key, value)])
        parent = SpanContext(around.trace_id, around.span_id, False, TraceFlags(1), state)
        self._tracer.start_span("with a state", context=set_span_in_context(NonRecordingSpan(parent))).end()

    def _span(self, name: str = "call", **options: Any) -> None:
        with self._tracer.start_as_current_span(name, **options):
            pass


_TEXTS: list[Callable[[Gateway, str], None]] = [
    Gateway.attribute,
    Gateway.attribute_set_later,
    Gateway.nested_attribute,
    Gateway.subclass_of_text,
    Gateway.key,
    Gateway.name,
    Gateway.new_name,
    Gateway.status,
    Gateway.exception,
    Gateway.event_name,
    Gateway.event,
    Gateway.link,
    Gateway.scope,
    Gateway.trace_state,
    Gateway.checkpoint,
    Gateway.denied,
    Gateway.raised,
    Gateway.activity,
    Gateway.log_line,
]
_NAMED: list[Callable[[Gateway, str, str], None]] = [
    Gateway.named_attribute,
    Gateway.named_in_an_event,
    Gateway.named_in_a_link,
    Gateway.named_in_a_checkpoint,
    Gateway.named_in_an_activity,
    Gateway.named_in_a_text,
    Gateway.named_in_a_trace_state,
]
SPANS = ["otlp", "redis", "rows", "spool"]
#: Where the text of a carrier goes. A watched user's dashboards hear of checkpoints.
WHERE = {
    "activity": ["redis", "rows", "spool"],
    "log_line": ["log"],
    "checkpoint": ["channel", *SPANS],
    "denied": ["channel", *SPANS],
    "raised": ["channel", *SPANS],
}


def plain(carrier: str) -> str:
    """A text without a secret, to see that the carrier carries."""
    return f"plain-{carrier}"


def test_no_secret_gets_through_in_any_form_anywhere(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    numbers = count(1)
    in_texts = [(carrier, shape, make(next(numbers))) for carrier in _TEXTS for shape, make in SHAPES.items()]
    named = [(carrier, name, word(next(numbers))) for carrier in _NAMED for name in SECRET_NAMES]
    in_resource = {shape: make(next(numbers)) for shape, make in SHAPES.items()}
    named_in_resource = {name: word(next(numbers)) for name in SECRET_NAMES}
    resource: dict[str, Any] = {f"note.{number}": secret.text for number, secret in enumerate(in_resource.values())}
    resource |= {f"{secret.text} {number}": 1 for number, secret in enumerate(in_resource.values())}
    resource |= named_in_resource | {"kept": plain("resource")}

    while_open: list[str] = []

    def found_in(kept: list[str], keys: str) -> set[str]:
        kept.append(keys)
        return {text for text in (plain("activity"), LAST) if text in keys}

    sdk = logging.getLogger("opentelemetry")
    level = sdk.level

    def work(provider: TracerProvider) -> None:
        gateway = Gateway(provider)
        sdk.setLevel(logging.CRITICAL)  # it complains of states that are none
        with flow("turn", user_id=USER):
            for carrier, _, secret in in_texts:
                carrier(gateway, secret.text)
            for carry in _TEXTS:
                carry(gateway, plain(carry.__name__))
            for carry_named, name, value in named:
                carry_named(gateway, name, value)
            with checkpoint("tool_call", name=LAST, tool=LAST):
                pass
            # Activities stand in Redis only until the flow is stored.
            eventually(lambda: {plain("activity"), LAST} <= found_in(while_open, keys_of(redis_url)))
        sdk.setLevel(level)

    sinks = record_everything(
        work,
        redis_url=redis_url,
        postgres_dsn=postgres_dsn,
        data_dir=tmp_path,
        resource=resource,
        content="full",
    )
    sinks.written["redis"] += "".join(while_open)
    cases = [(f"{carrier.__name__}: {shape}", secret.hidden) for carrier, shape, secret in in_texts]
    cases += [(f"{carry_named.__name__}: {name}", value) for carry_named, name, value in named]
    cases += [(f"resource: {shape}", secret.hidden) for shape, secret in in_resource.items()]
    cases += [(f"resource: {name}", value) for name, value in named_in_resource.items()]
    assert dict(leaks(sinks, cases)) == {}
    carried = {carrier.__name__: sinks.holding(plain(carrier.__name__)) for carrier in _TEXTS}
    assert carried == {carrier.__name__: WHERE.get(carrier.__name__, SPANS) for carrier in _TEXTS}
    assert sinks.holding(plain("resource")) == SPANS


def leaks(sinks: Sinks, cases: list[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    for case, hidden in cases:
        where = sinks.holding(hidden)
        if where:
            yield case, where


def test_each_shape_has_a_secret_in_it() -> None:
    made = {shape: make(7) for shape, make in SHAPES.items()}
    assert [shape for shape, secret in made.items() if secret.hidden not in secret.text] == []
    assert isinstance(made["JSON"], Secret)
