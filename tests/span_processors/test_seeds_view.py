from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.seeds_view import CheckpointAncestry, flow_event, flow_events
from tests.support.event_strategies import events


def entry(**fields: Any) -> Event:
    return cast(Event, {"phase": "end", "node_id": "b", "parent_id": "a", **fields})


TOOL_CALL = entry(
    event_type="tool_call",
    name="tools/call list_snapshots",
    start_ns="1738156800123456789",
    end_ns="1738156800273456789",
    status="unset",
    attributes={
        "user.id": "123",
        "flow.data.mcp": "qa_mcp",
        "flow.data.tool": "list_snapshots",
        "flow.data.status": "must not win",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
    },
)


def test_one_flat_message_per_checkpoint() -> None:
    who = Identity(user_id="123", session_id="s-1", source="web")
    assert flow_event(TOOL_CALL, "think", who) == snapshot(
        {
            "type": "flow_event",
            "user_id": 123,
            "session_id": "s-1",
            "node_id": "b",
            "event_type": "tool_call",
            "parent_id": "think",
            "timestamp": 1738156800.123456,
            "duration_ms": 150.0,
            "status": "ok",
            "source": "web",
            "mcp": "qa_mcp",
            "tool": "list_snapshots",
            "tokens": 15,
        }
    )


def test_a_message_reads_back_as_the_same_checkpoint() -> None:
    message = flow_event(TOOL_CALL, "think", Identity(session_id="s-1"))
    again = FlowReducer([cast(Event, message)]).entries()[0]
    assert flow_event(again, "think", Identity()) == message


def test_a_denial_says_why() -> None:
    denied = entry(event_type="block_check", outcome="denied", attributes={"flow.denied.reason": "blocked"})
    message = flow_event(denied, None, Identity())
    assert (message["status"], message["reason"]) == ("denied", "blocked")


def test_the_parent_is_the_nearest_checkpoint_above() -> None:
    flow = [
        entry(node_id="server", parent_id=None, event_type="span", attributes={"user.id": "u", "flow.session_id": "s"}),
        entry(node_id="think", parent_id="server", event_type="llm_thinking", phase="start"),
        entry(node_id="http", parent_id="think"),
        entry(node_id="tool", parent_id="http", event_type="tool_call"),
        entry(node_id="orphan", parent_id="gone", event_type="error"),
    ]
    assert [(m["node_id"], m["parent_id"], m["user_id"], m["status"]) for m in flow_events(flow)] == snapshot(
        [("think", None, "u", "running"), ("tool", "think", "u", "ok"), ("orphan", None, "u", "ok")]
    )


@given(st.lists(events(), max_size=8))
def test_any_flow_can_be_shown(given_events: list[Event]) -> None:
    entries = FlowReducer(given_events).entries()
    ancestry = CheckpointAncestry(entries)
    for message in flow_events(entries):
        assert message["parent_id"] == ancestry.nearest(message["node_id"])
