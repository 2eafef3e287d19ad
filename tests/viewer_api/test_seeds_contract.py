"""Every route and socket that dashboards written before Spanflow call: paths, parameters and whole answers.

A dashboard of that time compares `user_id` with a number, reads `flow_data.events`, and opens one plain socket for each
person. What stands here must not change.
"""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
import websockets
from dirty_equals import IsStr
from inline_snapshot import snapshot

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.identity import Identity
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.live_client import BEARER
from tests.support.query import script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow

API = "/api/v1"
UNTIL = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
CONVERSATION = "d9a7cfcb-a863-4808-b172-425d6919ebfb"


def activity(number: int, kind: str, data: dict[str, Any]) -> bytes:
    return Activity(
        kind,
        NOON + number * 100 * MS,
        data,
        conversation_id=CONVERSATION,
        session_id="abc-123-def",
        user_id="123",
        activity_id=f"5e6bb1b4-0a4b-4cf5-9d6b-{number:012x}",
    ).to_bytes()


@pytest.fixture
def dashboard(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> RunningViewer:
    """What a gateway recorded: a session of two requests, and a conversation of four activities."""
    script(
        postgres_dsn,
        "CREATE TABLE omni2.interaction_flows_w20260105 PARTITION OF omni2.interaction_flows "
        "FOR VALUES FROM ('2026-01-05 00:00Z') TO ('2026-01-12 00:00Z')",
    )
    tool = {"flow.data.mcp": "qa_mcp", "flow.data.tool": "list_snapshots"}
    first = [
        span(1, name="POST /api/v1/ask/stream", end_ns=NOON + 900 * MS),
        span(2, 1, event_type="auth_check"),
        span(3, 1, event_type="usage_check", attributes={"flow.data.remaining": 42}),
        span(4, 1, event_type="llm_thinking", end_ns=NOON + 800 * MS),
        span(5, 4, event_type="tool_call", attributes=tool, end_ns=NOON + 155 * MS),
        span(6, 1, event_type="llm_complete", attributes={"flow.data.tokens": 150}),
    ]
    second = [span(100, name="POST /api/v1/ask/stream"), span(101, 100, event_type="block_check", outcome="denied")]
    activities = (
        activity(1, "user_message", {"message": "What is the status of job XYZ?"}),
        activity(2, "mcp_tool_call", {"mcp_server": "informatica_mcp", "tool_name": "get_job_status"}),
        activity(3, "mcp_tool_response", {"status": "success"}),
        activity(4, "assistant_response", {"message": "Job XYZ is running at 75%", "tokens_used": 150, "cost": 0.5}),
    )
    who = Identity("123", "neo@matrix.com", "Thomas A. Anderson", "abc-123-def", CONVERSATION, "chat")
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        receipt = deliver(
            archives.make(), part(1, first, identity=who, activities=activities), part(2, second, identity=who)
        )
        assert receipt.delivered == 2
    return viewer


# -- monitoring --------------------------------------------------------------------------------------------------------


def test_enable_and_disable_one(dashboard: RunningViewer) -> None:
    enabled = dashboard.http.post(f"{API}/monitoring/enable/123?ttl_hours=24")
    assert (enabled.status_code, enabled.json()) == (
        200,
        {"status": "enabled", "user_ids": [123], "expires_at": UNTIL, "live": True},
    )
    assert dashboard.http.post(f"{API}/monitoring/enable/123").json()["status"] == "enabled"
    disabled = dashboard.http.post(f"{API}/monitoring/disable/123")
    assert (disabled.status_code, disabled.json()) == (200, {"status": "disabled", "user_ids": [123], "live": True})


def test_enable_and_disable_several(dashboard: RunningViewer) -> None:
    bodies: list[Any] = [[1, 2], {"user_ids": [1, 2]}, ["1", "2"]]
    for body in bodies:
        assert dashboard.post(f"{API}/monitoring/enable", body) == {
            "status": "enabled",
            "user_ids": [1, 2],
            "expires_at": UNTIL,
            "live": True,
        }
        listed = dashboard.get(f"{API}/monitoring/list")["monitored_users"]
        assert sorted(each["user_id"] for each in listed) == [1, 2]
        ended = dashboard.post(f"{API}/monitoring/disable", body)
        assert ended == {"status": "disabled", "user_ids": [1, 2], "live": True}
        assert dashboard.get(f"{API}/monitoring/list") == {"monitored_users": []}


def test_list(dashboard: RunningViewer) -> None:
    dashboard.post(f"{API}/monitoring/enable/123")
    answer = dashboard.get(f"{API}/monitoring/list")
    (listed,) = answer.pop("monitored_users")
    assert answer == {}
    assert (listed["user_id"], listed["expires_at"], listed["email"]) == (123, UNTIL, "neo@matrix.com")


def test_users(dashboard: RunningViewer) -> None:
    everybody = {"users": [{"id": 123, "email": "neo@matrix.com", "full_name": "Thomas A. Anderson"}]}
    assert dashboard.get(f"{API}/monitoring/users") == everybody
    for part_of_it in ("neo", "MATRIX.com", "anderson", "123"):
        assert dashboard.get(f"{API}/monitoring/users?q={part_of_it}") == everybody
    assert dashboard.get(f"{API}/monitoring/users?q=trinity") == {"users": []}


# -- flows -------------------------------------------------------------------------------------------------------------


def test_flows_of_a_user(dashboard: RunningViewer) -> None:
    assert dashboard.get(f"{API}/monitoring/flows/123?limit=50") == snapshot(
        {
            "flows": [
                {
                    "flow_id": "00000000000000000000000000000002",
                    "session_id": "abc-123-def",
                    "flow_data": {
                        "flow_id": "00000000000000000000000000000002",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "conversation_id": "d9a7cfcb-a863-4808-b172-425d6919ebfb",
                        "events": [
                            {
                                "type": "flow_event",
                                "user_id": 123,
                                "session_id": "abc-123-def",
                                "node_id": "0000000000000065",
                                "event_type": "block_check",
                                "parent_id": None,
                                "timestamp": 1767614400.101,
                                "duration_ms": 1.0,
                                "status": "denied",
                                "source": "chat",
                            }
                        ],
                    },
                    "created_at": "2026-01-05T12:00:00.100000Z",
                    "completed_at": "2026-01-05T12:00:00.101000Z",
                },
                {
                    "flow_id": "00000000000000000000000000000001",
                    "session_id": "abc-123-def",
                    "flow_data": {
                        "flow_id": "00000000000000000000000000000001",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "conversation_id": "d9a7cfcb-a863-4808-b172-425d6919ebfb",
                        "events": [
                            {
                                "type": "flow_event",
                                "user_id": 123,
                                "session_id": "abc-123-def",
                                "node_id": "0000000000000002",
                                "event_type": "auth_check",
                                "parent_id": None,
                                "timestamp": 1767614400.002,
                                "duration_ms": 1.0,
                                "status": "ok",
                                "source": "chat",
                            },
                            {
                                "type": "flow_event",
                                "user_id": 123,
                                "session_id": "abc-123-def",
                                "node_id": "0000000000000003",
                                "event_type": "usage_check",
                                "parent_id": None,
                                "timestamp": 1767614400.003,
                                "duration_ms": 1.0,
                                "status": "ok",
                                "source": "chat",
                                "remaining": 42,
                            },
                            {
                                "type": "flow_event",
                                "user_id": 123,
                                "session_id": "abc-123-def",
                                "node_id": "0000000000000004",
                                "event_type": "llm_thinking",
                                "parent_id": None,
                                "timestamp": 1767614400.004,
                                "duration_ms": 796.0,
                                "status": "ok",
                                "source": "chat",
                            },
                            {
                                "type": "flow_event",
                                "user_id": 123,
                                "session_id": "abc-123-def",
                                "node_id": "0000000000000005",
                                "event_type": "tool_call",
                                "parent_id": "0000000000000004",
                                "timestamp": 1767614400.005,
                                "duration_ms": 150.0,
                                "status": "ok",
                                "source": "chat",
                                "mcp": "qa_mcp",
                                "tool": "list_snapshots",
                            },
                            {
                                "type": "flow_event",
                                "user_id": 123,
                                "session_id": "abc-123-def",
                                "node_id": "0000000000000006",
                                "event_type": "llm_complete",
                                "parent_id": None,
                                "timestamp": 1767614400.006,
                                "duration_ms": 1.0,
                                "status": "ok",
                                "source": "chat",
                                "tokens": 150,
                            },
                        ],
                    },
                    "created_at": "2026-01-05T12:00:00.001000Z",
                    "completed_at": "2026-01-05T12:00:00.900000Z",
                },
            ]
        }
    )
    assert dashboard.get(f"{API}/monitoring/flows/nobody") == {"flows": []}


def test_one_session_merged(dashboard: RunningViewer) -> None:
    assert dashboard.get(f"{API}/monitoring/flows/session/abc-123-def") == snapshot(
        {
            "session_id": "abc-123-def",
            "user_id": 123,
            "flow_data": {
                "session_id": "abc-123-def",
                "user_id": 123,
                "conversation_id": "d9a7cfcb-a863-4808-b172-425d6919ebfb",
                "flow_ids": ["00000000000000000000000000000001", "00000000000000000000000000000002"],
                "events": [
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000002",
                        "event_type": "auth_check",
                        "parent_id": None,
                        "timestamp": 1767614400.002,
                        "duration_ms": 1.0,
                        "status": "ok",
                        "source": "chat",
                    },
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000003",
                        "event_type": "usage_check",
                        "parent_id": None,
                        "timestamp": 1767614400.003,
                        "duration_ms": 1.0,
                        "status": "ok",
                        "source": "chat",
                        "remaining": 42,
                    },
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000004",
                        "event_type": "llm_thinking",
                        "parent_id": None,
                        "timestamp": 1767614400.004,
                        "duration_ms": 796.0,
                        "status": "ok",
                        "source": "chat",
                    },
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000005",
                        "event_type": "tool_call",
                        "parent_id": "0000000000000004",
                        "timestamp": 1767614400.005,
                        "duration_ms": 150.0,
                        "status": "ok",
                        "source": "chat",
                        "mcp": "qa_mcp",
                        "tool": "list_snapshots",
                    },
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000006",
                        "event_type": "llm_complete",
                        "parent_id": None,
                        "timestamp": 1767614400.006,
                        "duration_ms": 1.0,
                        "status": "ok",
                        "source": "chat",
                        "tokens": 150,
                    },
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000065",
                        "event_type": "block_check",
                        "parent_id": None,
                        "timestamp": 1767614400.101,
                        "duration_ms": 1.0,
                        "status": "denied",
                        "source": "chat",
                    },
                ],
            },
            "created_at": "2026-01-05T12:00:00.001000Z",
            "completed_at": "2026-01-05T12:00:00.900000Z",
        }
    )


def test_sessions_of_a_user(dashboard: RunningViewer) -> None:
    answer = dashboard.get(f"{API}/flows/user/123/sessions?limit=5&source=chat")
    assert dashboard.get(f"{API}/monitoring/flows/user/123/sessions?limit=5&source=chat") == answer
    (session,) = answer["sessions"]
    events = session.pop("events")
    assert answer == {
        "user_id": 123,
        "sessions": [
            {
                "session_id": "abc-123-def",
                "started_at": "2026-01-05T12:00:00.001000Z",
                "completed_at": "2026-01-05T12:00:00.900000Z",
                "event_count": 6,
                "source": "chat",
            }
        ],
    }
    assert events == dashboard.get(f"{API}/monitoring/flows/session/abc-123-def")["flow_data"]["events"]
    assert dashboard.get(f"{API}/flows/user/123/sessions?source=slack") == {"user_id": 123, "sessions": []}
    assert dashboard.get(f"{API}/flows/user/nobody/sessions") == {"user_id": "nobody", "sessions": []}


def test_a_session_as_tree(dashboard: RunningViewer) -> None:
    answer = dashboard.get(f"{API}/flows/session/abc-123-def")
    flows = answer.pop("flows")
    assert [each["flow_id"] for each in flows] == [f"{1:032x}", f"{2:032x}"]
    assert answer == snapshot(
        {
            "session_id": "abc-123-def",
            "tree": {
                "session_id": "abc-123-def",
                "user_id": 123,
                "started_at": "2026-01-05T12:00:00.001000Z",
                "completed_at": "2026-01-05T12:00:00.900000Z",
                "event_count": 6,
                "children": [
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000002",
                        "event_type": "auth_check",
                        "parent_id": None,
                        "timestamp": 1767614400.002,
                        "duration_ms": 1.0,
                        "status": "ok",
                        "source": "chat",
                        "flow_id": "00000000000000000000000000000001",
                        "children": [],
                    },
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000003",
                        "event_type": "usage_check",
                        "parent_id": None,
                        "timestamp": 1767614400.003,
                        "duration_ms": 1.0,
                        "status": "ok",
                        "source": "chat",
                        "remaining": 42,
                        "flow_id": "00000000000000000000000000000001",
                        "children": [],
                    },
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000004",
                        "event_type": "llm_thinking",
                        "parent_id": None,
                        "timestamp": 1767614400.004,
                        "duration_ms": 796.0,
                        "status": "ok",
                        "source": "chat",
                        "flow_id": "00000000000000000000000000000001",
                        "children": [
                            {
                                "type": "flow_event",
                                "user_id": 123,
                                "session_id": "abc-123-def",
                                "node_id": "0000000000000005",
                                "event_type": "tool_call",
                                "parent_id": "0000000000000004",
                                "timestamp": 1767614400.005,
                                "duration_ms": 150.0,
                                "status": "ok",
                                "source": "chat",
                                "mcp": "qa_mcp",
                                "tool": "list_snapshots",
                                "flow_id": "00000000000000000000000000000001",
                                "children": [],
                            }
                        ],
                    },
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000006",
                        "event_type": "llm_complete",
                        "parent_id": None,
                        "timestamp": 1767614400.006,
                        "duration_ms": 1.0,
                        "status": "ok",
                        "source": "chat",
                        "tokens": 150,
                        "flow_id": "00000000000000000000000000000001",
                        "children": [],
                    },
                    {
                        "type": "flow_event",
                        "user_id": 123,
                        "session_id": "abc-123-def",
                        "node_id": "0000000000000065",
                        "event_type": "block_check",
                        "parent_id": None,
                        "timestamp": 1767614400.101,
                        "duration_ms": 1.0,
                        "status": "denied",
                        "source": "chat",
                        "flow_id": "00000000000000000000000000000002",
                        "children": [],
                    },
                ],
            },
        }
    )


def test_a_session_that_is_not_there(dashboard: RunningViewer) -> None:
    for path in ("monitoring/flows/session", "flows/session"):
        response = dashboard.http.get(f"{API}/{path}/nothing")
        assert response.headers["content-type"] == "application/problem+json"
        assert (response.status_code, response.json()) == (
            404,
            {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "code": "session_not_found",
                "detail": "There is no session with this id.",
            },
        )


# -- activities --------------------------------------------------------------------------------------------------------


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
                "source": None,
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
                "source": None,
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
                "source": None,
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
                "source": None,
                "tokens": 150,
            },
        ]
    )
