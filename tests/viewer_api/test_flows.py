"""Past and running flows, as existing dashboards ask for them and as ours does."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import orjson
from dirty_equals import IsStr
from inline_snapshot import snapshot

from spanflow.span_processors.identity import Identity
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.proxy import TcpProxy
from tests.support.query import query, script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store, of

ISO = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
CHAT = [
    span(1, name="POST /ask"),
    span(2, 1, event_type="auth_check", name="auth_check"),
    span(3, 1, event_type="llm_thinking", name="chat"),
    span(4, 3, name="POST"),
    span(
        5,
        4,
        event_type="tool_call",
        name="tools/call list_snapshots",
        attributes={"flow.data.mcp": "qa_mcp", "flow.data.tool": "list_snapshots"},
    ),
]


def test_a_users_flows_newest_first_with_one_entry_per_checkpoint(viewer: RunningViewer, store: Store) -> None:
    store(part(1, CHAT, **of("s1")), part(2, [span(900, event_type="error")], **of("s2")))
    flows = viewer.get("/api/v1/monitoring/flows/7")["flows"]
    assert [flow["session_id"] for flow in flows] == ["s2", "s1"]
    assert flows[1] == snapshot(
        {
            "flow_id": "00000000000000000000000000000001",
            "session_id": "s1",
            "flow_data": {
                "flow_id": "00000000000000000000000000000001",
                "user_id": 7,
                "session_id": "s1",
                "conversation_id": None,
                "events": [
                    {
                        "type": "flow_event",
                        "user_id": 7,
                        "session_id": "s1",
                        "node_id": "0000000000000002",
                        "event_type": "auth_check",
                        "parent_id": None,
                        "timestamp": 1767614400.002,
                        "duration_ms": 1.0,
                        "status": "ok",
                        "source": "web",
                    },
                    {
                        "type": "flow_event",
                        "user_id": 7,
                        "session_id": "s1",
                        "node_id": "0000000000000003",
                        "event_type": "llm_thinking",
                        "parent_id": None,
                        "timestamp": 1767614400.003,
                        "duration_ms": 1.0,
                        "status": "ok",
                        "source": "web",
                    },
                    {
                        "type": "flow_event",
                        "user_id": 7,
                        "session_id": "s1",
                        "node_id": "0000000000000005",
                        "event_type": "tool_call",
                        "parent_id": "0000000000000003",
                        "timestamp": 1767614400.005,
                        "duration_ms": 1.0,
                        "status": "ok",
                        "source": "web",
                        "mcp": "qa_mcp",
                        "tool": "list_snapshots",
                    },
                ],
            },
            "created_at": "2026-01-05T12:00:00.001000Z",
            "completed_at": "2026-01-05T12:00:00.002000Z",
        }
    )
    assert len(viewer.get("/api/v1/monitoring/flows/7?limit=1")["flows"]) == 1
    assert viewer.get("/api/v1/monitoring/flows/8") == {"flows": []}


def test_a_session_is_all_of_its_flows_merged(viewer: RunningViewer, store: Store) -> None:
    later = [{**span(1), "node_id": "f1", "start_ns": str(NOON + 900 * MS), "end_ns": str(NOON + 950 * MS)}]
    store(part(1, CHAT, **of("s1")), part(2, later, **of("s1")))  # type: ignore[arg-type]
    answer = viewer.get("/api/v1/monitoring/flows/session/s1")
    assert answer["session_id"] == "s1"
    assert answer["user_id"] == 7
    assert answer["created_at"] == "2026-01-05T12:00:00.001000Z"
    assert answer["completed_at"] == "2026-01-05T12:00:00.950000Z"
    assert [event["event_type"] for event in answer["flow_data"]["events"]] == [
        "auth_check",
        "llm_thinking",
        "tool_call",
    ]
    (row,) = viewer.get("/api/v1/flows/user/7/sessions")["sessions"]
    assert (row["session_id"], row["event_count"], row["completed_at"]) == ("s1", 3, answer["completed_at"])


def test_a_session_is_open_while_one_of_its_flows_runs(
    viewer: RunningViewer, store: Store, make_flow: MakeFlow
) -> None:
    store(part(1, CHAT, **of("s-1")))
    flow = make_flow()
    flow.start("root")
    flow.step("auth", "root", "auth_check")
    answer = viewer.get("/api/v1/monitoring/flows/session/s-1")
    assert answer["completed_at"] is None
    assert [event["node_id"] for event in answer["flow_data"]["events"]][-1] == "auth"
    (session,) = viewer.get("/api/v1/flows/user/7/sessions")["sessions"]
    assert (session["completed_at"], session["event_count"]) == (None, 4)
    newest = viewer.get("/api/v1/monitoring/flows/7")["flows"][0]
    assert newest["completed_at"] is None
    flow.end("root")
    assert viewer.get("/api/v1/monitoring/flows/session/s-1")["completed_at"] == ISO


def test_sessions_of_a_user_at_both_addresses(viewer: RunningViewer, store: Store) -> None:
    store(
        *(part(number, [span(number * 10, event_type="auth_check")], **of(f"s{number}")) for number in range(1, 6)),
        part(9, [span(99)], identity=Identity(user_id="7", source="mcp")),
    )
    answer = viewer.get("/api/v1/flows/user/7/sessions?limit=3")
    assert answer == viewer.get("/api/v1/monitoring/flows/user/7/sessions?limit=3")
    assert answer["user_id"] == 7
    assert [session["session_id"] for session in answer["sessions"]] == [f"{9:032x}", "s5", "s4"]
    assert answer["sessions"][1] == snapshot(
        {
            "session_id": "s5",
            "started_at": "2026-01-05T12:00:00.050000Z",
            "completed_at": "2026-01-05T12:00:00.051000Z",
            "event_count": 1,
            "events": [
                {
                    "type": "flow_event",
                    "user_id": 7,
                    "session_id": "s5",
                    "node_id": "0000000000000032",
                    "event_type": "auth_check",
                    "parent_id": None,
                    "timestamp": 1767614400.05,
                    "duration_ms": 1.0,
                    "status": "ok",
                    "source": "web",
                }
            ],
            "source": "web",
        }
    )
    only = viewer.get("/api/v1/flows/user/7/sessions?source=mcp")["sessions"]
    assert [session["session_id"] for session in only] == [f"{9:032x}"]


def test_a_session_as_a_tree_of_checkpoints(viewer: RunningViewer, store: Store) -> None:
    store(part(1, CHAT, **of("s1")))
    answer = viewer.get("/api/v1/flows/session/s1")
    assert [flow["flow_id"] for flow in answer["flows"]] == [f"{1:032x}"]
    auth, llm = answer["tree"].pop("children")
    assert answer["tree"] == snapshot(
        {
            "session_id": "s1",
            "user_id": 7,
            "started_at": "2026-01-05T12:00:00.001000Z",
            "completed_at": "2026-01-05T12:00:00.002000Z",
            "event_count": 3,
        }
    )
    assert (auth["event_type"], auth["children"]) == ("auth_check", [])
    (tool,) = llm["children"]
    assert (tool["tool"], tool["parent_id"], tool["children"]) == ("list_snapshots", llm["node_id"], [])


def test_a_tree_a_thousand_deep_is_served(viewer: RunningViewer, store: Store) -> None:
    chain = [span(n, n - 1 if n > 1 else None, event_type="step") for n in range(1, 1001)]
    store(part(1, chain, **of("deep")))
    text = viewer.http.get("/api/v1/flows/session/deep").text
    assert text.count('"children":[{') == 1000
    tree = text[text.index('"tree":') :]
    assert tree.count("{") == tree.count("}") - 1


def test_one_flow_with_all_its_spans(viewer: RunningViewer, store: Store) -> None:
    store(part(1, CHAT, **of("s1", conversation_id="c1")))
    answer = viewer.get(f"/api/v1/flows/{1:032x}")
    document = answer.pop("flow_data")
    assert answer == snapshot(
        {
            "flow_id": "00000000000000000000000000000001",
            "session_id": "s1",
            "user_id": 7,
            "conversation_id": "c1",
            "open": False,
            "created_at": "2026-01-05T12:00:00.001000Z",
            "completed_at": "2026-01-05T12:00:00.002000Z",
            "source": "web",
            "cut_spans": 0,
            "contents": None,
        }
    )
    assert [(event["node_id"][-1], event["event_type"]) for event in document["events"]] == [
        ("1", "span"),
        ("2", "auth_check"),
        ("3", "llm_thinking"),
        ("4", "span"),
        ("5", "tool_call"),
    ]


def test_a_running_flow_can_be_read_at_any_time(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.start("root", name="POST /ask")
    flow.step("auth", "root", "auth_check")
    answer = viewer.get(f"/api/v1/flows/{flow.flow_id}")
    assert (answer["open"], answer["completed_at"], answer["user_id"]) == (True, None, 7)
    assert [(event["node_id"], event["phase"]) for event in answer["flow_data"]["events"]] == [
        ("root", "start"),
        ("auth", "end"),
    ]
    for path in ("flows?user_id=7", "flows?session_id=s-1", "flows"):
        (listed,) = viewer.get(f"/api/v1/{path}")["flows"]
        assert (listed["flow_id"], listed["open"], listed["name"]) == (flow.flow_id, True, "POST /ask")
    for filtered in ("user_id=8", "outcome=ok"):
        assert viewer.get(f"/api/v1/flows?{filtered}") == {"flows": [], "next": None}
    flow.step("tool", "root", "tool_call", tool="list_snapshots", mcp="qa_mcp")
    flow.end("root")
    (ended,) = viewer.get("/api/v1/flows")["flows"]
    assert (ended["open"], ended["outcome"], ended["tools"], ended["mcp_servers"]) == (
        False,
        "ok",
        ["list_snapshots"],
        ["qa_mcp"],
    )
    assert ended["duration_ms"] > 0
    counts = {outcome: len(viewer.get(f"/api/v1/flows?outcome={outcome}")["flows"]) for outcome in ("ok", "denied")}
    assert counts == {"ok": 1, "denied": 0}


def test_a_flow_that_is_stored_in_part_is_shown_whole(viewer: RunningViewer, store: Store, make_flow: MakeFlow) -> None:
    flow = make_flow(flow_id=f"{1:032x}", session_id="s1", start_ns=NOON)
    flow.start("late", "0000000000000001", "tool_call")
    store(part(1, CHAT, **of("s1")))
    answer = viewer.get(f"/api/v1/flows/{1:032x}")
    assert (answer["open"], len(answer["flow_data"]["events"])) == (True, 6)
    (listed,) = viewer.get("/api/v1/monitoring/flows/7")["flows"]
    assert [event["event_type"] for event in listed["flow_data"]["events"]].count("tool_call") == 2


def test_what_is_not_there_is_said_so(viewer: RunningViewer) -> None:
    codes = {
        path: viewer.http.get(f"/api/v1/{path}").json()["code"]
        for path in ("flows/" + "0" * 32, "flows/session/x", "monitoring/flows/session/x", "nothing", "flows/a/b/c")
    }
    assert codes == snapshot(
        {
            "flows/00000000000000000000000000000000": "flow_not_found",
            "flows/session/x": "session_not_found",
            "monitoring/flows/session/x": "session_not_found",
            "nothing": "route_not_found",
            "flows/a/b/c": "route_not_found",
        }
    )


def test_the_past_is_served_while_redis_is_away(
    make_viewer: MakeViewer, store: Store, proxy: Callable[[str], TcpProxy], redis_url: str
) -> None:
    store(part(1, CHAT, **of("s1")))
    line = proxy(redis_url)
    viewer = make_viewer(url=line.url)
    line.cut()
    assert len(viewer.get("/api/v1/monitoring/flows/7")["flows"]) == 1
    assert viewer.get(f"/api/v1/flows/{1:032x}")["open"] is False
    assert viewer.get("/readyz")["redis"] == "down"


def test_without_postgres_it_says_so_and_comes_back_by_itself(
    make_viewer: MakeViewer, proxy: Callable[[str], TcpProxy], postgres_dsn: str
) -> None:
    line = proxy(postgres_dsn)
    line.cut()
    viewer = make_viewer(dsn=line.url)
    for path in ("monitoring/flows/7", "flows", "monitoring/list", "activities/conversations"):
        response = viewer.http.get(f"/api/v1/{path}")
        assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")
    assert viewer.http.get("/healthz").status_code == 200
    assert viewer.http.get("/readyz").status_code == 503
    line.restore()
    assert viewer.get("/api/v1/monitoring/flows/7") == {"flows": []}


def test_a_query_that_takes_too_long_is_ended(make_viewer: MakeViewer, postgres_dsn: str) -> None:
    viewer = make_viewer(viewer_statement_timeout=0.2)
    script(
        postgres_dsn,
        """
        CREATE FUNCTION omni2.slowly() RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(30) IS NOT NULL';
        ALTER TABLE omni2.user_directory RENAME TO hidden;
        CREATE VIEW omni2.user_directory AS SELECT * FROM omni2.hidden WHERE omni2.slowly();
        INSERT INTO omni2.hidden (user_id) VALUES ('7');
        """,
    )
    began = time.monotonic()
    response = viewer.http.get("/api/v1/monitoring/users")
    assert (response.status_code, response.json()["code"]) == (503, "query_timeout")
    assert time.monotonic() - began < 3


def test_every_look_is_in_the_audit_log_once_a_minute(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    store(part(1, CHAT, **of("s1")))
    for _ in range(3):
        viewer.get("/api/v1/monitoring/flows/7", headers={"X-Spanflow-Reason": "ticket 9"})
        viewer.get("/api/v1/monitoring/flows/session/s1")
        viewer.get(f"/api/v1/flows/{1:032x}")
    rows = query(postgres_dsn, "SELECT actor, action, target_user, target, reason FROM omni2.audit_log ORDER BY id")
    assert [tuple(row.values()) for row in rows] == snapshot(
        [
            ("operator", "flows_read", "7", None, "ticket 9"),
            ("operator", "session_read", "7", "s1", None),
            ("operator", "flow_read", "7", "00000000000000000000000000000001", None),
        ]
    )


def test_what_cannot_be_logged_is_not_shown(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    store(part(1, CHAT, **of("s1")))
    script(postgres_dsn, "ALTER TABLE omni2.audit_log RENAME TO audit_log_gone")
    response = viewer.http.get("/api/v1/monitoring/flows/7")
    assert (response.status_code, response.json()["code"]) == (503, "not_migrated")
    assert "list_snapshots" not in response.text


def test_hostile_texts_come_back_as_data(viewer: RunningViewer, store: Store) -> None:
    nasty = "</script><script>alert(1)</script>\u2028=cmd|' /C calc'!A0 ¡ñ 漢字 🙂 ' OR 1=1 --"
    hostile = [span(1, event_type="tool_call", name=nasty, attributes={"flow.data.tool": nasty, "__proto__": nasty})]
    store(part(1, hostile, **of("' OR 1=1 --")))
    (flow,) = viewer.get("/api/v1/monitoring/flows/7")["flows"]
    assert flow["session_id"] == "' OR 1=1 --"
    assert flow["flow_data"]["events"][0]["tool"] == nasty
    response = viewer.http.get("/api/v1/flows/session/' OR 1=1 --")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


def test_a_body_that_is_too_large_is_refused_before_it_is_read(viewer: RunningViewer) -> None:
    def endless() -> Any:
        for _ in range(100):
            yield b"x" * 65536

    with httpx.Client(base_url=viewer.origin, headers=viewer.http.headers) as client:
        declared = client.post("/api/v1/monitoring/enable", content=b"[" + b"1," * 300_000 + b"1]")
        assert (declared.status_code, declared.json()["code"]) == (413, "body_too_large")
        streamed = client.post("/api/v1/monitoring/enable", content=endless())
        assert (streamed.status_code, streamed.json()["code"]) == (413, "body_too_large")


def test_the_numbers_in_old_documents_stay_what_they_were(viewer: RunningViewer, postgres_dsn: str) -> None:
    document = {
        "events": [{"node_id": "n1", "event_type": "tool_call", "timestamp": 1738156800.123}],
        "extra": [1.0, None],
    }
    script(
        postgres_dsn,
        "INSERT INTO omni2.interaction_flows (user_id, session_id, flow_data) "
        f"VALUES ('7', 'old', '{orjson.dumps(document).decode()}')",
    )
    (flow,) = viewer.get("/api/v1/monitoring/flows/7")["flows"]
    assert flow["flow_data"] == document


def test_a_flow_says_where_its_trace_is_in_another_tool(make_viewer: MakeViewer, store: Store) -> None:
    viewer = make_viewer(viewer_trace_url="https://jaeger.example.org/trace/{trace_id}")
    store(part(0xA1, [span(1)]))
    flow_id = f"{0xA1:032x}"
    assert viewer.get(f"/api/v1/flows/{flow_id}")["trace_url"] == f"https://jaeger.example.org/trace/{flow_id}"
