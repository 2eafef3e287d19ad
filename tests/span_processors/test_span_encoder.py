"""Spans as bytes: the quick way and the thorough way say the same, whatever a span holds."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from spanflow.span_processors import names
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.event.event import decode, restored
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redis.mirror_items import StreamEntry
from spanflow.span_processors.redis.watched import NoWatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.span_attributes import attributes_of
from spanflow.span_processors.tree.reducer import FlowReducer

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test", "1")
POLICY = RedactionPolicy(content="full")


def new_encoder() -> Encoder:
    redactor = Redactor(POLICY)
    return Encoder(Settings(), process=ProcessInfo(redactor), watched=NoWatchedUsers(), redactor=redactor)


def entries_and_parts(encoder: Encoder) -> tuple[list[StreamEntry], FlowPart]:
    encoder.complete_all()
    (part,) = encoder.parts
    return [item for item in encoder.events if isinstance(item, StreamEntry)], part


keys = st.sampled_from(["a", "b", "flow.data.tool", "flow.outcome", "flow.checkpoint.type", "user.id", "x.y", "é"])
values = st.one_of(
    st.text(st.characters(), max_size=8),
    st.sampled_from(["ok", "denied", "tool_call", "a\x00b", "\ud800", "password=hunter2", 'quo"te\\']),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=4),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2),
)
attributes = st.dictionaries(keys, values, max_size=4)
span_names = st.sampled_from(["auth_check", "llm_thinking", "GET", "tool_call", "Bearer abcdefghijklmnop"])


@settings(deadline=None, max_examples=150)
@given(
    spans=st.lists(
        st.tuples(span_names, attributes, attributes, st.booleans(), st.booleans(), st.sampled_from(list(StatusCode))),
        min_size=1,
        max_size=4,
    )
)
def test_the_merged_entry_and_the_events_say_the_same(spans: list[tuple[Any, ...]]) -> None:
    encoder = new_encoder()
    parent: Any = None
    opened = []
    for name, at_start, later, renamed, logged, status in spans:
        context = Context() if parent is None else set_span_in_context(parent, Context())
        span: Any = TRACER.start_span(name, context, kind=SpanKind.CLIENT, attributes=at_start)
        encoder.started(span, span.name, attributes_of(span), NOBODY, 0.0)
        parent = parent or span
        opened.append((span, later, renamed, logged, status))
    for span, later, renamed, logged, status in reversed(opened):
        span.set_attributes(later)
        if renamed:
            span.update_name("renamed")
        if logged:
            span.add_event("log", {"n": 1})
        span.set_status(Status(status, "why" if status is StatusCode.ERROR and logged else None))
        span.end()
        ended = span._readable_span()
        encoder.ended(ended, attributes_of(ended), 0.0)

    entries, part = entries_and_parts(encoder)
    from_stream = FlowReducer(decode(entry.data) for entry in entries).entries()
    from_archive = FlowReducer(decode(data) for data in part.entries).entries()
    assert from_archive == from_stream
    assert len(from_stream) == len(spans)
    for data in part.entries:
        # Whose flow it is is never taken for a secret.
        assert b"hunter2" not in data.replace(b'"user.id":"password=hunter2"', b"")
        assert b"\\u0000" not in data

    by_id = {entry["node_id"]: entry for entry in from_stream}
    for span, *_ in opened:
        entry = restored(by_id[f"{span.context.span_id:016x}"])
        said = Redactor(POLICY).attributes(attributes_of(span))[0]
        assert {key for key in said} == set(entry.get("attributes", {}))
        assert entry["phase"] == names.END and entry["end_ns"] == str(span.end_time)
        for key, value in said.items():
            if type(value) in (bool, int) or (type(value) is float and value == value):
                stored = entry["attributes"][key]
                assert (stored, type(stored)) == (value, type(value))


def test_an_end_repeats_nothing_that_the_start_said() -> None:
    encoder = new_encoder()
    span: Any = TRACER.start_span("tool_call", Context(), attributes={"a": 1, "b": "x"})
    encoder.started(span, span.name, attributes_of(span), NOBODY, 0.0)
    span.set_attribute("c", True)
    span.end()
    ended = span._readable_span()
    encoder.ended(ended, attributes_of(ended), 0.0)
    entries, _ = entries_and_parts(encoder)
    assert decode(entries[1].data)["attributes"] == {"c": True}
    assert len(entries[1].data) < 200


def test_who_a_flow_belongs_to_is_searched_for_secrets_in_every_event() -> None:
    encoder = new_encoder()
    span: Any = TRACER.start_span("POST /ask", Context())
    encoder.started(span, span.name, {}, NOBODY, 0.0)
    said = Identity(user_id="7", source="chat?password=hunter2")
    encoder.identify(span.context.trace_id, said, 5, 0.0)
    span.end()
    encoder.ended(span._readable_span(), {}, 0.0)
    late: Any = TRACER.start_span("POST /late", Context())
    encoder.identify(late.context.trace_id, said, 5, 0.0)
    late.end()
    encoder.ended(late._readable_span(), {}, 0.0)
    encoder.complete_all()
    written = [item.data for item in encoder.events if isinstance(item, StreamEntry)]
    assert [decode(data)["phase"] for data in written] == ["start", "update", "end", "end"]
    assert [b"chat?password=[redacted]" in data for data in written] == [False, True, True, True]
    assert all(
        b"hunter2" not in data for data in [*written, *(entry for part in encoder.parts for entry in part.entries)]
    )
