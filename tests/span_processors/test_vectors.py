"""The shared vectors, in Python. `viewer_api/web/src/reducer/vectors.test.ts` runs the same files in TypeScript."""

from typing import Any

import pytest

from spanflow.span_processors.tree.flow_summary import summary_of
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.vectors import expanded, outlook_of, vectors

VECTORS = vectors()
NEEDED = {
    "legacy_events",
    "out_of_order",
    "duplicated",
    "late_identity",
    "orphan",
    "crash",
    "two_processes",
    "depth_1000",
    "denied",
    "cancelled",
    "tool_error",
}


def test_every_situation_we_promise_has_a_vector() -> None:
    assert set(VECTORS) >= NEEDED


@pytest.mark.parametrize("vector", [pytest.param(vector, id=name) for name, vector in VECTORS.items()])
def test_events_become_the_expected_entries_and_tree(vector: dict[str, Any]) -> None:
    events, tree = expanded(vector)
    reducer = FlowReducer(events)
    assert reducer.tree(outlook_of(vector)).rows() == tree
    if "entries" in vector:
        assert reducer.entries() == vector["entries"]
    if "verdict" in vector:
        summary = summary_of(reducer.entries())
        shown = {name: getattr(summary, name) for name in ("outcome", "gate", "reason", "outcome_reason")}
        assert shown == {"outcome_reason": None, **vector["verdict"]}


@pytest.mark.parametrize("vector", [pytest.param(vector, id=name) for name, vector in VECTORS.items()])
def test_neither_order_nor_merging_in_between_changes_the_tree(vector: dict[str, Any]) -> None:
    events, tree = expanded(vector)
    half = len(events) // 2
    first = FlowReducer(events[:half]).entries()
    assert FlowReducer([*reversed(events[half:]), *first]).tree(outlook_of(vector)).rows() == tree
    assert FlowReducer(FlowReducer([*events, *events]).entries()).tree(outlook_of(vector)).rows() == tree
