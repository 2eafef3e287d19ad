"""Everything that existing dashboards ask is answered over the rows of a gateway that was there before Spanflow."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from inline_snapshot import snapshot

from spanflow.migrations.run import upgrade
from tests.migrations.test_adoption import EVENTS, OLD_TABLES, START
from tests.support.query import query, script
from tests.support.viewer_server import RunningViewer, running_viewer

SESSION = "11111111-2222-3333-4444-555555555555"
CONVERSATION = "99999999-2222-3333-4444-555555555555"
Adopted = Callable[[str], Any]


@contextmanager
def adopted(dsn: str, redis_url: str, tmp_path: Path) -> Iterator[RunningViewer]:
    upgrade(dsn, adopt=True)
    with running_viewer(dsn, redis_url, tmp_path) as viewer:
        yield viewer


@pytest.fixture
def old(empty_postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[RunningViewer]:
    dsn = empty_postgres_dsn
    script(dsn, OLD_TABLES)
    add = (
        "INSERT INTO omni2.interaction_flows "
        "(session_id, user_id, conversation_id, flow_data, created_at, completed_at) "
        "VALUES ($1, $2, $3, $4, $5::text::timestamp, $6::text::timestamp) RETURNING id"
    )
    documents: list[tuple[Any, int, str, str | None]] = [
        ({"session_id": SESSION, "user_id": 1, "events": EVENTS}, 1, "2025-01-29 13:20:00", "2025-01-29 13:20:02"),
        ({"events": [{**EVENTS[0], "node_id": "m1", "timestamp": START + 2400}]}, 1, "2025-01-29 14:00:00", None),
    ]
    for document, user_id, created, done in documents:
        query(dsn, add, SESSION, user_id, CONVERSATION, orjson.dumps(document).decode(), created, done)
    script(
        dsn,
        f"""
        INSERT INTO omni2.user_activities
            (activity_id, conversation_id, session_id, user_id, sequence_num, activity_type, activity_data, created_at)
        VALUES
            ('5e6bb1b4-0a4b-4cf5-9d6b-6ce7b7a2b001', '{CONVERSATION}', '{SESSION}', 1, 1, 'user_message',
             '{{"message": "hello"}}', '2025-01-29 13:20:00Z'),
            ('5e6bb1b4-0a4b-4cf5-9d6b-6ce7b7a2b002', '{CONVERSATION}', '{SESSION}', 1, 2, 'mcp_tool_call',
             '{{"mcp_server": "qa_mcp", "tool_name": "list_snapshots"}}', '2025-01-29 13:20:01Z');
        INSERT INTO omni2.omni2_config (config_key, config_value)
        VALUES ('monitor_user_1', '{{"expires_at": 32472144000}}');
        """,
    )
    with adopted(dsn, redis_url, tmp_path) as viewer:
        yield viewer


def test_flows_are_served_as_they_were_stored(old: RunningViewer) -> None:
    newest, first = old.get("/api/v1/monitoring/flows/1?limit=50")["flows"]
    assert first["flow_data"] == {"session_id": SESSION, "user_id": 1, "events": EVENTS}
    assert (first["session_id"], first["created_at"], first["completed_at"]) == snapshot(
        ("11111111-2222-3333-4444-555555555555", "2025-01-29T13:20:00Z", "2025-01-29T13:20:02Z")
    )
    assert newest["completed_at"] is None
    (one,) = old.get("/api/v1/monitoring/flows/1?limit=1")["flows"]
    assert one == newest


def test_a_session_is_merged_and_open_while_one_flow_never_ended(old: RunningViewer) -> None:
    answer = old.get(f"/api/v1/monitoring/flows/session/{SESSION}")
    assert [event["node_id"] for event in answer["flow_data"]["events"]] == ["n1", "n2", "n3", "n4", "m1"]
    assert answer["flow_data"]["events"][2] == EVENTS[2]
    assert (answer["session_id"], answer["user_id"], answer["completed_at"]) == (SESSION, 1, None)
    assert answer["created_at"] == "2025-01-29T13:20:00Z"
    (session,) = old.get("/api/v1/flows/user/1/sessions?limit=5&source=chat")["sessions"]
    assert (session["session_id"], session["event_count"], session["source"]) == (SESSION, 5, "chat")
    assert session["events"][:4] == EVENTS
    tree = old.get(f"/api/v1/flows/session/{SESSION}")["tree"]
    assert outline(tree) == snapshot(["session", ["n1", ["n2", ["n3"], ["n4"]]], ["m1"]])


def outline(node: dict[str, Any]) -> Any:
    return [node.get("node_id", "session"), *(outline(child) for child in node["children"])]


def test_conversations_users_and_watches_are_there(old: RunningViewer) -> None:
    (conversation,) = old.get("/api/v1/activities/conversations?user_id=1&mcp_server=qa_mcp")["conversations"]
    assert (conversation["conversation_id"], conversation["total_activities"]) == (CONVERSATION, 2)
    answer = old.get(f"/api/v1/activities/conversation/{CONVERSATION}")
    assert [each["activity_type"] for each in answer["activities"]] == ["user_message", "mcp_tool_call"]
    first = answer["activities"][0]["activity_id"]
    assert old.get(f"/api/v1/activities/{first}/details")["activity_data"] == {"message": "hello"}
    assert len(old.get("/api/v1/activities/user/1")["activities"]) == 2
    (watch,) = old.get("/api/v1/monitoring/list")["monitored_users"]
    assert (watch["user_id"], watch["expires_at"]) == (1, "2999-01-01T00:00:00Z")
    listed = old.get("/api/v1/flows?user_id=1")["flows"]
    assert [(flow["tools"], flow["error_count"]) for flow in listed] == [([], 0), (["list_snapshots"], 0)]
    whole = old.get(f"/api/v1/flows/{listed[1]['flow_id']}")
    assert whole["flow_data"]["events"] == EVENTS


ODD: list[Any] = [
    {"events": None},
    {"events": {"a": 1}},
    {"events": ["text", None, 7, [], {}]},
    {
        "events": [
            {"node_id": "a", "parent_id": "b"},
            {"node_id": "b", "parent_id": "a"},
            {"node_id": {"x": 1}, "parent_id": []},
        ]
    },
    {"events": [{"node_id": "same", "parent_id": "same"}, {"node_id": "same"}]},
    {"events": [{"node_id": "n", "timestamp": "soon", "children": "mine"}]},
    b'{"events": [{"node_id": "n", "timestamp": 1e30}], "huge": 123456789012345678901234567890}',
    b'{"events": [{"node_id": "n", "deep": ' + b"[" * 400 + b"]" * 400 + b"}]}",
    {},
    [],
    "text",
    7,
    None,
]


def test_odd_documents_are_served_somehow(empty_postgres_dsn: str, redis_url: str, tmp_path: Path) -> None:
    dsn = empty_postgres_dsn
    script(dsn, OLD_TABLES)
    for number, document in enumerate(ODD):
        query(
            dsn,
            "INSERT INTO omni2.interaction_flows (session_id, user_id, flow_data) "
            "VALUES ($1, 1, convert_from($2, 'UTF8')::jsonb) RETURNING id",
            f"{number:08d}-2222-3333-4444-555555555555",
            document if isinstance(document, bytes) else orjson.dumps(document),
        )
    with adopted(dsn, redis_url, tmp_path) as viewer:
        assert len(viewer.get("/api/v1/monitoring/flows/1")["flows"]) == len(ODD)
        assert len(viewer.get("/api/v1/flows/user/1/sessions")["sessions"]) == len(ODD)
        for number in range(len(ODD)):
            session_id = f"{number:08d}-2222-3333-4444-555555555555"
            tree = viewer.get(f"/api/v1/flows/session/{session_id}")["tree"]
            assert isinstance(tree["children"], list)
            viewer.get(f"/api/v1/monitoring/flows/session/{session_id}")


@pytest.mark.parametrize("flows", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_many_rows_are_answered_quickly(empty_postgres_dsn: str, redis_url: str, tmp_path: Path, flows: int) -> None:
    dsn = empty_postgres_dsn
    script(dsn, OLD_TABLES)
    script(
        dsn,
        "INSERT INTO omni2.interaction_flows (session_id, user_id, flow_data, created_at, completed_at) "
        "SELECT md5((n / 3)::text)::uuid, 1 + n % 2, "
        f"jsonb_build_object('session_id', n, 'events', '{orjson.dumps(EVENTS).decode()}'::jsonb), "
        "now() - n * interval '2 minutes', now() - n * interval '2 minutes' "
        f"FROM generate_series(1, {flows}) AS n",
    )
    with adopted(dsn, redis_url, tmp_path) as viewer:
        script(dsn, "ANALYZE omni2.interaction_flows")
        session_id = query(dsn, "SELECT md5('7')::uuid::text AS id")[0]["id"]
        began = time.monotonic()
        assert len(viewer.get("/api/v1/monitoring/flows/2?limit=50")["flows"]) == 50
        assert len(viewer.get(f"/api/v1/monitoring/flows/session/{session_id}")["flow_data"]["events"]) == 12
        assert len(viewer.get("/api/v1/flows/user/1/sessions?limit=50")["sessions"]) == 50
        assert len(viewer.get(f"/api/v1/flows/session/{session_id}")["flows"]) == 3
        assert time.monotonic() - began < 5
        seen: set[str] = set()
        cursor: str | None = ""
        while cursor is not None:
            page = viewer.get(f"/api/v1/flows?user_id=1&limit=200&cursor={cursor}")
            seen |= {flow["flow_id"] for flow in page["flows"]}
            cursor = page["next"]
        assert len(seen) == flows // 2
