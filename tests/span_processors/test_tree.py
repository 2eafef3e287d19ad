import json
import time
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.tree import Node, Outlook, Tree, build_tree
from tests.support.event_strategies import events

S = 1_000_000_000


def event(node_id: str, parent_id: str | None = None, **fields: Any) -> Event:
    return cast(Event, {"phase": "start", "node_id": node_id, "parent_id": parent_id, "start_ns": "1", **fields})


def outline(tree: Tree) -> list[str]:
    """The tree as indented text."""
    return [f"{'  ' * node.depth}{node.node_id}{'?' if node.placeholder else ''}" for node in tree.walk()]


def test_children_stand_under_their_parents_in_start_order() -> None:
    tree = FlowReducer(
        [
            event("late", "root", start_ns="30"),
            event("early", "root", start_ns="20"),
            event("below", "early", start_ns="25"),
            event("root", None, start_ns="10"),
            event("same", "root", start_ns="30"),
        ]
    ).tree()
    assert outline(tree) == snapshot(["root", "  early", "    below", "  late", "  same"])


def test_a_child_whose_parent_has_not_come_stands_under_a_placeholder() -> None:
    reducer = FlowReducer([event("child", "gone"), event("other", "gone", start_ns="2"), event("root")])
    assert outline(reducer.tree()) == snapshot(["gone?", "  child", "  other", "root"])
    assert reducer.tree().rows()[0] == {
        "node_id": "gone",
        "parent_id": None,
        "depth": 0,
        "state": None,
        "placeholder": True,
    }
    reducer.add(event("gone", "root", start_ns="3"))
    assert outline(reducer.tree()) == snapshot(["root", "  gone", "    child", "    other"])


def test_cycles_of_parents_are_cut_at_the_earliest_span() -> None:
    tree = FlowReducer(
        [
            event("a", "c", start_ns="3"),
            event("b", "a", start_ns="2"),
            event("c", "b", start_ns="4"),
            event("tail", "c", start_ns="1"),
            event("self", "self", start_ns="9"),
        ]
    ).tree()
    assert outline(tree) == snapshot(["b", "  c", "    tail", "    a", "self"])
    assert [node.node_id for node in tree.walk() if node.in_cycle] == ["b", "self"]


def test_depth_and_size_do_not_matter() -> None:
    chain = [event(f"{i:05}", f"{i - 1:05}" if i else None, start_ns=str(i)) for i in range(10_000)]
    ends = [cast(Event, {"phase": "end", "node_id": e["node_id"], "end_ns": "20000"}) for e in chain]
    begin = time.perf_counter()
    tree = FlowReducer([*ends, *reversed(chain)]).tree(Outlook(now_ns=30_000))
    nested = tree.nested_json()
    spent = time.perf_counter() - begin
    assert [node.depth for node in tree.walk()] == list(range(10_000))
    assert nested.count(b'"children"') == 10_000
    assert spent < 5  # it takes a fifth of a second; anything quadratic takes minutes


@given(st.lists(events(), max_size=8))
def test_nested_json_says_the_same_as_the_rows(given_events: list[Event]) -> None:
    tree = FlowReducer(given_events).tree()
    flat = []
    stack = json.loads(tree.nested_json())[::-1]
    while stack:
        row = stack.pop()
        stack.extend(reversed(row.pop("children")))
        flat.append(row)
    assert flat == tree.rows()


def test_an_empty_flow_is_an_empty_tree() -> None:
    assert build_tree([]).rows() == []
    assert build_tree([]).nested_json() == b"[]"


def states(*entries: Event, **known: Any) -> dict[str, str | None]:
    return {node.node_id: node.state for node in FlowReducer(entries).tree(Outlook(**known)).walk()}


def test_an_ended_span_is_ended_whatever_else_is_known() -> None:
    assert states(event("a", phase="end", end_ns="5", process="p"), now_ns=10**20, alive={"q"}) == {"a": "ended"}


def test_an_open_span_of_a_dead_process_is_lost() -> None:
    assert states(event("a", process="p"), event("b", process="q"), alive={"q"}) == {"a": "lost", "b": "running"}


def test_without_knowledge_nothing_is_claimed() -> None:
    assert states(event("a", process="p"), event("b", start_ns="1")) == {"a": "running", "b": "running"}


def test_an_open_span_beyond_its_usual_p95_is_slow() -> None:
    step = event("a", event_type="tool_call", name="list", start_ns="0")
    usual = {"tool_call:list": 2 * S}
    assert states(step, now_ns=2 * S, usual_p95_ns=usual) == {"a": "running"}
    assert states(step, now_ns=3 * S, usual_p95_ns=usual) == {"a": "slow"}
    assert states(event("b", name="list"), now_ns=3 * S, usual_p95_ns=usual) == {"b": "running"}


def test_an_open_span_without_news_is_stalled_and_its_waiting_parent_too() -> None:
    flow = (event("root", start_ns="0"), event("call", "root", start_ns=str(5 * S)))
    assert states(*flow, now_ns=60 * S) == {"root": "running", "call": "running"}
    assert states(*flow, now_ns=66 * S) == {"root": "stalled", "call": "stalled"}
    news = event("other", "root", start_ns=str(64 * S), phase="end", end_ns=str(65 * S))
    assert states(*flow, news, now_ns=66 * S) == {"root": "running", "call": "stalled", "other": "ended"}


def test_a_step_that_is_usually_long_is_not_stalled_so_soon() -> None:
    step = event("a", event_type="llm_thinking", name="think", start_ns="0")
    usual = {"llm_thinking:think": 40 * S}
    assert states(step, now_ns=150 * S, usual_p95_ns=usual) == {"a": "slow"}
    assert states(step, now_ns=161 * S, usual_p95_ns=usual) == {"a": "stalled"}


@pytest.mark.parametrize("entry", [None, cast(Event, {"phase": "start", "node_id": "a", "end_ns": "5"})])
def test_an_open_node_has_no_end(entry: Event | None) -> None:
    assert Node("a", entry).end_ns is None
