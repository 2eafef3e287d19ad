from typing import Any, cast

import orjson
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.flow_data import FlowData
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.event_strategies import events


def exact(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


owners = st.builds(
    Identity,
    user_id=st.sampled_from([None, "1", "neo", "01"]),
    session_id=st.sampled_from([None, "s"]),
    conversation_id=st.sampled_from([None, "c"]),
)
described = st.dictionaries(
    st.sampled_from(["p", "q"]),
    st.fixed_dictionaries(
        {},
        optional={
            "resource": st.dictionaries(
                st.sampled_from(["service.name", "pid"]), st.sampled_from(["x", 1, True, None])
            ),
            "scopes": st.dictionaries(st.sampled_from(["a", "b"]), st.just({"name": "fastapi"})),
            "cut": st.dictionaries(st.just("spans"), st.integers(0, 12)),
        },
    ),
)


@st.composite
def documents(draw: st.DrawFn) -> FlowData:
    entries = FlowReducer(draw(st.lists(events(), max_size=4))).entries()
    return flow_data.build("f", entries, identity=draw(owners), processes=draw(described))


@given(documents(), documents(), documents())
def test_parts_merge_to_one_document_in_any_order(one: FlowData, other: FlowData, third: FlowData) -> None:
    whole = exact(flow_data.merge(flow_data.merge(one, other), third))
    assert exact(flow_data.merge(one, flow_data.merge(other, third))) == whole
    assert exact(flow_data.merge(flow_data.merge(third, one), other)) == whole
    assert exact(flow_data.merge(orjson.loads(whole), one)) == whole


@given(st.lists(events(), max_size=6), st.lists(events(), max_size=6))
def test_merged_documents_hold_what_the_events_say(one: list[Event], other: list[Event]) -> None:
    merged = flow_data.merge(
        flow_data.build("f", FlowReducer(one).entries()), flow_data.build("f", FlowReducer(other).entries())
    )
    straight = flow_data.build("f", FlowReducer([*one, *other]).entries())
    assert exact(merged["events"]) == exact(straight["events"])


@given(st.lists(events(), max_size=8))
def test_stored_entries_are_what_reading_the_document_gives(seen: list[Event]) -> None:
    document = orjson.loads(exact(flow_data.build("f", FlowReducer(seen).entries())))
    assert exact(flow_data.entries_in(document)) == exact(flow_data.read(document).entries())


START = cast(Event, {"v": 1, "phase": "start", "flow_id": "f", "node_id": "a", "parent_id": None, "start_ns": "5"})
END = cast(
    Event, {"v": 1, "phase": "end", "flow_id": "f", "node_id": "a", "end_ns": "9", "attributes": {"user.id": "7"}}
)


def test_a_document_has_one_entry_per_span_and_shows_numeric_ids_as_numbers() -> None:
    reducer = FlowReducer([START, END])
    processes = {"p": {"resource": {"service.name": "gateway"}}}
    document = flow_data.build("f", reducer.entries(), identity=Identity(session_id="s"), processes=processes)
    assert document == snapshot(
        {
            "session_id": "s",
            "user_id": 7,
            "conversation_id": None,
            "flow_id": "f",
            "processes": {"p": {"resource": {"service.name": "gateway"}}},
            "stated": {"session_id": "s"},
            "events": [
                {
                    "node_id": "a",
                    "parent_id": None,
                    "start_ns": "5",
                    "phase": "end",
                    "end_ns": "9",
                    "attributes": {"user.id": "7"},
                    "late": ["attributes/user.id", "end_ns"],
                }
            ],
        }
    )
    assert flow_data.read(document).tree().rows() == reducer.tree().rows()


def test_documents_of_older_gateways_are_read_and_damaged_events_left_out() -> None:
    old = {"events": [{"node_id": "n", "event_type": "auth_check", "timestamp": 1.5}, {"node_id": None}, 7]}
    assert [row["node_id"] for row in flow_data.read(old).tree().rows()] == ["n"]
    assert len(flow_data.read(None)) == len(flow_data.read({"events": "x"})) == 0


def test_what_a_process_says_of_itself_is_united() -> None:
    one = flow_data.build("f", [], processes={"p": {"scopes": {"a": {"name": "x"}}, "cut": {"spans": 9}}})
    other = flow_data.build("f", [], processes={"p": {"scopes": {"b": {"name": "y"}}, "cut": {"spans": 10}}, "q": {}})
    assert flow_data.merge(one, other)["processes"] == {
        "p": {"scopes": {"a": {"name": "x"}, "b": {"name": "y"}}, "cut": {"spans": 10}},
        "q": {},
    }


def test_a_late_identify_counts_over_what_the_early_spans_said() -> None:
    root = cast(Event, {**END, "attributes": {"user.id": "neo", "user.email": "neo@matrix.com"}})
    early = cast(Event, {"phase": "end", "node_id": "b", "parent_id": "a", "attributes": {"user.id": "guest"}})
    assert flow_data.build("f", FlowReducer([START, root, early]).entries())["user_id"] == "neo"
