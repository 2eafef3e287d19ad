"""How much MCP servers and tools are used: counted from flows, in the shapes that pages about it read."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.tree.same_call import same_calls
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.mcp_usage import McpUsage, Usage
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.support.people import VIEWER_7, ask, write_tokens
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer

PREFIX = "/api/v1/mcp-analytics"
PATHS = ("overview", "top-tools", "top-mcps", "user-stats", "team-stats", "activity-over-time", "chat-vs-gateway")


def call(number: int, parent: int, at: int, *, reported: bool = False, seen: bool = False, **data: str) -> Event:
    """A tool call: reported by the gateway, made by its own checkpoint, or only seen by an instrumentation."""
    said: dict[str, Any] = {f"flow.data.{name}": value for name, value in data.items() if not seen}
    if seen:
        said["gen_ai.tool.name"] = data["tool"]
    else:
        said["flow.checkpoint.type"] = "tool_call"
    if reported:
        said["flow.reported"] = True
    return span(number, parent, event_type="tool_call", start_ns=at, attributes=said)


@pytest.fixture
def used(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> Iterator[RunningViewer]:
    now = time.time_ns() - 3600 * 1000 * MS
    neo = Identity("7", "neo@matrix.example", None, "s-1", None, "chat", "research")
    trinity = Identity("8", None, "Trinity", "s-2", None, "mcp_gateway", "research")
    nobody = Identity("9", session_id="s-3", team="sales")
    chat = [
        span(1, name="POST /ask", start_ns=now),
        call(2, 1, now + 1, mcp="qa_mcp", tool="list_snapshots", reported=True),
        call(3, 1, now + 2, tool="list_snapshots", seen=True),
        call(4, 1, now + 3, mcp="qa_mcp", tool="drop", reported=True),
    ]
    again = [span(11, name="POST /ask", start_ns=now), span(12, 11, event_type="auth_check", start_ns=now + 1)]
    gateway = [
        span(21, name="POST /mcp", start_ns=now),
        call(22, 21, now + 1, mcp="qa_mcp", tool="list_snapshots"),
        call(23, 21, now + 2, mcp="files", tool="read"),
        call(24, 21, now + 3, mcp="files", tool="read"),
        span(25, 24, name="HTTP POST", start_ns=now + 4),
        call(26, 25, now + 5, tool="files-read", seen=True),
    ]
    plain = [span(31, name="POST /ask", start_ns=now), call(32, 31, now + 1, tool="search", seen=True)]
    silent = [span(41, name="WebSocket /ws", start_ns=now)]
    old = [span(51, start_ns=now - 86400 * 60 * 1000 * MS), call(52, 51, now - 86400 * 60 * 1000 * MS, tool="old")]
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        receipt = deliver(
            archives.make(),
            part(1, chat, identity=neo),
            part(2, again, identity=neo),
            part(3, gateway, identity=trinity),
            part(4, plain, identity=nobody),
            part(5, silent, identity=Identity("10", session_id="s-4")),
            part(6, old, identity=neo),
        )
        assert receipt.delivered == 6
    yield viewer


def data(viewer: RunningViewer, path: str) -> Any:
    answer = viewer.get(f"{PREFIX}/{path}")
    assert list(answer) == ["data"]
    return answer["data"]


def test_sessions_steps_and_users_of_each_source(used: RunningViewer) -> None:
    assert data(used, "overview?days=30") == snapshot(
        [
            {"source": "chat", "sessions": 2, "total_events": 4, "unique_users": 2},
            {"source": "mcp_gateway", "sessions": 1, "total_events": 3, "unique_users": 1},
        ]
    )


def test_a_call_that_tracker_and_instrumentation_saw_is_one(used: RunningViewer) -> None:
    assert data(used, "top-tools?days=30&limit=10") == snapshot(
        [
            {"mcp": "files", "tool": "read", "count": 2},
            {"mcp": "qa_mcp", "tool": "list_snapshots", "count": 2},
            {"mcp": "qa_mcp", "tool": "drop", "count": 1},
            {"mcp": None, "tool": "search", "count": 1},
        ]
    )
    assert data(used, "top-tools?source=chat") == snapshot(
        [
            {"mcp": "qa_mcp", "tool": "drop", "count": 1},
            {"mcp": "qa_mcp", "tool": "list_snapshots", "count": 1},
            {"mcp": None, "tool": "search", "count": 1},
        ]
    )


def test_servers_with_their_users(used: RunningViewer) -> None:
    assert data(used, "top-mcps?days=30") == snapshot(
        [{"mcp": "qa_mcp", "count": 3, "unique_users": 2}, {"mcp": "files", "count": 2, "unique_users": 1}]
    )


def test_users_have_a_name_in_any_case(used: RunningViewer) -> None:
    assert data(used, "user-stats?days=30") == snapshot(
        [
            {"username": "Trinity", "email": "8", "user_id": 8, "sessions": 1, "total_events": 3, "tool_calls": 3},
            {
                "username": "neo@matrix.example",
                "email": "neo@matrix.example",
                "user_id": 7,
                "sessions": 1,
                "total_events": 3,
                "tool_calls": 2,
            },
            {"username": "9", "email": "9", "user_id": 9, "sessions": 1, "total_events": 1, "tool_calls": 1},
        ]
    )


def test_teams_with_the_members_who_were_active(used: RunningViewer) -> None:
    assert data(used, "team-stats?days=30") == snapshot(
        [
            {"team": "research", "sessions": 2, "tool_calls": 5, "members_active": 2},
            {"team": "sales", "sessions": 1, "tool_calls": 1, "members_active": 1},
        ]
    )
    assert data(used, "team-stats?source=mcp_gateway") == [
        {"team": "research", "sessions": 1, "tool_calls": 3, "members_active": 1}
    ]


def test_flows_are_found_by_the_team_of_their_user(used: RunningViewer) -> None:
    def found(asked: str) -> list[int]:
        return sorted({flow["user_id"] for flow in used.get(f"/api/v1/flows?{asked}")["flows"]})

    assert [found("team=research"), found("team=sales"), found("team=nothing")] == [[7, 8], [9], []]
    assert found("team=research&team=sales&source=chat") == [7]
    assert found("team=research&user_id=9") == []
    assert used.get("/api/v1/flows?team=sales&count=exact")["count"]["value"] == 1
    assert used.get("/api/v1/users/7")["team"] == "research"


def test_sessions_of_each_day(used: RunningViewer) -> None:
    days = data(used, "activity-over-time?days=14")
    assert {each["day"] for each in days} == {time.strftime("%Y-%m-%d", time.gmtime(time.time() - 3600))}
    assert [(each["source"], each["sessions"]) for each in days] == [("chat", 2), ("mcp_gateway", 1)]


def test_chat_against_gateway(used: RunningViewer) -> None:
    rows = data(used, "chat-vs-gateway?days=30")
    assert rows == snapshot(
        [
            {"source": "chat", "sessions": 2, "avg_steps": 2.0, "total_tool_calls": 3},
            {"source": "mcp_gateway", "sessions": 1, "avg_steps": 3.0, "total_tool_calls": 3},
        ]
    )
    assert all(
        type(row[number]) in (int, float) for row in rows for number in ("sessions", "avg_steps", "total_tool_calls")
    )


def test_who_may_see_only_some_people_sees_only_what_they_did(
    used: RunningViewer, make_viewer: MakeViewer, tmp_path: Path
) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", VIEWER_7)))
    counted = {path: ask(viewer, VIEWER_7, "GET", f"{PREFIX}/{path}").json()["data"] for path in PATHS}
    assert counted["overview"] == [{"source": "chat", "sessions": 1, "total_events": 3, "unique_users": 1}]
    assert [each["tool"] for each in counted["top-tools"]] == ["drop", "list_snapshots"]
    assert [each["user_id"] for each in counted["user-stats"]] == [7]
    assert counted["team-stats"] == [{"team": "research", "sessions": 1, "tool_calls": 2, "members_active": 1}]
    for path in PATHS:
        assert all(each.get("source", "chat") == "chat" for each in counted[path]), path
        assert "files" not in str(counted[path])


def test_odd_ranges_and_strangers_are_refused(used: RunningViewer) -> None:
    for path in PATHS:
        assert used.http.get(f"{PREFIX}/{path}", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert used.http.get(f"{PREFIX}/{path}?days=0").status_code == 422
        assert used.http.get(f"{PREFIX}/{path}?days=30000").json()["code"] == "range_too_long"


def test_it_is_in_the_audit_log(used: RunningViewer, postgres_dsn: str) -> None:
    data(used, "top-tools?days=7&source=chat")
    rows = query(postgres_dsn, "SELECT target FROM omni2.audit_log WHERE action = 'mcp_usage_read'")
    assert [row["target"] for row in rows] == ["top-tools"]


def test_the_parts_of_the_viewer_and_how_they_are(used: RunningViewer) -> None:
    answer = used.get("/api/v1/monitoring/components")
    assert answer["components"]["redis"] == {"component": "redis", "status": "connected", "state": "up"}
    assert {"postgres", "schema", "reads", "redis", "jobs"} <= set(answer["components"])


def chain(first: int, at: int, *around: dict[str, Any]) -> list[Event]:
    """Spans each inside of the one before; without a type of its own, one is a call of `search`."""
    found = []
    for number, fields in enumerate(around):
        made = span(first + number, first + number - 1 if number else None, start_ns=at, end_ns=at + 9 * MS)
        attributes = {"gen_ai.tool.name": "search", **fields.get("attributes", {})}
        found.append(made | {"event_type": "tool_call", **fields, "attributes": attributes})
    return found  # type: ignore[return-value]


_PLAIN: dict[str, Any] = {"event_type": "span"}


def called(call_id: str) -> dict[str, Any]:
    return {"attributes": {"gen_ai.tool.call.id": call_id}}


@pytest.mark.parametrize(
    ("around", "calls"),
    [
        pytest.param([{}, *[_PLAIN] * 30, {}], 1, id="however-many-spans-lie-between"),
        pytest.param([{}, {"event_type": "agent"}, {}], 2, id="another-step-lies-between"),
        pytest.param([{}, {"attributes": {"gen_ai.tool.name": "qa-search"}}], 1, id="a-servers-name-before-it"),
        pytest.param([{}, {"attributes": {"gen_ai.tool.name": "research"}}], 2, id="only-the-same-ending"),
        pytest.param([{}, {"attributes": {"gen_ai.tool.name": ""}}], 1, id="a-half-without-a-name"),
        pytest.param(
            [{"attributes": {"gen_ai.tool.call.id": "a"}}, {"attributes": {"gen_ai.tool.call.id": "b"}}],
            2,
            id="other-ids",
        ),
        pytest.param([{"end_ns": "20"}, {"start_ns": "30"}], 2, id="a-chain-of-steps"),
        pytest.param([{"end_ns": "20"}, {"start_ns": "30", "process": "p2"}], 1, id="clocks-of-two-processes"),
    ],
)
def test_calls_are_the_same_by_the_rules_of_the_tree(
    viewer: RunningViewer, postgres_dsn: str, tmp_path: Path, around: list[dict[str, Any]], calls: int
) -> None:
    at = time.time_ns() - 3600 * 1000 * MS
    spans = chain(1, at, *around)
    for event in spans:
        for edge in ("start_ns", "end_ns"):
            if len(event[edge]) < 5:
                event[edge] = str(at + int(event[edge]) * MS)
    parents = list(range(-1, len(spans) - 1))
    told = [place for place, event in enumerate(spans) if event["event_type"] == "tool_call"]
    assert len(set(told) - same_calls(spans, parents)) == calls
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        for process in sorted({event["process"] for event in spans}):
            own = [event for event in spans if event["process"] == process]
            assert deliver(archives.make(), part(1, own, process=process, root_ended=True)).delivered == 1
    assert sum(each["count"] for each in data(viewer, "top-tools")) == calls


def test_it_is_said_when_there_are_too_many_flows_to_count(used: RunningViewer) -> None:
    for path in PATHS:
        assert "calls_after" not in used.get(f"{PREFIX}/{path}")
    usage = Usage(datetime.now(UTC) - timedelta(days=7), datetime.now(UTC))

    def asked(most: int) -> tuple[int, bool]:
        async def ask() -> tuple[int, bool]:
            pool = await asyncpg.create_pool(used.settings.postgres_dsn, min_size=1, max_size=1)
            try:
                store = McpUsage(Database(pool, "omni2", 5.0), most)
                rows, after = await store.tools(usage, 10), await store.calls_after(usage)
                return sum(row["count"] for row in rows), after is not None
            finally:
                await pool.close()

        return asyncio.run(ask())

    assert asked(3) == (6, False)
    count, said = asked(1)
    assert count < 6 and said
