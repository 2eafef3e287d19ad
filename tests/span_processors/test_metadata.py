"""What may be seen of a user who is watched without contents."""

from typing import Any, cast

import orjson
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, checked
from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.tree.span_record import SpanRecord

SECRET = "tell nobody"
METADATA = Metadata()
#: Attributes of each kind, and where somebody's words may stand.
attributes = st.dictionaries(
    st.sampled_from(["flow.data.tool", "http.route", "gen_ai.usage.output_tokens", "flow.data.note", "url.full"]),
    st.one_of(st.integers(-9, 9), st.text(max_size=5), st.just(SECRET * 40), st.just({"deep": SECRET})),
)


def event(phase: str, **more: Any) -> Event:
    return cast(Event, {"phase": phase, "node_id": "n", **more})


def test_shape_names_times_counts_and_outcomes_stay_and_words_go() -> None:
    told = {
        "v": 1,
        "phase": "end",
        "flow_id": "f",
        "node_id": "n",
        "parent_id": None,
        "event_type": "tool_call",
        "name": "tools/call list",
        "kind": "client",
        "start_ns": "1",
        "end_ns": "2",
        "status": "error",
        "status_message": SECRET,
        "outcome": "error",
        "attributes": {
            "user.id": "7",
            "flow.data.tool": "list",
            "flow.data.tokens": 12,
            "flow.data.remaining": 3.5,
            "flow.data.tools": ["a", "b"],
            "flow.data.card": 4111,
            "flow.data.note": SECRET,
            "flow.denied.reason": SECRET,
            "gen_ai.usage.cache_read.input_tokens": "9007199254740993",
            "gen_ai.input.messages": [{"content": SECRET}],
            "url.full": "https://example.org/?q=" + SECRET,
            "db.query.text": SECRET,
            "http.route": "/ask",
            "error.type": "ToolError",
        },
        "types": {"gen_ai.usage.cache_read.input_tokens": "int", "flow.data.note": "bytes"},
        "links": [{"trace_id": "a" * 32, "span_id": "b" * 16, "trace_state": SECRET, "attributes": {"note": SECRET}}],
        "logs": [
            {"name": "exception", "time_ns": "1", "attributes": {"exception.type": "E", "exception.message": SECRET}},
            {"name": f"the user said {SECRET}", "time_ns": "1"},
        ],
        "process": "p",
        "trace_state": f"x={SECRET}",
        "new_field": SECRET,
    }
    before = orjson.dumps(told)
    seen = METADATA.event(cast(Event, told))
    assert orjson.dumps(told) == before
    assert SECRET not in orjson.dumps(seen).decode()
    assert seen == snapshot(
        {
            "v": 1,
            "phase": "end",
            "flow_id": "f",
            "node_id": "n",
            "parent_id": None,
            "event_type": "tool_call",
            "kind": "client",
            "start_ns": "1",
            "end_ns": "2",
            "status": "error",
            "outcome": "error",
            "process": "p",
            "name": "tools/call list",
            "attributes": {
                "user.id": "7",
                "flow.data.tool": "list",
                "flow.data.tokens": 12,
                "flow.data.remaining": 3.5,
                "flow.data.tools": ["a", "b"],
                "gen_ai.usage.cache_read.input_tokens": "9007199254740993",
                "http.route": "/ask",
                "error.type": "ToolError",
            },
            "types": {"gen_ai.usage.cache_read.input_tokens": "int"},
            "links": [{"trace_id": "a" * 32, "span_id": "b" * 16}],
            "logs": [
                {"name": "exception", "time_ns": "1", "attributes": {"exception.type": "E"}},
                {"name": "log", "time_ns": "1"},
            ],
        }
    )
    assert checked(seen) == seen


def test_no_attribute_that_holds_content_is_metadata() -> None:
    content = ["gen_ai.input.messages", "llm.prompts", "input.value", "flow.data.question", "mcp.request.argument"]
    assert [key for key in content if METADATA.holds(key, "x")] == []
    assert not METADATA.holds(names.ATTR_DENIED_REASON, "x")


def test_a_name_that_holds_a_text_is_no_metadata() -> None:
    for value in ("x" * 201, "two\nlines", ["x" * 201], {"a": 1}, ["a"] * 101, [["a"]]):
        assert not METADATA.holds("flow.data.tool", value), value


def test_a_deployment_may_name_more() -> None:
    metadata = Metadata.from_settings(Settings(metadata_keys=("tenant", "acme.shard")))
    assert [metadata.holds(key, "x") for key in ("flow.data.tenant", "acme.shard", "tenant", "flow.data.shard")] == [
        True,
        True,
        True,
        False,
    ]


@given(st.dictionaries(st.text(max_size=20), st.one_of(st.just(SECRET), st.lists(st.just(SECRET)))))
def test_nothing_unknown_gets_through(found: dict[str, Any]) -> None:
    unknown = {key: value for key, value in found.items() if not METADATA.holds(key, value)}
    shown = METADATA.event(event("start", attributes=unknown, logs=[{"name": SECRET, "attributes": unknown}]))
    assert SECRET not in orjson.dumps(shown).decode()


@given(attributes, attributes, attributes)
def test_a_span_looks_the_same_whether_its_events_or_its_entry_are_stripped(
    at_start: dict[str, Any], changed: dict[str, Any], at_end: dict[str, Any]
) -> None:
    """So live sockets and pages of running flows agree, and no merged entry brings back what was left out."""
    told = [
        event("start", name="a", start_ns="1", attributes=at_start, status_message=SECRET),
        event("update", updated_ns="2", name="b", attributes=changed),
        event("end", end_ns="3", attributes=at_end, status_message="other " + SECRET),
    ]
    whole, stripped = SpanRecord("n"), SpanRecord("n")
    for each in told:
        whole.add(each)
        stripped.add(METADATA.event(each))
    entry = METADATA.event(whole.entry())
    again = SpanRecord("n")
    again.add(entry)
    assert stripped.entry() == again.entry()
    assert SECRET not in orjson.dumps(entry).decode()
    assert METADATA.event(entry) == entry
