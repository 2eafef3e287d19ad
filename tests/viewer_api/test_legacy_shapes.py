"""Below `/legacy` every route of older dashboards answers in the types that their pages compute with.

They call `.toFixed`, multiply `expires_at` by a thousand, look for `error` instead of a status, and take a null for an
address of nobody: here each value is a number, a text or absent as they expect it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.identity import Identity
from spanflow.viewer_api.legacy.shapes import seconds
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.older_dashboard import CONVERSATION, activity, record
from tests.support.query import query
from tests.support.viewer_server import RunningViewer

API = "/api/v1"
LEGACY = "/legacy/api/v1"
#: Who is in no directory.
STRANGER = 77


@pytest.fixture
def dashboard(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> Iterator[RunningViewer]:
    record(postgres_dsn, tmp_path / "archive")
    who = Identity(str(STRANGER), session_id="s-77", conversation_id="c-77")
    steps = [span(1001, name="POST /ask", end_ns=NOON + 9 * MS), span(1002, 1001, event_type="auth_check")]
    said = activity(5, "user_message", {"message": "hello"}, who)
    silent = [span(2001, name="WebSocket /ws/chat", end_ns=NOON + 9 * MS)]
    health = [span(3001, name="GET /health", end_ns=NOON + 1 * MS)]
    nowhere = Identity(str(STRANGER), session_id="socket-77")
    with archives_in(postgres_dsn, tmp_path / "more") as archives:
        receipt = deliver(
            archives.make(),
            part(11, steps, identity=who, activities=(said,)),
            part(12, silent, identity=nowhere),
            part(13, health, identity=Identity(str(STRANGER))),
        )
        assert receipt.delivered == 3
    yield viewer


# -- watching ----------------------------------------------------------------------------------------------------------


def test_the_end_of_a_watch_is_a_number_of_seconds(dashboard: RunningViewer) -> None:
    enabled = dashboard.post(f"{LEGACY}/monitoring/enable", [123, STRANGER])
    assert (enabled["status"], enabled["user_ids"]) == ("enabled", [123, STRANGER])
    assert isinstance(enabled["expires_at"], int | float) and enabled["expires_at"] > 1_700_000_000
    listed = dashboard.get(f"{LEGACY}/monitoring/list")["monitored_users"]
    assert {each["user_id"]: each["expires_at"] for each in listed} == dict.fromkeys(
        [123, STRANGER], enabled["expires_at"]
    )
    one = dashboard.http.post(f"{LEGACY}/monitoring/enable/123?ttl_hours=2").json()
    assert isinstance(one["expires_at"], int | float) and one["expires_at"] < enabled["expires_at"]
    assert isinstance(dashboard.get(f"{API}/monitoring/list")["monitored_users"][0]["expires_at"], str)


def test_a_watch_without_an_end_ends_in_the_year_9999() -> None:
    assert seconds(float("inf")) == seconds(None) == 253402300799


def test_everybody_has_an_address(dashboard: RunningViewer) -> None:
    dashboard.post(f"{LEGACY}/monitoring/enable", [123, STRANGER])
    listed = dashboard.get(f"{LEGACY}/monitoring/list")["monitored_users"]
    assert {each["user_id"]: each["email"] for each in listed} == {123: "neo@matrix.com", STRANGER: "77"}
    users = dashboard.get(f"{LEGACY}/monitoring/users")["users"]
    assert {each["id"]: (each["email"], each["full_name"]) for each in users} == {
        123: ("neo@matrix.com", "Thomas A. Anderson"),
        STRANGER: ("77", "77"),
    }
    assert {each["id"]: each["email"] for each in dashboard.get(f"{API}/monitoring/users")["users"]}[STRANGER] is None


# -- flows and sessions ------------------------------------------------------------------------------------------------


def test_what_has_no_step_is_no_session_and_no_flow(dashboard: RunningViewer) -> None:
    for path in ("flows/user/77/sessions", "monitoring/flows/user/77/sessions"):
        (session,) = dashboard.get(f"{LEGACY}/{path}?limit=50")["sessions"]
        assert (session["session_id"], session["event_count"], session["source"]) == ("s-77", 1, "chat")
    (flow,) = dashboard.get(f"{LEGACY}/monitoring/flows/77")["flows"]
    assert [event["event_type"] for event in flow["flow_data"]["events"]] == ["auth_check"]
    assert len(dashboard.get(f"{API}/monitoring/flows/77")["flows"]) == 3


def test_a_session_whose_source_nobody_named_is_a_chat(dashboard: RunningViewer) -> None:
    for source, found in {"chat": 1, "mcp_gateway": 0}.items():
        answer = dashboard.get(f"{LEGACY}/flows/user/{STRANGER}/sessions?source={source}")
        assert [each["source"] for each in answer["sessions"]] == ["chat"] * found
    assert dashboard.get(f"{API}/flows/user/{STRANGER}/sessions?source=chat")["sessions"] == []


def test_an_unknown_session_is_an_answer_with_an_error(dashboard: RunningViewer) -> None:
    flow = dashboard.http.get(f"{LEGACY}/monitoring/flows/session/nothing")
    assert (flow.status_code, flow.json()) == (200, {"error": "Flow not found"})
    tree = dashboard.http.get(f"{LEGACY}/flows/session/nothing")
    assert (tree.status_code, tree.json()) == (
        200,
        {"session_id": "nothing", "flows": [], "tree": {}, "error": "Session not found"},
    )
    assert dashboard.http.get(f"{API}/monitoring/flows/session/nothing").status_code == 404


# -- conversations -----------------------------------------------------------------------------------------------------


def test_conversations_have_the_names_and_numbers_that_a_list_shows(
    dashboard: RunningViewer, postgres_dsn: str
) -> None:
    query(postgres_dsn, "UPDATE omni2.user_activities SET duration_ms = 1200 WHERE sequence_num = 3 RETURNING 1")
    answer = dashboard.get(f"{LEGACY}/activities/conversations?limit=50")
    assert answer["total"] == len(answer["conversations"]) == 2
    shown = ("conversation_id", "activity_count", "tool_calls", "avg_tool_duration_ms", "email", "first_message")
    assert [[each[name] for name in shown] for each in answer["conversations"]] == [
        ["c-77", 1, 0, None, "77", "hello"],
        [CONVERSATION, 4, 1, 1200, "neo@matrix.com", "What is the status of job XYZ?"],
    ]
    for each in answer["conversations"]:
        assert isinstance(each["duration_seconds"], int | float)
        assert isinstance(each["mcp_servers"], list)
    ours = dashboard.get(f"{API}/activities/conversations")
    assert "total" not in ours and "activity_count" not in ours["conversations"][0]


def test_the_cost_of_a_conversation_is_a_number_whether_or_not_it_is_known(dashboard: RunningViewer) -> None:
    costs = {}
    for conversation_id in (CONVERSATION, "c-77"):
        answer = dashboard.get(f"{LEGACY}/activities/conversation/{conversation_id}")
        costs[conversation_id] = answer["estimated_cost"]
        for number in ("duration_seconds", "total_activities", "tool_calls", "total_tokens", "estimated_cost"):
            assert type(answer[number]) in (int, float), number
    assert costs == {CONVERSATION: 0.5, "c-77": 0}
    assert dashboard.get(f"{API}/activities/conversation/c-77")["estimated_cost"] is None


def test_an_activity_tells_its_duration_length_and_model(dashboard: RunningViewer, postgres_dsn: str) -> None:
    query(postgres_dsn, "UPDATE omni2.user_activities SET duration_ms = 1200 WHERE sequence_num = 3 RETURNING 1")
    activities = dashboard.get(f"{LEGACY}/activities/conversation/{CONVERSATION}")["activities"]
    assert [each["duration_ms"] for each in activities] == [None, None, 1200, None]
    assert [each["activity_data"] for each in activities] == snapshot(
        [
            {"message": "What is the status of job XYZ?", "message_length": 30},
            {"tool_name": "get_job_status", "mcp_server": "informatica_mcp"},
            {"status": "success"},
            {
                "cost": 0.5,
                "message": "Job XYZ is running at 75%",
                "tokens_used": 150,
                "message_length": 25,
                "model": None,
            },
        ]
    )


def test_an_unknown_conversation_is_an_answer_with_an_error(dashboard: RunningViewer) -> None:
    answer = dashboard.http.get(f"{LEGACY}/activities/conversation/nothing")
    assert (answer.status_code, answer.json()) == (
        200,
        {"conversation_id": "nothing", "activities": [], "error": "Conversation not found"},
    )


# -- the same rules for everybody --------------------------------------------------------------------------------------


def test_nobody_gets_in_by_this_way_who_does_not_by_the_other(dashboard: RunningViewer, postgres_dsn: str) -> None:
    paths: list[Any] = ["monitoring/list", "flows/user/77/sessions", "activities/conversations", "live"]
    for path in paths:
        stranger = dashboard.http.get(f"{LEGACY}/{path}", headers={"Authorization": "Bearer wrong"})
        assert stranger.status_code == 401
    for path in ("/legacy", "/legacy/", "/legacy/api/v1/nothing", "/legacy/legacy/api/v1/monitoring/list"):
        assert "monitored_users" not in dashboard.http.get(path).text
    dashboard.get(f"{LEGACY}/flows/user/77/sessions")
    looks = query(postgres_dsn, "SELECT action, target_user FROM omni2.audit_log WHERE action = 'sessions_read'")
    assert [tuple(row.values()) for row in looks] == [("sessions_read", "77")]
