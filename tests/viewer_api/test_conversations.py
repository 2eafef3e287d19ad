"""The list of conversations and the page of one: what was said, and the flows that were its turns."""

from pathlib import Path
from typing import Any

import pytest
from dirty_equals import IsStr
from inline_snapshot import snapshot

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.identity import Identity
from spanflow.viewer_api.http.paging import packed, unpacked
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import query, script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow

SECOND = 1000 * MS
HOUR = 3600 * SECOND
LIST = "/api/v1/conversations"


def turn(
    conversation: str,
    number: int,
    at_ns: int,
    steps: list[tuple[str, dict[str, Any]]],
    user_id: str = "7",
    outcome: str = "ok",
) -> Any:
    """A flow that is a turn of a conversation, with what was said in it, a second for each."""
    told: Any = {"conversation_id": conversation, "session_id": f"s-{conversation}", "user_id": user_id}
    activities = [
        Activity(kind, at_ns + step * SECOND, data, node_id=f"{number * 16 + 1:016x}", **told).to_bytes()
        for step, (kind, data) in enumerate(steps)
    ]
    first: dict[str, Any] = {
        "start_ns": at_ns,
        "end_ns": at_ns + len(steps) * SECOND,
        "name": "POST /chat",
        "outcome": outcome,
        "event_type": "auth_check" if outcome == "denied" else "span",
    }
    identity = Identity(user_id=user_id, session_id=f"s-{conversation}", conversation_id=conversation, source="web")
    return part(number, [span(number * 16 + 1, **first)], activities=tuple(activities), identity=identity)


def said(text: str) -> tuple[str, dict[str, Any]]:
    return "user_message", {"message": text}


def answered(text: str, tokens: int = 100) -> tuple[str, dict[str, Any]]:
    return "assistant_response", {"message": text, "tokens_used": tokens, "cost": 0.5}


def called(tool: str, server: str = "qa_mcp", **more: Any) -> tuple[str, dict[str, Any]]:
    return "mcp_tool_call", {"mcp_server": server, "tool_name": tool, **more}


def returned(tool: str | None, server: str = "qa_mcp", **more: Any) -> tuple[str, dict[str, Any]]:
    named = {"mcp_server": server, "tool_name": tool} if tool else {}
    return "mcp_tool_response", {**named, "status": "success", "duration_ms": 12.5, **more}


@pytest.fixture
def told(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> RunningViewer:
    """Four conversations of three people."""
    script(
        postgres_dsn,
        """
        INSERT INTO omni2.user_directory (user_id, email, full_name) VALUES
            ('7', 'trinity@matrix.example', 'Trinity'), ('42', 'neo@matrix.example', 'Thomas A. Anderson')
        """,
    )
    parts = [
        turn(
            "c1",
            1,
            NOON,
            [said("What is the status of job XYZ?"), called("status"), returned("status"), answered("Runs.")],
        ),
        turn("c1", 2, NOON + 2 * HOUR, [said("Stop it"), answered("No.")], outcome="denied"),
        turn(
            "c2",
            3,
            NOON + HOUR,
            [said("Où est l'état du travail ?"), called("list", "other_mcp"), answered("Là.", 5)],
            "42",
        ),
        turn("c3", 4, NOON + 30 * HOUR, [said("任务的状态是什么")], "42"),
        turn("c4", 5, NOON + 3 * HOUR, [called("status"), called("list", "other_mcp"), returned(None)], "nobody"),
    ]
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        assert deliver(archives.make(), *parts).delivered == len(parts)
    return viewer


def ids(answer: Any) -> list[Any]:
    return [each["conversation_id"] for each in answer["conversations"]]


def test_the_list_has_totals_and_names(told: RunningViewer) -> None:
    answer = told.get(LIST)
    assert ids(answer) == ["c3", "c4", "c2", "c1"]
    assert answer["next"] is None
    assert answer["conversations"][3] == snapshot(
        {
            "conversation_id": "c1",
            "user_id": 7,
            "email": "trinity@matrix.example",
            "full_name": "Trinity",
            "session_id": "s-c1",
            "title": "What is the status of job XYZ?",
            "started_at": "2026-01-05T12:00:00Z",
            "ended_at": "2026-01-05T14:00:01Z",
            "duration_seconds": 7201.0,
            "total_activities": 6,
            "tool_calls": 1,
            "total_tokens": 200,
            "estimated_cost": 1.0,
            "mcp_servers": ["qa_mcp"],
        }
    )


#: What is asked, and which conversations that is.
FILTERS = [
    ("user_id=7", ["c1"]),
    ("user_id=7&user_id=42", ["c3", "c2", "c1"]),
    ("user_id=", ["c3", "c4", "c2", "c1"]),
    ("user_id=unknown", []),
    ("user=matrix", ["c3", "c2", "c1"]),
    ("user=anderson thom", ["c3", "c2"]),
    ("user=nobody", ["c4"]),
    ("user=matrix&user_id=7", ["c1"]),
    ("user=somebody else", []),
    ("user=%00", ["c3", "c4", "c2", "c1"]),
    ("mcp_server=other_mcp", ["c4", "c2"]),
    ("mcp_server=other_mcp&mcp_server=qa_mcp", ["c4", "c2", "c1"]),
    ("tool=status", ["c4", "c1"]),
    ("tool=status&tool=list", ["c4", "c2", "c1"]),
    ("tool=statu", []),
    ("q=STATUS job", ["c1"]),
    ("q=ou etat", ["c2"]),
    ("q=状态", ["c3"]),
    ("q=务", ["c3"]),
    ("q=job&user_id=42", []),
    ("q=%25", []),
    ("min_tool_calls=1", ["c4", "c2", "c1"]),
    ("min_tool_calls=2", ["c4"]),
    ("min_tokens=200", ["c1"]),
    ("since=2026-01-06", ["c3"]),
    ("until=2026-01-05", ["c4", "c2", "c1"]),
    # Between its two turns nothing of it happens, and it goes on all the same.
    ("since=2026-01-05T13:30:00Z&until=2026-01-05T13:31:00Z", ["c1"]),
    ("since=2026-01-05T14:00:01Z&until=2026-01-05T15:00:00Z", ["c1"]),
    ("since=2026-01-05T14:00:01Z&until=2026-01-05T15:00:00.000001Z", ["c4", "c1"]),
    ("since=2026-01-06&until=2026-01-05T00:00:00Z", []),
    ("user=matrix&mcp_server=qa_mcp&tool=status&q=job&min_tool_calls=1&since=2026-01-05&until=2026-01-05", ["c1"]),
]


def test_every_filter_holds_for_list_and_count(told: RunningViewer) -> None:
    for asked, expected in FILTERS:
        answer = told.get(f"{LIST}?{asked}&count=exact")
        assert ids(answer) == expected, asked
        assert answer["count"] == {"value": len(expected), "kind": "exact"}, asked


def test_an_estimate_reads_no_row(told: RunningViewer, postgres_dsn: str) -> None:
    script(postgres_dsn, "ANALYZE omni2.conversations")
    assert told.get(f"{LIST}?count=estimated")["count"] == {"value": 4, "kind": "estimated"}
    assert told.get(f"{LIST}?count=none").keys() == {"conversations", "next"}


def test_pages_neither_repeat_nor_leave_out_while_rows_arrive(told: RunningViewer, postgres_dsn: str) -> None:
    add = (
        "INSERT INTO omni2.user_activities (conversation_id, user_id, activity_type, activity_data, created_at) "
        "SELECT 'm' || n, '9', 'user_message', '{\"message\": \"more\"}', "
        "timestamptz '2026-02-01Z' + n %% 7 * interval '1 s' "
        "FROM generate_series(%d, %d) AS n"
    )
    script(postgres_dsn, add % (1, 40))
    before = ids(told.get(f"{LIST}?q=more&limit=500"))
    assert len(before) == 40
    seen: list[Any] = []
    cursor, number = None, 100
    while True:
        page = told.get(LIST, params={"q": "more", "limit": 6, **({"cursor": cursor} if cursor else {})})
        seen += ids(page)
        cursor = page["next"]
        if cursor is None:
            break
        # New ones come, and old ones go on.
        script(
            postgres_dsn,
            f"INSERT INTO omni2.user_activities (conversation_id, user_id, activity_type, activity_data, created_at) "
            f"VALUES ('n{number}', '9', 'user_message', '{{\"message\": \"more\"}}', timestamptz '2026-03-01Z'),"
            f"('{before[-1]}', '9', 'user_message', '{{}}', timestamptz '2026-03-01Z'),"
            f"('{before[0]}', '9', 'user_message', '{{}}', timestamptz '2026-03-01Z')",
        )
        number += 1
    assert seen == before


def test_one_conversation_with_its_turns(told: RunningViewer) -> None:
    answer = told.get(f"{LIST}/c1")
    turns, activities = answer.pop("turns"), answer.pop("activities")
    assert answer == snapshot(
        {
            "conversation_id": "c1",
            "user_id": 7,
            "email": "trinity@matrix.example",
            "full_name": "Trinity",
            "session_id": "s-c1",
            "title": "What is the status of job XYZ?",
            "started_at": "2026-01-05T12:00:00Z",
            "ended_at": "2026-01-05T14:00:01Z",
            "duration_seconds": 7201.0,
            "total_activities": 6,
            "tool_calls": 1,
            "total_tokens": 200,
            "estimated_cost": 1.0,
            "mcp_servers": ["qa_mcp"],
            "open": False,
            "turns_next": None,
            "position": 0,
            "next": None,
            "truncated": False,
        }
    )
    assert [(each["flow_id"], each["outcome"], each["activities"]) for each in turns] == snapshot(
        [
            (
                "00000000000000000000000000000001",
                "ok",
                {"count": 4, "first_activity_id": IsStr(), "first_sequence_num": 1},
            ),
            (
                "00000000000000000000000000000002",
                "denied",
                {"count": 2, "first_activity_id": IsStr(), "first_sequence_num": 5},
            ),
        ]
    )
    assert turns[1]["denied_gate"] == "auth_check"
    assert [each["activity_type"] for each in activities] == [
        *("user_message", "mcp_tool_call", "assistant_response", "user_message", "assistant_response")
    ]
    call = activities[1]
    assert (call["sequence_num"], call["response"]["sequence_num"], call["duration_ms"]) == (2, 3, 12.5)
    assert call["response"]["activity_data"]["status"] == "success"
    # From what was said to the flow and its span, and from there back.
    assert (call["flow_id"], call["node_id"]) == (turns[0]["flow_id"], f"{17:016x}")
    back = told.get(f"/api/v1/flows/{call['flow_id']}/activities")
    assert (back["flow_id"], back["conversation_id"]) == (call["flow_id"], "c1")
    assert back["activities"] == activities[:3]


def test_the_legacy_page_of_it_stays_flat(told: RunningViewer) -> None:
    flat = told.get("/api/v1/activities/conversation/c1")["activities"]
    assert [each["sequence_num"] for each in flat] == [1, 2, 3, 4, 5, 6]
    assert all("response" not in each for each in flat)


def test_a_long_conversation_is_read_page_by_page(told: RunningViewer, postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        """
        INSERT INTO omni2.user_activities
            (activity_id, conversation_id, user_id, flow_id, activity_type, activity_data, sequence_num, created_at)
        SELECT 'a' || n, 'long', '7', 'f' || n / 10,
               CASE n % 3 WHEN 0 THEN 'mcp_tool_call' WHEN 1 THEN 'mcp_tool_response' ELSE 'user_message' END,
               '{"tool_name": "t"}', n, timestamptz '2026-01-05Z' + n * interval '1 s'
        FROM generate_series(0, 99) AS n;
        """,
    )
    whole = told.get(f"{LIST}/long")
    told_once = [each["activity_id"] for each in whole["activities"]]
    told_once += [each["response"]["activity_id"] for each in whole["activities"] if each.get("response")]
    assert sorted(told_once) == sorted(f"a{n}" for n in range(100))
    seen: list[Any] = []
    cursor = None
    while True:
        page = told.get(f"{LIST}/long", params={"limit": 7, **({"cursor": cursor} if cursor else {})})
        assert page["position"] == len(seen)
        seen += page["activities"]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == whole["activities"]
    # Straight to one activity, to a response (which stands with its call) and to a flow.
    for at, first in (("a50", "a50"), ("a49", "a48"), ("f3", "a30"), ("unknown", "a0")):
        assert told.get(f"{LIST}/long", params={"at": at, "limit": 1})["activities"][0]["activity_id"] == first


def test_activities_whose_numbers_repeat_are_in_the_order_of_time(told: RunningViewer, postgres_dsn: str) -> None:
    """As of a gateway that asked for the highest number before its last turn was stored."""
    query(
        postgres_dsn,
        "WITH turn AS (SELECT activity_id, row_number() OVER (PARTITION BY flow_id ORDER BY created_at) AS number "
        "FROM omni2.user_activities WHERE conversation_id = 'c1') "
        "UPDATE omni2.user_activities AS known SET sequence_num = turn.number FROM turn "
        "WHERE known.activity_id = turn.activity_id RETURNING 1",
    )
    rows = query(
        postgres_dsn,
        "SELECT activity_id, sequence_num FROM omni2.user_activities WHERE conversation_id = 'c1' ORDER BY created_at",
    )
    assert [row["sequence_num"] for row in rows].count(1) > 1
    in_time = [row["activity_id"] for row in rows]
    for prefix in ("/api/v1", "/legacy/api/v1"):
        flat = told.get(f"{prefix}/activities/conversation/c1")["activities"]
        assert [each["activity_id"] for each in flat] == in_time
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = told.get(f"{LIST}/c1?limit=2&cursor={cursor}")
        for item in page["activities"]:
            seen.append(item["activity_id"])
            if item.get("response"):
                seen.append(item["response"]["activity_id"])
        cursor = page["next"]
    assert seen == in_time


def test_turns_are_read_page_by_page_and_what_runs_stands_last(
    told: RunningViewer, make_flow: MakeFlow, postgres_dsn: str, tmp_path: Path
) -> None:
    parts = [turn("many", 100 + n, NOON + n * SECOND, []) for n in range(5)]
    with archives_in(postgres_dsn, tmp_path / "more") as archives:
        assert deliver(archives.make(), *parts).delivered == len(parts)
    running = make_flow("7", conversation_id="many")
    running.start("root")
    seen: list[Any] = []
    cursor = None
    while True:
        more: dict[str, Any] = {"turns_cursor": cursor} if cursor else {}
        page = told.get(f"{LIST}/many", params={"turns_limit": 2, **more})
        seen += page["turns"]
        assert page["open"] is (page["turns_next"] is None)
        cursor = page["turns_next"]
        if cursor is None:
            break
    assert [each["flow_id"] for each in seen] == [*(f"{100 + n:032x}" for n in range(5)), running.flow_id]
    assert [each["open"] for each in seen] == [False] * 5 + [True]


def test_a_conversation_of_which_only_flows_are_known(told: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow("7", conversation_id="quiet")
    flow.start("root")
    answer = told.get(f"{LIST}/quiet")
    assert (answer["user_id"], answer["email"], answer["open"]) == (7, "trinity@matrix.example", True)
    assert (answer["activities"], answer["title"], len(answer["turns"])) == ([], None, 1)
    assert told.get(f"/api/v1/flows/{flow.flow_id}/activities") == {
        "flow_id": flow.flow_id,
        "conversation_id": "quiet",
        "activities": [],
    }


def test_what_is_not_there_or_wrong_is_said_so(told: RunningViewer) -> None:
    search, *_ = unpacked(told.get(f"{LIST}?limit=1")["next"])
    for path, code in {
        "conversations/nothing": "conversation_not_found",
        "conversations/%7B": "invalid_id",
        "conversations/c1?cursor=x": "invalid_request",
        "conversations/c1?cursor=WzEsMl0": "invalid_request",
        "conversations/c1?turns_cursor=x": "invalid_request",
        "conversations/c1?limit=0": "invalid_request",
        "conversations?cursor=x": "invalid_request",
        # Well formed, and before the beginning of time.
        f"conversations?cursor={packed([search, '0001-01-01T00:00:00+14:00', 'x'])}": "invalid_request",
        "conversations?count=all": "invalid_request",
        "conversations?user_id=%00": "invalid_id",
        "conversations?since=soon": "invalid_request",
        "conversations?min_tool_calls=-1": "invalid_request",
        "conversations?min_tokens=99999999999999999999": "invalid_request",
        "flows/nothing/activities": "flow_not_found",
        "flows/%7B/activities": "invalid_id",
    }.items():
        response = told.http.get(f"/api/v1/{path}")
        assert (response.json().get("code"), response.status_code in {404, 422}) == (code, True), path
    assert ids(told.get(f"{LIST}?mcp_server=%00&tool=%00&q=%00&limit=100000")) == ["c3", "c4", "c2", "c1"]


def test_looks_are_in_the_audit_log(told: RunningViewer, postgres_dsn: str) -> None:
    told.get(f"{LIST}?user_id=42&q=état")
    told.get(f"{LIST}/c2")
    told.get(f"/api/v1/flows/{3:032x}/activities")
    rows = query(postgres_dsn, "SELECT action, target_user, target FROM omni2.audit_log ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        ("conversations_listed", "42", None),
        ("conversation_read", "42", "c2"),
        ("flow_read", "42", f"{3:032x}"),
    ]
