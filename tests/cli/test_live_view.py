"""Running requests in a terminal."""

import io
from typing import Any

from inline_snapshot import snapshot

from spanflow.cli.terminal.live_view import Flows, LineView, TreeView
from spanflow.cli.terminal.tree_lines import Style, tree_lines
from spanflow.cli.terminal.wording import Paint, width

PLAIN = Paint(on=False)


def event(phase: str, flow_id: str, node_id: str, parent_id: str | None = None, **more: Any) -> dict[str, Any]:
    times = {"start": {"start_ns": "0"}, "end": {"start_ns": "0", "end_ns": "2000000"}}[phase]
    return {"phase": phase, "flow_id": flow_id, "node_id": node_id, "parent_id": parent_id, **times, **more}


def test_a_step_that_is_slow_or_lost_says_so_until_it_has_ended() -> None:
    drawn: list[str] = []
    screen = io.StringIO()
    flows = Flows(TreeView(screen, PLAIN, clock_ns=lambda: 5_000_000_000))

    def says(message: dict[str, Any]) -> None:
        screen.truncate(0)
        screen.seek(0)
        flows.take({"user_id": 7, **message})
        drawn.append(screen.getvalue().splitlines()[-1].rstrip())

    tool = {"event_type": "tool_call", "name": "list"}
    says({"type": "events", "events": [event("start", "f", "a", name="ask"), event("start", "f", "b", "a", **tool)]})
    says({"type": "states", "flow_id": "f", "state": "slow", "nodes": {"b": "slow"}})
    says({"type": "states", "flow_id": "f", "state": "lost", "nodes": {"b": "lost"}})
    says({"type": "states", "flow_id": "f", "state": "running", "nodes": {"b": "running"}})
    says({"type": "events", "events": [event("end", "f", "b", "a", outcome="ok")]})
    says({"type": "states", "flow_id": "f", "state": "lost", "nodes": {"b": "lost"}})
    assert [" ".join(line.split()) for line in drawn] == snapshot(
        [
            "└─ ● tool_call list 5.00 s",
            "└─ ◐ tool_call list slow 5.00 s",
            "└─ ? tool_call list lost 5.00 s",
            "└─ ● tool_call list 5.00 s",
            "└─ ✓ tool_call list 2.0 ms",
            "└─ ✓ tool_call list 2.0 ms",
        ]
    )


def test_lines_of_several_flows_keep_the_order_in_which_they_came() -> None:
    lines: list[str] = []
    flows = Flows(LineView(lines.append, PLAIN))
    ids = [f"{number:032x}" for number in (5, 3, 9, 1, 7)]
    flows.take({"type": "events", "user_id": 7, "events": [event("end", id, id[-8:], name=id[-1]) for id in ids]})
    assert [line.split()[-3] for line in lines] == ["5", "3", "9", "1", "7"]


def test_a_narrow_terminal_shows_what_every_step_of_a_deep_tree_is_called() -> None:
    rows = [
        {"node_id": str(depth), "depth": depth, "state": "ended", "name": f"step {depth}", "event_type": "span"}
        | {"start_ns": "0", "end_ns": "1000000", "outcome": "ok"}
        for depth in range(60)
    ]
    lines = list(tree_lines(rows, Style(PLAIN, 59)))
    assert all(width(line) <= 59 for line in lines)
    assert [line.rstrip() for line in (lines[0], lines[2], lines[8], lines[9], lines[59])] == snapshot(
        [
            "✓ step 0                                           1.0 ms",
            "   └─ ✓ step 2                                     1.0 ms",
            "                     └─ ✓ step 8                   1.0 ms",
            "                        └─ ✓ step 9                1.0 ms",
            "                     (59) ✓ step 59                1.0 ms",
        ]
    )


def test_a_models_call_says_how_long_its_first_token_took() -> None:
    call = {"node_id": "a", "depth": 0, "state": "ended", "event_type": "llm_thinking", "name": "chat big"}
    (line,) = tree_lines([{**call, "start_ns": "0", "end_ns": "900000000", "first_token_ms": 120.4}], Style(PLAIN, 79))
    assert line.split() == "✓ llm_thinking chat big first token 120 ms 900 ms".split()
