"""Activities: what the person saw, recorded on purpose, never on the request's time and never in a span's text."""

import asyncio
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from dirty_equals import IsInt, IsStr
from inline_snapshot import snapshot
from opentelemetry.trace import Span

from spanflow.instrumentation import flow
from spanflow.instrumentation.activities import record_tool_call, record_tool_response, record_user_message
from spanflow.instrumentation.activity_tracker import get_activity_tracker
from spanflow.instrumentation.runtime import install, runtime
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.identity import Identity
from tests.instrumentation.conftest import Recorded


@dataclass
class Port:
    """Keeps what is handed to the pipeline."""

    activities: list[tuple[int, Activity]] = field(default_factory=list)
    broken: bool = False

    def identify(self, trace_id: int, identity: Identity) -> None: ...

    def span_updated(self, span: Span) -> None: ...

    def record_activity(self, trace_id: int, activity: Activity) -> None:
        if self.broken:
            raise RuntimeError("broken")
        self.activities.append((trace_id, activity))

    def end_flow(self, trace_id: int) -> None: ...

    def is_watched(self, user_id: str) -> bool:
        return False

    def prepare(self) -> None:
        """Nothing to connect."""

    def prepare_to_end(self, timeout: float) -> bool:
        return True

    def force_flush(self, timeout: float) -> bool:
        return True

    def shutdown(self, timeout: float) -> bool:
        return True


@pytest.fixture
def port(recorded: Recorded) -> Port:
    port = Port()
    install(replace(runtime(), pipeline=port))
    return port


def shown(activity: Activity) -> dict[str, Any]:
    return {name: getattr(activity, name) for name in activity.__dataclass_fields__}


def test_a_message_belongs_to_the_flow_and_its_text_stays_out_of_the_span(port: Port, recorded: Recorded) -> None:
    with flow("turn", user_id=42, conversation_id="c-1", session_id="s-1") as turn:
        activity_id = record_user_message("What is the status of job 7?", client="web")
    ((trace_id, activity),) = port.activities
    assert f"{trace_id:032x}" == turn.flow_id
    assert shown(activity) == {
        "type": "user_message",
        "time_ns": IsInt,
        "data": {"message": "What is the status of job 7?", "client": "web"},
        "conversation_id": "c-1",
        "session_id": "s-1",
        "user_id": "42",
        "sequence_num": None,
        "node_id": f"{turn.span.get_span_context().span_id:016x}",
        "activity_id": activity_id,
    }
    assert [(event.name, dict(event.attributes or {})) for event in recorded.only("turn").events] == [
        ("flow.activity.user_message", {"flow.activity.id": activity_id})
    ]


def test_ids_given_with_an_activity_identify_the_flow(port: Port, recorded: Recorded) -> None:
    conversation = uuid.uuid4()
    with flow("turn"):
        record_tool_call("qa_mcp", "list_snapshots", {"job": 7}, conversation_id=conversation, user_id=1)
        record_tool_response("qa_mcp", "list_snapshots", "success", 12.5)
    assert recorded.tree(["user.id", "gen_ai.conversation.id"]) == snapshot(
        [
            {
                "name": "turn",
                "kind": "internal",
                "attributes": {"gen_ai.conversation.id": IsStr, "user.id": "1"},
                "events": [
                    {
                        "name": "flow.activity.mcp_tool_call",
                        "flow.activity.id": IsStr,
                        "flow.activity.mcp_server": "qa_mcp",
                        "flow.activity.tool_name": "list_snapshots",
                    },
                    {
                        "name": "flow.activity.mcp_tool_response",
                        "flow.activity.id": IsStr,
                        "flow.activity.mcp_server": "qa_mcp",
                        "flow.activity.tool_name": "list_snapshots",
                        "flow.activity.status": "success",
                        "flow.activity.duration_ms": 12.5,
                    },
                ],
            }
        ]
    )
    assert [activity.conversation_id for _, activity in port.activities] == [str(conversation)] * 2


def test_the_older_tracker_takes_a_database_handle_and_keeps_the_callers_numbers(port: Port) -> None:
    ids: dict[str, Any] = {"conversation_id": uuid.uuid4(), "session_id": uuid.uuid4(), "user_id": 1, "db": object()}

    async def conversation() -> None:
        tracker = get_activity_tracker()
        await tracker.record_user_message(**ids, sequence_num=1, message="status?")
        await tracker.record_tool_call(
            **ids, sequence_num=2, mcp_server="jobs", tool_name="get", parameters={"id": "XYZ"}
        )
        await tracker.record_tool_response(
            **ids, sequence_num=3, mcp_server="jobs", tool_name="get", status="success", duration_ms=1200
        )
        await tracker.record_assistant_response(**ids, sequence_num=4, message="running", tokens_used=150, model="m-1")

    asyncio.run(conversation())
    assert [(a.sequence_num, a.type, a.data) for _, a in port.activities] == snapshot(
        [
            (1, "user_message", {"message": "status?", "message_length": 7}),
            (2, "mcp_tool_call", {"mcp_server": "jobs", "tool_name": "get", "parameters": {"id": "XYZ"}}),
            (
                3,
                "mcp_tool_response",
                {"mcp_server": "jobs", "tool_name": "get", "status": "success", "duration_ms": 1200},
            ),
            (4, "assistant_response", {"message": "running", "tokens_used": 150, "model": "m-1", "message_length": 7}),
        ]
    )


def test_an_activity_outside_of_any_request_gets_a_flow_of_its_own(port: Port, recorded: Recorded) -> None:
    assert record_user_message("hello", user_id=1, conversation_id="c-1") is not None
    assert recorded.outline() == ["activity [ok]"]


def test_changes_after_recording_do_not_reach_the_record(port: Port) -> None:
    parameters = {"job": 7}
    with flow("turn"):
        record_tool_call("m", "t", parameters)
    parameters["job"] = 8
    assert port.activities[0][1].data["parameters"] == {"job": 7}


def test_nothing_is_recorded_when_switched_off_or_not_a_valid_conversation(port: Port) -> None:
    install(replace(runtime(), activities=False))
    assert record_user_message("hello", conversation_id=str(uuid.uuid4())) is None
    install(replace(runtime(), activities=True, only_uuid_conversations=True))
    assert record_user_message("hello", conversation_id="c-1") is None
    assert record_user_message("hello", conversation_id=str(uuid.uuid4())) is not None
    assert len(port.activities) == 1


def test_a_failing_pipeline_never_reaches_the_gateway(port: Port) -> None:
    port.broken = True
    with flow("turn"):
        assert record_user_message("hello") is None


@pytest.mark.parametrize(("given", "kept"), [(5, 5), (0, 0), (-1, None), (True, None), ("7", None), (2**40, None)])
def test_only_a_sensible_number_of_the_callers_is_kept(port: Port, given: Any, kept: int | None) -> None:
    with flow("turn"):
        record_user_message("hello", sequence_num=given)
    assert port.activities[0][1].sequence_num == kept
