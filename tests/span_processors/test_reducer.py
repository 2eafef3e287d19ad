from collections.abc import Iterable
from typing import Any, cast

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event, EventError
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.event_strategies import events


def exact(reducer: FlowReducer) -> bytes:
    """Entries and tree, byte for byte. Python calls True and 1 equal; the two are different values here."""
    return orjson.dumps([reducer.entries(), reducer.tree().rows()], option=orjson.OPT_SORT_KEYS)


def reduced(given_events: Iterable[Event]) -> bytes:
    return exact(FlowReducer(given_events))


def event(**fields: Any) -> Event:
    return cast(Event, fields)


some_events = st.lists(events(), max_size=8)
#: It says nothing about its span.
EMPTY_UPDATE = event(phase="update", node_id="a")


@given(some_events, st.randoms())
def test_the_same_set_of_events_gives_the_same_tree_in_any_order_and_with_repetitions(
    given_events: list[Event], random: Any
) -> None:
    shuffled = given_events + random.sample(given_events, random.randint(0, len(given_events)))
    random.shuffle(shuffled)
    assert reduced(shuffled) == reduced(given_events)


@given(some_events, some_events)
@example(
    one=[event(phase="update", node_id="a", logs=[{"name": "r", "time_ns": "0", "record": True}]), EMPTY_UPDATE],
    other=[event(phase="update", node_id="a", parent_id=None)],
)
def test_merged_entries_are_as_good_as_the_events_they_were_made_of(one: list[Event], other: list[Event]) -> None:
    whole = reduced([*one, *other])
    entries = FlowReducer(one).entries()
    assert reduced([*entries, *other]) == whole
    assert reduced([*other, *entries]) == whole
    assert reduced([*entries, *FlowReducer(other).entries()]) == whole
    assert reduced([*entries, *one, *other]) == whole


@given(some_events, some_events, some_events)
def test_merging_is_associative(one: list[Event], other: list[Event], third: list[Event]) -> None:
    left = FlowReducer([*FlowReducer([*one, *other]).entries(), *third])
    right = FlowReducer([*one, *FlowReducer([*other, *third]).entries()])
    assert exact(left) == exact(right)


@given(some_events)
def test_a_merged_entry_survives_json(given_events: list[Event]) -> None:
    entries = FlowReducer(given_events).entries()
    assert reduced(orjson.loads(orjson.dumps(entries))) == reduced(given_events)


@given(some_events)
def test_the_tree_has_every_span_once(given_events: list[Event]) -> None:
    tree = FlowReducer(given_events).tree()
    seen = [node.node_id for node in tree.walk()]
    assert sorted(seen) == sorted(tree.nodes)
    assert {e["node_id"] for e in given_events} <= set(seen)


START = event(
    v=1, phase="start", flow_id="f", node_id="a", parent_id=None, name="GET", start_ns="5", attributes={"x": 1}
)
UPDATE = event(v=1, phase="update", flow_id="f", node_id="a", updated_ns="6", attributes={"user.id": "7"})
END = event(v=1, phase="end", flow_id="f", node_id="a", name="GET /x", end_ns="9", attributes={"user.id": "7", "x": 2})


def test_an_end_beats_an_update_and_an_update_beats_a_start() -> None:
    assert FlowReducer([END, UPDATE, START]).entries() == snapshot(
        [
            {
                "node_id": "a",
                "parent_id": None,
                "name": "GET /x",
                "start_ns": "5",
                "phase": "end",
                "attributes": {"x": 2, "user.id": "7"},
                "end_ns": "9",
                "late": ["attributes/user.id", "attributes/x", "end_ns", "name"],
                "was": {"name": "GET", "attributes": {"x": 1}},
            }
        ]
    )
    assert FlowReducer([UPDATE, START]).entries() == snapshot(
        [
            {
                "node_id": "a",
                "parent_id": None,
                "name": "GET",
                "start_ns": "5",
                "phase": "update",
                "attributes": {"x": 1, "user.id": "7"},
                "updated_ns": "6",
                "late": ["attributes/user.id", "updated_ns"],
            }
        ]
    )


def test_of_two_updates_the_later_counts() -> None:
    later = event(**{**UPDATE, "updated_ns": "10", "attributes": {"user.id": "1"}})
    assert FlowReducer([later, UPDATE]).entries()[0]["attributes"] == {"user.id": "1"}


def test_of_two_ends_the_later_counts_and_then_the_greater_bytes() -> None:
    later = event(**{**END, "end_ns": "10", "name": "A"})
    greater = event(**{**END, "name": "Z"})
    assert FlowReducer([later, END]).entries()[0]["name"] == "A"
    assert FlowReducer([greater, END]).entries()[0]["name"] == "Z"


def test_a_losing_end_leaves_no_trace() -> None:
    first = event(phase="end", node_id="a", end_ns="9", attributes={"x": 3, "only": True}, types={"x": "double"})
    last = event(phase="end", node_id="a", end_ns="10")
    merged = FlowReducer([START, first])
    merged.add(last)
    assert merged.entries()[0]["attributes"] == {"x": 1}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param([], id="no object"),
        pytest.param({"phase": "start"}, id="no id"),
        pytest.param({"phase": "start", "node_id": "a/b"}, id="id with a slash"),
        pytest.param({"phase": "start", "node_id": "a" * 129}, id="long id"),
        pytest.param({"phase": "begin", "node_id": "a"}, id="unknown phase"),
        pytest.param({"phase": ["start"], "node_id": "a"}, id="phase of a wrong type"),
        pytest.param({"phase": "start", "node_id": "a", "parent_id": 7}, id="parent of a wrong type"),
        pytest.param({"phase": "start", "node_id": "a", "start_ns": 7}, id="time as a number"),
        pytest.param({"phase": "start", "node_id": "a", "start_ns": "-7"}, id="time before 1970"),
        pytest.param({"phase": "start", "node_id": "a", "attributes": []}, id="attributes of a wrong type"),
        pytest.param({"phase": "end", "node_id": "a", "name": 7}, id="name of a wrong type"),
        pytest.param({"timestamp": 1.0}, id="an old event without an id"),
    ],
)
def test_what_is_no_event_is_refused(bad: Any) -> None:
    with pytest.raises(EventError):
        FlowReducer([bad])


keys = st.sampled_from(["attributes", "types", "x", "node_id", "phase", "late"])
#: What JSON is read into: anything larger is a float.
whole_numbers = st.integers(-(2**63), 2**64 - 1)


@given(
    st.dictionaries(
        st.sampled_from(["late", "was", "attributes", "types", "parent_id", "end_ns", "links"]),
        st.recursive(
            st.one_of(st.none(), whole_numbers, st.text(max_size=3), st.sampled_from(["attributes/x", "end_ns"])),
            lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=2)),
            max_leaves=6,
        ),
    )
)
def test_damaged_entries_are_refused_or_reduced_but_never_break(damage: dict[str, Any]) -> None:
    try:
        reducer = FlowReducer([cast(Event, {"phase": "end", "node_id": "a", **damage}), START])
    except EventError:
        return
    assert exact(FlowReducer(reducer.entries())) == exact(reducer)
