"""The messages that existing dashboards know, made from a flow's events."""

from typing import Any

import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.sockets.legacy_messages import LegacyMessages

FLOW = "f" * 32
SECOND = 1_000_000_000


def event(node_id: str, parent_id: str | None, event_type: str, phase: str, *times: int) -> Event:
    made: Any = {"v": 1, "flow_id": FLOW, "node_id": node_id, "phase": phase, "event_type": event_type}
    made |= {"parent_id": parent_id, "name": event_type, "start_ns": str(times[0] * SECOND)}
    if phase == "end":
        made |= {"end_ns": str(times[1] * SECOND), "status": "unset"}
    told: Event = made
    return told


@pytest.mark.parametrize(
    ("event_type", "phase", "due"),
    [
        ("llm_thinking", "start", True),
        ("llm_thinking", "end", True),
        ("tool_call", "start", False),
        ("tool_call", "end", True),
        ("our_own_check", "end", True),
        ("span", "end", False),
    ],
)
def test_thinking_is_told_when_it_starts_and_all_else_when_it_ends(event_type: str, phase: str, due: bool) -> None:
    assert bool(LegacyMessages("7").of([event("a", None, event_type, phase, 1, 2)])) is due


def test_spans_told_at_once_come_after_what_is_above_them() -> None:
    under_load = [
        event("auth", "root", "auth_check", "end", 2, 3),
        event("tool1", "think", "tool_call", "end", 5, 6),
        event("tool2", "think", "tool_call", "end", 6, 7),
        event("think", "root", "llm_thinking", "end", 4, 8),
        event("done", "root", "llm_complete", "end", 8, 9),
        event("root", None, "span", "end", 1, 9),
    ]
    messages = LegacyMessages("7").of(under_load)
    assert [(each["event_type"], each["node_id"], each["parent_id"]) for each in messages] == snapshot(
        [
            ("auth_check", "auth", None),
            ("llm_thinking", "think", None),
            ("tool_call", "tool1", "think"),
            ("tool_call", "tool2", "think"),
            ("llm_complete", "done", None),
        ]
    )


def test_a_checkpoint_is_told_once_however_often_it_is_said() -> None:
    messages = LegacyMessages("7")
    start = event("think", None, "llm_thinking", "start", 1)
    end = event("think", None, "llm_thinking", "end", 1, 2)
    assert [len(messages.of(events)) for events in ([start], [end], [start, end])] == [1, 0, 0]


def test_a_turn_that_begins_with_the_session_of_the_one_before_is_told_with_its_own() -> None:
    def of(session_id: str, **fields: Any) -> Any:
        return {"v": 1, "flow_id": FLOW, "attributes": {"flow.session_id": session_id}, **fields}

    turn = [
        event("root", None, "span", "start", 1) | of("the one before"),
        of("its own", phase="update", node_id="root", updated_ns=str(2 * SECOND)),
        event("auth", "root", "auth_check", "end", 2, 3) | of("its own"),
        event("think", "root", "llm_thinking", "start", 3) | of("its own"),
    ]
    told = LegacyMessages("7")
    messages = [message for each in turn for message in told.of([each])]
    assert [(message["session_id"], message["user_id"]) for message in messages] == [("its own", 7)] * 2
    assert [message["session_id"] for message in LegacyMessages("7").of(turn)] == ["its own"] * 2
