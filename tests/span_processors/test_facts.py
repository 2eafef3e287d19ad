import time
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.facts import critical_path, facts_of, self_times
from spanflow.span_processors.tree.flow_outline import outline_of
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.tree import Tree, build_tree
from tests.support.event_strategies import events
from tests.support.flow_parts import MS
from tests.support.vectors import expanded, vectors


def span(node_id: str, parent_id: str | None, start: int, end: int | None, **fields: Any) -> Event:
    done = {"phase": "start"} if end is None else {"phase": "end", "end_ns": str(end)}
    return cast(Event, {"node_id": node_id, "parent_id": parent_id, "start_ns": str(start), **done, **fields})


def tree_of(*spans: Event) -> Tree:
    return FlowReducer(spans).tree()


def times(tree: Tree, now_ns: int | None = None) -> dict[str, tuple[int, int, int]]:
    """Duration, self time and critical time of each node."""
    facts = facts_of(tree, now_ns)
    return {key: (fact.duration_ns, fact.self_ns, fact.critical_ns) for key, fact in sorted(facts.items())}


def test_self_time_is_what_no_child_accounts_for() -> None:
    tree = tree_of(
        span("root", None, 0, 100),
        span("a", "root", 10, 40),
        span("b", "root", 30, 60),  # overlaps a
        span("c", "root", 90, 130),  # outlives the root
    )
    assert {key: self_ns for key, (_, self_ns, _) in times(tree).items()} == {"root": 40, "a": 30, "b": 30, "c": 40}


def test_the_critical_path_runs_through_the_children_that_ended_last() -> None:
    tree = tree_of(
        span("root", None, 0, 100),
        span("auth", "root", 0, 10),
        span("think", "root", 10, 90),
        span("fast", "think", 15, 30),
        span("slow", "think", 15, 80),
        span("late", "root", 110, 150),
    )
    assert critical_path(tree, facts_of(tree)) == snapshot(["root", "auth", "think", "slow"])
    assert {key: critical for key, (_, _, critical) in times(tree).items()} == snapshot(
        {"auth": 10, "fast": 0, "late": 0, "root": 10, "slow": 65, "think": 15}
    )


def test_open_spans_count_up_to_now() -> None:
    tree = tree_of(span("root", None, 0, None), span("call", "root", 20, None))
    assert times(tree, 50) == {"root": (50, 20, 20), "call": (30, 30, 30)}
    assert times(tree) == {"root": (20, 20, 20), "call": (0, 0, 0)}


def test_a_placeholder_spans_its_children() -> None:
    tree = tree_of(span("a", "gone", 5, 10), span("b", "gone", 20, 30))
    assert times(tree) == {"gone": (25, 0, 0), "a": (5, 5, 5), "b": (10, 10, 10)}


def test_times_that_cannot_be_are_not_negative() -> None:
    assert times(tree_of(span("a", None, 50, 10))) == {"a": (0, 0, 0)}


@given(st.lists(events(), max_size=8))
def test_self_and_critical_time_never_exceed_the_duration(given_events: list[Event]) -> None:
    tree = FlowReducer(given_events).tree()
    for fact in facts_of(tree, 3).values():
        assert 0 <= fact.self_ns <= fact.duration_ns
        assert 0 <= fact.critical_ns <= fact.duration_ns


durations = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=6)


@given(durations)
def test_the_critical_times_of_a_flow_add_up_to_its_duration(children: list[tuple[int, int]]) -> None:
    spans = [span(f"c{i}", "root", start, start + length) for i, (start, length) in enumerate(children)]
    tree = tree_of(span("root", None, 0, 100), *spans)
    assert sum(fact.critical_ns for fact in facts_of(tree).values()) == 100


def test_a_deep_and_a_wide_flow_are_quick() -> None:
    deep = [span(f"d{i}", f"d{i - 1}" if i else None, i, 40_000 - i) for i in range(10_000)]
    wide = [span(f"w{i}", "d0", i, i + 1) for i in range(10_000)]
    begin = time.process_time()
    facts = facts_of(tree_of(*deep, *wide))
    assert len(facts) == 20_000
    assert time.process_time() - begin < 5


def test_a_span_whose_clock_was_wrong_is_drawn_within_its_flow() -> None:
    tree = FlowReducer(expanded(vectors()["wrong_clocks"])[0]).tree()
    facts = facts_of(tree)
    begin = facts["00f067aa0ba902b1"].start_ns
    drawn = {
        node_id[-1]: ((fact.start_ns - begin) // MS, (fact.end_ns - begin) // MS) for node_id, fact in facts.items()
    }
    assert drawn == {
        "1": (0, 80),
        "2": (5, 60),
        "3": (5, 25),
        "4": (5, 14),
        "5": (0, 20),
        "6": (90, 100),
        "7": (5, 6),
    }


@given(st.lists(events(), max_size=12))
def test_self_times_of_an_outline_are_those_of_the_tree(seen: list[Event]) -> None:
    check_self_times(seen)


def test_self_times_of_the_vectors_are_those_of_their_trees() -> None:
    for vector in vectors().values():
        check_self_times(expanded(vector)[0])


def check_self_times(seen: list[Event]) -> None:
    entries = FlowReducer(seen).entries()
    outline = outline_of(entries)
    facts = facts_of(build_tree(entries))
    expected = [
        None
        if entry is None or entry["node_id"] not in facts or facts[entry["node_id"]].open
        else facts[entry["node_id"]].self_ns
        for entry in outline.entries
    ]
    assert self_times(entries, outline) == expected
