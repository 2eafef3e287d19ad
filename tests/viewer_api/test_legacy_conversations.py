"""Every route about conversations, and both sockets, that older dashboards use: whole answers.

A dashboard from before Spanflow opens one plain socket for each person. What stands here must not change.
"""

import asyncio
from pathlib import Path

import orjson
import pytest
import websockets
from inline_snapshot import snapshot

from tests.support.live_client import BEARER
from tests.support.older_dashboard import CONVERSATION, record
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow

API = "/api/v1"


@pytest.fixture
def dashboard(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> RunningViewer:
    record(postgres_dsn, tmp_path / "archive")
    return viewer


def test_conversations(dashboard: RunningViewer) -> None:
    asked = "user_id=123&date_from=2026-01-05&date_to=2026-01-05&mcp_server=informatica_mcp&limit=50"
    assert dashboard.get(f"{API}/activities/conversations?{asked}") == snapshot(
        {
            "conversations": [
                {
                    "conversation_id": "d9a7cfcb-a863-4808-b172-425d6919ebfb",
                    "user_id": 123,
                    "email": "neo@matrix.com",
                    "full_name": "Thomas A. Anderson",
                    "started_at": "2026-01-05T12:00:00.100000Z",
                    "ended_at": "2026-01-05T12:00:00.400000Z",
                    "duration_seconds": 0.3,
                    "total_activities": 4,
                    "tool_calls": 1,
                    "total_tokens": 150,
                    "mcp_servers": ["informatica_mcp"],
                    "first_message": "What is the status of job XYZ?",
                }
            ]
        }
    )
    # As a form sends fields that nobody filled in.
    assert len(dashboard.get(f"{API}/activities/conversations?user_id=&date_from=&mcp_server=")["conversations"]) == 1


def test_one_conversation(dashboard: RunningViewer) -> None:
    assert dashboard.get(f"{API}/activities/conversation/{CONVERSATION}") == snapshot(
        {
            "conversation_id": "d9a7cfcb-a863-4808-b172-425d6919ebfb",
            "user_id": 123,
            "email": "neo@matrix.com",
            "full_name": "Thomas A. Anderson",
            "started_at": "2026-01-05T12:00:00.100000Z",
            "ended_at": "2026-01-05T12:00:00.400000Z",
            "duration_seconds": 0.3,
            "total_activities": 4,
            "tool_calls": 1,
            "total_tokens": 150,
            "mcp_servers": ["informatica_mcp"],
            "estimated_cost": 0.5,
            "activities": [
                {
                    "activity_id": "5e6bb1b4-0a4b-4cf5-9d6b-000000000001",
                    "conversation_id": "d9a7cfcb-a863-4808-b172-425d6919ebfb",
                    "session_id": "abc-123-def",
                    "user_id": 123,
                    "sequence_num": 1,
                    "activity_type": "user_message",
                    "activity_data": {"message": "What is the status of job XYZ?"},
                    "created_at": "2026-01-05T12:00:00.100000Z",
                    "flow_id": "00000000000000000000000000000001",
                    "node_id": None,
                },
                {
                    "activity_id": "5e6bb1b4-0a4b-4cf5-9d6b-000000000002",
                    "conversation_id": "d9a7cfcb-a863-4808-b172-425d6919ebfb",
                    "session_id": "abc-123-def",
                    "user_id": 123,
                    "sequence_num": 2,
                    "activity_type": "mcp_tool_call",
                    "activity_data": {"tool_name": "get_job_status", "mcp_server": "informatica_mcp"},
                    "created_at": "2026-01-05T12:00:00.200000Z",
                    "flow_id": "00000000000000000000000000000001",
                    "node_id": None,
                },
                {
                    "activity_id": "5e6bb1b4-0a4b-4cf5-9d6b-000000000003",
                    "conversation_id": "d9a7cfcb-a863-4808-b172-425d6919ebfb",
                    "session_id": "abc-123-def",
                    "user_id": 123,
                    "sequence_num": 3,
                    "activity_type": "mcp_tool_response",
                    "activity_data": {"status": "success"},
                    "created_at": "2026-01-05T12:00:00.300000Z",
                    "flow_id": "00000000000000000000000000000001",
                    "node_id": None,
                },
                {
                    "activity_id": "5e6bb1b4-0a4b-4cf5-9d6b-000000000004",
                    "conversation_id": "d9a7cfcb-a863-4808-b172-425d6919ebfb",
                    "session_id": "abc-123-def",
                    "user_id": 123,
                    "sequence_num": 4,
                    "activity_type": "assistant_response",
                    "activity_data": {"cost": 0.5, "message": "Job XYZ is running at 75%", "tokens_used": 150},
                    "created_at": "2026-01-05T12:00:00.400000Z",
                    "flow_id": "00000000000000000000000000000001",
                    "node_id": None,
                },
            ],
        }
    )


def test_activities_of_a_user(dashboard: RunningViewer) -> None:
    answer = dashboard.get(f"{API}/activities/user/123")
    assert [each["activity_type"] for each in answer.pop("activities")] == [
        *("assistant_response", "mcp_tool_response", "mcp_tool_call", "user_message")
    ]
    assert answer == {"user_id": 123, "next": None}
    assert dashboard.get(f"{API}/activities/user/nobody") == {"user_id": "nobody", "activities": [], "next": None}


def test_details_of_an_activity(dashboard: RunningViewer) -> None:
    assert dashboard.get(f"{API}/activities/5e6bb1b4-0a4b-4cf5-9d6b-000000000004/details") == snapshot(
        {
            "activity_id": "5e6bb1b4-0a4b-4cf5-9d6b-000000000004",
            "conversation_id": "d9a7cfcb-a863-4808-b172-425d6919ebfb",
            "session_id": "abc-123-def",
            "user_id": 123,
            "sequence_num": 4,
            "activity_type": "assistant_response",
            "activity_data": {"cost": 0.5, "message": "Job XYZ is running at 75%", "tokens_used": 150},
            "created_at": "2026-01-05T12:00:00.400000Z",
            "flow_id": "00000000000000000000000000000001",
            "node_id": None,
        }
    )


def test_a_conversation_or_activity_that_is_not_there(dashboard: RunningViewer) -> None:
    for path, code in {"conversation/x": "conversation_not_found", "x/details": "activity_not_found"}.items():
        response = dashboard.http.get(f"{API}/activities/{path}")
        assert (response.status_code, response.json()["code"]) == (404, code)


# -- sockets -----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["ws/flows/123", "ws"])
async def test_one_message_per_checkpoint(dashboard: RunningViewer, make_flow: MakeFlow, path: str) -> None:
    await asyncio.to_thread(dashboard.post, f"{API}/monitoring/enable/123")
    flow = make_flow("123", session_id="abc-123-def")
    async with websockets.connect(f"{dashboard.ws}{API}/{path}", additional_headers=BEARER) as socket:
        flow.start("root")
        flow.step("auth", "root", "auth_check")
        flow.start("llm", "root", "llm_thinking")
        flow.start("http", "llm")
        flow.step("tool", "http", "tool_call", mcp="qa_mcp", tool="list_snapshots")
        flow.end("llm", "root", "llm_thinking")
        flow.step("done", "root", "llm_complete", tokens=150)
        flow.end("root")
        async with asyncio.timeout(8):
            got = [orjson.loads(await socket.recv()) for _ in range(4)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.4)
    assert all(isinstance(each.pop("timestamp"), float) for each in got)
    assert got == snapshot(
        [
            {
                "type": "flow_event",
                "user_id": 123,
                "session_id": "abc-123-def",
                "node_id": "auth",
                "event_type": "auth_check",
                "parent_id": None,
                "duration_ms": 1.0,
                "status": "ok",
                "source": "chat",
            },
            {
                "type": "flow_event",
                "user_id": 123,
                "session_id": "abc-123-def",
                "node_id": "llm",
                "event_type": "llm_thinking",
                "parent_id": None,
                "duration_ms": None,
                "status": "running",
                "source": "chat",
            },
            {
                "type": "flow_event",
                "user_id": 123,
                "session_id": "abc-123-def",
                "node_id": "tool",
                "event_type": "tool_call",
                "parent_id": "llm",
                "duration_ms": 1.0,
                "status": "ok",
                "source": "chat",
                "mcp": "qa_mcp",
                "tool": "list_snapshots",
            },
            {
                "type": "flow_event",
                "user_id": 123,
                "session_id": "abc-123-def",
                "node_id": "done",
                "event_type": "llm_complete",
                "parent_id": None,
                "duration_ms": 1.0,
                "status": "ok",
                "source": "chat",
                "tokens": 150,
            },
        ]
    )
