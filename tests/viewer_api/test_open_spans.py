"""The server's own idea of open spans agrees with the tree's, whatever comes in whatever order."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.tree import Outlook
from spanflow.viewer_api.live.open_spans import OpenSpans

S = 1_000_000_000


def event(node: str, phase: str = "start", at: int = 0, **fields: Any) -> Event:
    times = {"start": "start_ns", "update": "updated_ns", "end": "end_ns"}
    base: dict[str, Any] = {"v": 1, "phase": phase, "node_id": node, times[phase]: str(at * S), **fields}
    return base  # type: ignore[return-value]


def judged(spans: OpenSpans, now: int, **known: Any) -> Any:
    found = spans.judge(
        now * S,
        lost=known.get("lost", set()),
        usual_p95_ns={step: seconds * S for step, seconds in known.get("usual", {}).items()},
        stalled_after_ns=60 * S,
    )
    return None if found is None else (found.state, dict(found.changed))


def test_states_are_told_when_they_change_and_not_again() -> None:
    spans = OpenSpans()
    spans.note(event("root", event_type="span", name="POST /ask", process="p"))
    spans.note(event("tool", at=1, parent_id="root", event_type="tool_call", name="list", process="p"))
    usual = {"tool_call:list": 2}
    said = [judged(spans, now, usual=usual) for now in (1, 2, 4, 5, 63)]
    spans.note(event("tool", "update", at=64, name="list again"))
    said += [judged(spans, 65, usual=usual), judged(spans, 66, usual=usual, lost={"p"}), judged(spans, 67, usual=usual)]
    spans.note(event("tool", "end", at=68))
    said += [judged(spans, 69), judged(spans, 200)]
    assert said == snapshot(
        [
            None,
            None,
            ("slow", {"tool": "slow"}),
            None,
            ("stalled", {"root": "stalled", "tool": "stalled"}),
            ("running", {"root": "running", "tool": "running"}),
            ("lost", {"root": "lost", "tool": "lost"}),
            ("running", {"root": "running", "tool": "running"}),
            None,
            ("stalled", {"root": "stalled"}),
        ]
    )


def test_waiting_for_a_person_is_never_stalled() -> None:
    spans = OpenSpans()
    spans.note(event("root", event_type="span", name="POST /ask", process="p"))
    spans.note(event("tool", at=1, parent_id="root", event_type="tool_call", name="book", process="p"))
    spans.note(event("ask", at=2, parent_id="tool", event_type="elicitation", name="elicitation/create", process="p"))
    usual = {"elicitation:elicitation/create": 1}
    assert [judged(spans, now, usual=usual) for now in (30, 90, 3600)] == [None, None, None]
    spans.note(event("ask", "end", at=3601))
    assert judged(spans, 3700) == ("stalled", {"root": "stalled", "tool": "stalled"})


NODES = ["a", "b", "c", "d"]
PROCESSES = ["p", "q"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(NODES), st.sampled_from(["start", "update", "end"]), st.integers(0, 300), st.booleans()
        ),
        max_size=20,
    ),
    st.integers(0, 400),
    st.sets(st.sampled_from(PROCESSES)),
    st.dictionaries(st.sampled_from([f"span:{node}" for node in NODES]), st.integers(1, 100)),
    st.integers(1, 5),
)
# A start at zero is a start.
@example([("a", "start", 0, False), ("a", "update", 0, False)], 61, set(), {}, 1)
def test_it_says_what_the_tree_says(
    steps: list[tuple[str, str, int, bool]], now: int, lost: set[str], usual: dict[str, int], every: int
) -> None:
    spans, reducer = OpenSpans(), FlowReducer()
    started: set[str] = set()
    seconds = 0
    for number, (node, phase, pause, on_q) in enumerate(steps):
        # A process writes a span's start first and its end last; times go forward.
        if phase != "start" and node not in started or phase == "start" and node in started:
            continue
        started.add(node)
        seconds += pause
        fields: dict[str, Any] = {}
        if phase == "start":
            parent = NODES[NODES.index(node) - 1] if node != "a" else None
            fields = {"parent_id": parent, "event_type": "span", "name": node, "process": PROCESSES[on_q]}
        made = event(node, phase, seconds, **fields)
        spans.note(made)
        reducer.add(made)
        if number % every == 0:
            judged(spans, seconds, lost=lost, usual=usual)
    judged(spans, now, lost=lost, usual=usual)
    outlook = Outlook(
        now_ns=now * S,
        alive=set(PROCESSES) - lost,
        usual_p95_ns={step: value * S for step, value in usual.items()},
    )
    nodes = reducer.tree(outlook).walk()
    wanted = {node.node_id: node.state for node in nodes if node.state not in {None, "ended", "running"}}
    assert spans.unusual() == wanted
