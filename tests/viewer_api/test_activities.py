"""Conversations and activities, and finding people."""

from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.identity import Identity
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import query, script
from tests.support.viewer_server import RunningViewer

HOUR = 3600 * 1000 * MS


def ids(number: int) -> str:
    return f"5e6bb1b4-0a4b-4cf5-9d6b-{number:012x}"


def talk(number: int, user_id: str, at_ns: int, server: str = "qa_mcp") -> Any:
    """A conversation of four activities, two seconds long."""
    told: Any = {"conversation_id": f"c{number}", "session_id": f"s{number}", "user_id": user_id}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("user_message", {"message": f"question {number}"}),
        ("mcp_tool_call", {"mcp_server": server, "tool_name": "get_job_status", "parameters": {"job_id": "XYZ"}}),
        ("mcp_tool_response", {"mcp_server": server, "tool_name": "get_job_status", "status": "success"}),
        ("assistant_response", {"message": "It runs.", "tokens_used": 150, "cost": 0.25}),
    ]
    activities = [
        Activity(kind, at_ns + step * 500 * MS, data, activity_id=ids(number * 16 + step + 1), **told).to_bytes()
        for step, (kind, data) in enumerate(steps)
    ]
    identity = Identity(user_id=user_id, session_id=f"s{number}", conversation_id=f"c{number}")
    return part(number, [span(number)], activities=tuple(activities), identity=identity)


@pytest.fixture
def talked(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> RunningViewer:
    parts = [talk(1, "7", NOON), talk(2, "7", NOON + 24 * HOUR, "other_mcp"), talk(3, "8", NOON + 11 * HOUR)]
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        assert deliver(archives.make(), *parts).delivered == len(parts)
    return viewer


def test_conversations_with_their_totals(talked: RunningViewer) -> None:
    listed = talked.get("/api/v1/activities/conversations")["conversations"]
    assert [each["conversation_id"] for each in listed] == ["c2", "c3", "c1"]
    assert listed[2] == snapshot(
        {
            "conversation_id": "c1",
            "user_id": 7,
            "email": None,
            "full_name": None,
            "started_at": "2026-01-05T12:00:00Z",
            "ended_at": "2026-01-05T12:00:01.500000Z",
            "duration_seconds": 1.5,
            "total_activities": 4,
            "tool_calls": 1,
            "total_tokens": 150,
            "mcp_servers": ["qa_mcp"],
            "first_message": "question 1",
        }
    )


#: What is asked, and which conversations that is.
FILTERS = [
    ("user_id=7", ["c2", "c1"]),
    ("user_id=9", []),
    ("mcp_server=other_mcp", ["c2"]),
    ("limit=1", ["c2"]),
    ("date_from=2026-01-06", ["c2"]),
    ("date_to=2026-01-05", ["c3", "c1"]),
    ("date_from=2026-01-05&date_to=2026-01-05", ["c3", "c1"]),
    # 23:00 UTC of the fifth is the sixth in Berlin.
    ("date_from=2026-01-06T00:00:00%2B01:00&date_to=2026-01-06T01:00:00%2B01:00", ["c3"]),
    ("date_from=2026-01-06T00:00:00+01:00&date_to=2026-01-06T01:00:00+01:00", ["c3"]),
    # Whatever has a part in the period: this one begins in the middle of it, that one ends in it.
    ("date_from=2026-01-05T12:00:01Z&date_to=2026-01-05T12:00:01.200Z", ["c1"]),
    ("date_to=2026-01-05T11:59:59Z", []),
]


def test_conversations_are_filtered(talked: RunningViewer) -> None:
    for query_string, expected in FILTERS:
        listed = talked.get(f"/api/v1/activities/conversations?{query_string}")["conversations"]
        assert [each["conversation_id"] for each in listed] == expected, query_string


def test_one_conversation_in_order(talked: RunningViewer) -> None:
    answer = talked.get("/api/v1/activities/conversation/c1")
    activities = answer.pop("activities")
    assert answer == snapshot(
        {
            "conversation_id": "c1",
            "user_id": 7,
            "email": None,
            "full_name": None,
            "started_at": "2026-01-05T12:00:00Z",
            "ended_at": "2026-01-05T12:00:01.500000Z",
            "duration_seconds": 1.5,
            "total_activities": 4,
            "tool_calls": 1,
            "total_tokens": 150,
            "mcp_servers": ["qa_mcp"],
            "estimated_cost": 0.25,
        }
    )
    assert [(each["sequence_num"], each["activity_type"]) for each in activities] == [
        (1, "user_message"),
        (2, "mcp_tool_call"),
        (3, "mcp_tool_response"),
        (4, "assistant_response"),
    ]
    assert activities[1] == snapshot(
        {
            "activity_id": "5e6bb1b4-0a4b-4cf5-9d6b-000000000012",
            "conversation_id": "c1",
            "session_id": "s1",
            "user_id": 7,
            "sequence_num": 2,
            "activity_type": "mcp_tool_call",
            "activity_data": {"tool_name": "get_job_status", "mcp_server": "qa_mcp", "parameters": {"job_id": "XYZ"}},
            "created_at": "2026-01-05T12:00:00.500000Z",
            "flow_id": "00000000000000000000000000000001",
            "node_id": None,
        }
    )
    detail = talked.get(f"/api/v1/activities/{activities[1]['activity_id']}/details")
    assert detail == activities[1]


def test_a_users_activities_page_by_page(talked: RunningViewer) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        parameters = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = talked.get("/api/v1/activities/user/7", params=parameters)
        seen += [each["activity_id"] for each in page["activities"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [ids(number) for number in (36, 35, 34, 33, 20, 19, 18, 17)]
    narrowed = talked.get("/api/v1/activities/user/7?date_to=2026-01-05&limit=2")["activities"]
    assert [each["activity_type"] for each in narrowed] == ["assistant_response", "mcp_tool_response"]


def test_what_is_not_there_is_said_so(viewer: RunningViewer) -> None:
    for path, code in {
        "conversation/nothing": "conversation_not_found",
        "nothing/details": "activity_not_found",
        "conversation/%7B": "invalid_id",
        "conversations?date_from=soon": "invalid_request",
        "conversations?user_id=%00": "invalid_id",
    }.items():
        assert viewer.http.get(f"/api/v1/activities/{path}").json()["code"] == code
    assert viewer.get("/api/v1/activities/user/7") == {"user_id": 7, "activities": [], "next": None}
    assert viewer.get("/api/v1/activities/conversations?mcp_server=%00") == {"conversations": []}


def test_reading_a_conversation_is_in_the_audit_log(talked: RunningViewer, postgres_dsn: str) -> None:
    talked.get("/api/v1/activities/conversation/c3")
    talked.get("/api/v1/activities/user/7")
    talked.get(f"/api/v1/activities/{ids(17)}/details")
    talked.get("/api/v1/activities/conversations?user_id=8")
    rows = query(postgres_dsn, "SELECT action, target_user, target FROM omni2.audit_log ORDER BY id")
    assert [tuple(row.values()) for row in rows] == snapshot(
        [
            ("conversation_read", "8", "c3"),
            ("activities_read", "7", None),
            ("activity_read", "7", "5e6bb1b4-0a4b-4cf5-9d6b-000000000011"),
            ("conversations_listed", "8", None),
        ]
    )


def test_people_are_found_by_any_part_in_any_script(viewer: RunningViewer, postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        """
        INSERT INTO omni2.user_directory (user_id, email, full_name, last_seen) VALUES
            ('7', 'trinity@matrix.example', 'Trinity', '2026-01-07Z'),
            ('42', 'Neo@Matrix.example', 'Thomas A. Anderson', '2026-01-06Z'),
            ('josé', 'jose@example.es', 'José Ñuñez', '2026-01-05Z'), ('u-4', 'li@example.cn', '李小龍', '2026-01-04Z'),
            ('100%_x', null, 'Ünal Öz', '2026-01-03Z'), ('u-6', 'σίσυφος@example.gr', null, '2026-01-02Z');
        """,
    )

    def found(text: str, **more: Any) -> list[Any]:
        return [each["id"] for each in viewer.get("/api/v1/monitoring/users", params={"q": text, **more})["users"]]

    assert found("matrix") == [7, 42]
    assert found("MATRIX", limit=1) == [7]
    assert found("neo@") == [42]
    assert found("anders") == [42]
    assert found("ÑUÑ") == ["josé"]
    assert found("JOSÉ") == ["josé"]
    assert found("小龍") == found("李") == ["u-4"]
    assert found("ünal") == ["100%_x"]
    assert found("%_x") == ["100%_x"]
    assert found("ΣΊΣΥ") == ["u-6"]
    assert found("%%%") == found("'; DROP TABLE x; --") == []
    assert found("\x00\x00") == found("")
    assert found("") == [7, 42, "josé", "u-4", "100%_x", "u-6"]
    assert viewer.get("/api/v1/monitoring/users?limit=1") == {
        "users": [{"id": 7, "email": "trinity@matrix.example", "full_name": "Trinity"}]
    }
