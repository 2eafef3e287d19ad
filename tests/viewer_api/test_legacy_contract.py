"""Every route about watching, flows and sessions that older dashboards call: paths, parameters and whole answers.

A dashboard from before Spanflow compares `user_id` with a number and reads `flow_data.events`. What stands here must
not change.
"""

from pathlib import Path
from typing import Any

import pytest
from dirty_equals import IsStr
from inline_snapshot import snapshot

from tests.support.older_dashboard import record
from tests.support.viewer_server import RunningViewer

API = "/api/v1"
UNTIL = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture
def dashboard(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> RunningViewer:
    record(postgres_dsn, tmp_path / "archive")
    return viewer


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
