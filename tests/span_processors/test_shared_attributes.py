"""What all spans of a flow say is held once; whoever reads a span sees it there, and it is stored as if it were."""

import copy
from collections.abc import Iterator
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from spanflow.instrumentation.quick.quick_provider import quicken
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.event.event import Event, decode
from spanflow.span_processors.identity import NOBODY
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redis.mirror_items import StreamEntry
from spanflow.span_processors.redis.watched import NoWatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.span_attributes import (
    attributes_in_place,
    attributes_of,
    first_attributes_of,
    put_first,
    share,
    shared_attributes_of,
)
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.quick_spans import needs_quick_spans

pytestmark = needs_quick_spans
REDACTOR = Redactor(RedactionPolicy())
PROCESS = ProcessInfo(REDACTOR)
USER = {"user.id": "7", "flow.session_id": "s-1", "flow.source": "chat"}


class CountedIds(IdGenerator):
    def __init__(self) -> None:
        self._numbers: Iterator[int] = count(1)

    def generate_trace_id(self) -> int:
        return next(self._numbers)

    def generate_span_id(self) -> int:
        return next(self._numbers)


def started_steps(number: int, attributes: dict[str, Any], limits: SpanLimits | None = None) -> list[Any]:
    """A root and steps of it that nobody has seen yet."""
    provider = TracerProvider(shutdown_on_exit=False, id_generator=CountedIds(), span_limits=limits)
    assert quicken(provider)
    tracer = provider.get_tracer("test", "1")
    root = tracer.start_span("POST /ask", Context(), SpanKind.SERVER, start_time=1)
    within = set_span_in_context(root, Context())
    return [
        root,
        *(tracer.start_span("step", within, attributes=dict(attributes), start_time=2) for _ in range(number)),
    ]


keys = st.sampled_from(["a", "b", "flow.data.tool", "flow.outcome", "user.id", "flow.source", "enduser.id"])
values = st.one_of(
    st.sampled_from(["7", "8", "ok", "chat", "a\x00b", "\ud800", "password=hunter2"]),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(st.integers(0, 9), max_size=2),
)
attributes = st.dictionaries(keys, values, max_size=4)
shared = st.sampled_from([USER, {"user.id": "7"}, {"user.id": "7", "flow.source": "password=hunter2"}])


@settings(deadline=None, max_examples=200)
@given(at_start=attributes, later=attributes, said=shared)
def test_readers_of_a_span_see_what_it_shares(
    at_start: dict[str, Any], later: dict[str, Any], said: dict[str, str]
) -> None:
    _, sharing, holding = started_steps(2, at_start)
    share(sharing, said)
    put_first(holding, said)
    before = attributes_of(holding)
    assert {**first_attributes_of(sharing), **shared_attributes_of(sharing)} == before
    for key, value in later.items():
        sharing.set_attribute(key, value)
        holding.set_attribute(key, value)
    assert repr(dict(sharing.attributes)) and dict(sharing.attributes) == dict(holding.attributes)
    for name in ("user.id", "a", "never said"):
        assert sharing.attributes.get(name) == holding.attributes.get(name)
        assert (name in sharing.attributes) == (name in holding.attributes)
    assert len(sharing.attributes) == len(holding.attributes) == len(list(sharing.attributes))
    copied = copy.deepcopy(sharing._attributes)
    assert dict(copied) == dict(holding.attributes)
    del sharing._attributes["user.id"], holding._attributes["user.id"]
    assert dict(sharing.attributes) == dict(holding.attributes)


def test_a_span_with_room_for_few_attributes_keeps_within_its_limit() -> None:
    _, sharing, full = started_steps(2, {"a": 1, "b": 2}, SpanLimits(max_span_attributes=4))
    share(sharing, {"user.id": "7"})
    assert shared_attributes_of(sharing) == {"user.id": "7"}
    for key in "cde":
        sharing.set_attribute(key, key)
    assert len(sharing.attributes) == 4 and sharing.dropped_attributes == 2
    assert sharing.attributes["user.id"] == "7"
    share(full, USER)  # more than there is room for: as the SDK does it
    assert not shared_attributes_of(full) and len(full.attributes) == 4 and full.attributes["user.id"] == "7"


def test_an_attribute_of_its_own_with_such_a_name_is_set_right_at_the_start() -> None:
    _, step = started_steps(1, {"user.id": "of the library"})
    share(step, USER)
    assert not shared_attributes_of(step) and step.attributes["user.id"] == "7"


def told(
    sharing: bool, at_once: bool, updated: bool, at_start: dict[str, Any], later: dict[str, Any], said: dict[str, str]
) -> tuple[list[tuple[str, list[str]]], list[Event], list[Event], Any]:
    """What is written of two steps: each event with the attributes in it, then the flow as streamed and as archived."""
    encoder = Encoder(Settings(), process=PROCESS, watched=NoWatchedUsers(), redactor=REDACTOR)
    root, *steps = started_steps(2, at_start)
    encoder.started(root, root.name, attributes_of(root), NOBODY, 0.0)
    for step in steps:
        (share if sharing else put_first)(step, said)
        before = first_attributes_of(step)
        deferred = encoder.defer_start(step, step.name, before, NOBODY, 0.0) if at_once else None
        if deferred is None:
            encoder.started(step, step.name, before, NOBODY, 0.0)
        step.set_attributes(later)
        if updated and deferred is None:
            encoder.updated(step, step.name, attributes_of(step), 3, 0.0)
        step.set_status(Status(StatusCode.OK))
        step.end(4)
        if deferred is None or not encoder.encode_complete(
            step, step.context, deferred, step.name, before, NOBODY, 0.0
        ):
            if deferred is not None:
                encoder.started(step, step.name, before, NOBODY, 0.0)
            encoder.ended(step, attributes_in_place(step), 0.0)
    flow = next(iter(encoder._flows.values()))
    encoder.complete_all()
    (part,) = encoder.parts
    streamed = [decode(item.data) for item in encoder.events if isinstance(item, StreamEntry)]
    archived = [decode(data) for data in part.entries]
    said_in_each = [(event["phase"], sorted(event.get("attributes", {}))) for event in streamed]
    of_the_flow = (part.identity, flow.identity, flow.stream.users, part.redacted)
    return said_in_each, FlowReducer(streamed).entries(), FlowReducer(archived).entries(), of_the_flow


@settings(deadline=None, max_examples=300)
@given(at_start=attributes, later=attributes, said=shared, at_once=st.booleans(), updated=st.booleans())
def test_what_spans_share_is_stored_as_if_each_had_said_it(
    at_start: dict[str, Any], later: dict[str, Any], said: dict[str, str], at_once: bool, updated: bool
) -> None:
    sharing, holding = (told(sharing, at_once, updated, at_start, later, said) for sharing in (True, False))
    assert sharing[1:3] == holding[1:3]
    # Where one of them is said again later, which changes nothing, it takes two entries instead of one.
    if not any(later.get(key) == value for key, value in said.items()):
        assert sharing[0] == holding[0]
    # Of a step that another user's id is put on later it has never been certain whose flow it makes that.
    if said.keys().isdisjoint(later):
        assert sharing[3] == holding[3]


def test_a_span_whose_start_was_never_seen_says_what_it_shares() -> None:
    encoder = Encoder(Settings(), process=PROCESS, watched=NoWatchedUsers(), redactor=REDACTOR)
    _, step = started_steps(1, {"a": 1})
    share(step, USER)
    step.end(4)
    encoder.ended(step, attributes_in_place(step), 0.0)
    encoder.complete_all()
    (part,) = encoder.parts
    (entry,) = (decode(data) for data in part.entries)
    assert entry["attributes"] == {"a": 1, **USER} and part.identity.user_id == "7"


def test_a_value_that_is_set_anew_before_others_come_is_told_at_the_end() -> None:
    """What an end adds is found by its place among the attributes only while none was replaced."""
    for again in ({"a": 2}, {"a": 1}):
        encoder = Encoder(Settings(), process=PROCESS, watched=NoWatchedUsers(), redactor=REDACTOR)
        root, step = started_steps(1, {"a": 1, "b": 1})
        encoder.started(root, root.name, attributes_of(root), NOBODY, 0.0)
        encoder.started(step, step.name, first_attributes_of(step), NOBODY, 0.0)
        step.set_attributes({**again, "c": 3})
        step.end(4)
        encoder.ended(step, attributes_in_place(step), 0.0)
        ends = [decode(item.data) for item in encoder.events if isinstance(item, StreamEntry)][2:]
        assert [end["attributes"] for end in ends] == [{"c": 3} if again == {"a": 1} else {"a": 2, "c": 3}]
