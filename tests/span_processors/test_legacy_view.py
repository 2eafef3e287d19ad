from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.tree.legacy_view import CheckpointAncestry, flow_event, flow_events
from spanflow.span_processors.tree.reducer import FlowReducer
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


def test_the_words_of_the_gateway_are_shown_as_it_said_them() -> None:
    def shown(outcome: str, **said: Any) -> tuple[Any, ...]:
        data = {f"flow.data.{word}": value for word, value in said.items()}
        message = flow_event(entry(event_type="security_check", outcome=outcome, attributes=data), None, Identity())
        return message["status"], message["source"], message.get("safe")

    assert shown("ok", status="passed") == ("passed", "chat", None)
    assert shown("denied", status="flagged", safe=False) == ("flagged", "chat", False)
    assert shown("ok", status="", source="mcp_gateway") == ("ok", "mcp_gateway", None)
    assert shown("ok", status=200) == ("ok", "chat", None)


def test_a_step_that_was_reported_without_a_status_has_none() -> None:
    reported = {"flow.reported": True}
    for phase in ("start", "end"):
        message = flow_event(entry(phase=phase, event_type="llm_thinking", attributes=reported), None, Identity())
        assert "status" not in message
    passed = entry(event_type="auth_check", attributes={**reported, "flow.data.status": "passed"})
    assert flow_event(passed, None, Identity())["status"] == "passed"


def test_where_the_gateway_reports_its_steps_they_are_all_that_is_shown() -> None:
    def reported(node_id: str, parent_id: str | None, event_type: str) -> Event:
        attributes = {"flow.checkpoint.type": event_type, "flow.reported": True}
        return entry(node_id=node_id, parent_id=parent_id, event_type=event_type, attributes=attributes)

    own = {"flow.checkpoint.type": "tool_filter"}
    flow = [
        entry(node_id="server", parent_id=None, event_type="span"),
        reported("auth", "server", "auth_check"),
        entry(node_id="filter", parent_id="server", event_type="tool_filter", attributes=own),
        reported("think", "server", "llm_thinking"),
        entry(node_id="sdk", parent_id="think", event_type="llm_thinking"),
        entry(node_id="mcp", parent_id="sdk", event_type="tool_call"),
        reported("tool", "mcp", "tool_call"),
    ]
    steps = [(message["node_id"], message["parent_id"]) for message in flow_events(flow)]
    assert steps == [("auth", None), ("filter", None), ("think", None), ("tool", "think")]
    seen_only = [message["node_id"] for message in flow_events(flow[4:6])]
    assert seen_only == ["sdk", "mcp"]


def test_the_outermost_span_of_a_call_stands_for_it_as_soon_as_it_has_started() -> None:
    def call(node_id: str, parent_id: str, tool: str, phase: str = "end") -> Event:
        attributes = {"gen_ai.tool.name": tool}
        return entry(node_id=node_id, parent_id=parent_id, phase=phase, event_type="tool_call", attributes=attributes)

    flow = [
        call("step", "server", "look", phase="start"),
        entry(node_id="http", parent_id="step"),
        call("sdk", "http", "qa-look"),
        call("other", "step", "find"),
    ]
    assert [(message["node_id"], message["parent_id"]) for message in flow_events(flow)] == [
        ("step", None),
        ("other", "step"),
    ]
    live = CheckpointAncestry(flow[:3])
    live.add({"phase": "end", "node_id": "step", "event_type": "tool_call"})
    assert not live.shows("sdk") and live.shows("step")


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
