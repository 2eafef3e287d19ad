"""Who watched, read or searched what: found again, page by page, whatever happens meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from dirty_equals import IsInt, IsStr
from inline_snapshot import snapshot

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.viewer_api.store.audit_log import AuditLog, Entry
from tests.support.flow_parts import NOON, part, span
from tests.support.query import query, script, value
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer, Store

ISO = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def add(dsn: str, number: int, **fields: Any) -> None:
    """An entry that was made `number` minutes after noon."""
    fields = {"actor": "ann", "action": "flow_read", "at": f"2026-03-01T12:{number:02}:00Z", **fields}
    names, values = ", ".join(fields), ", ".join("'" + str(text).replace("'", "''") + "'" for text in fields.values())
    script(dsn, f"INSERT INTO omni2.audit_log ({names}) VALUES ({values})")


def asked(viewer: RunningViewer, **params: Any) -> list[int]:
    """The minutes of the entries that are found."""
    entries = viewer.get("/api/v1/audit", params={"until": "2026-03-02", **params})["entries"]
    return [int(each["at"][14:16]) for each in entries]


def test_an_entry_says_who_whom_why_when_and_from_where(viewer: RunningViewer) -> None:
    viewer.post("/api/v1/monitoring/enable/7", {"reason": "ticket 4711"})
    (entry,) = viewer.get("/api/v1/audit")["entries"]
    assert entry == snapshot(
        {
            "id": IsInt(),
            "at": ISO,
            "actor": "operator",
            "role": "admin",
            "action": "monitoring_enabled",
            "user_id": 7,
            "target": None,
            "reason": "ticket 4711",
            "remote": "127.0.0.1",
            "outcome": "ok",
            "detail": {"via": "token", "expires_at": ISO, "metadata_only": False},
        }
    )


def test_entries_are_found_by_whom_by_whom_what_when_and_any_text(viewer: RunningViewer, postgres_dsn: str) -> None:
    add(postgres_dsn, 1, actor="bob", target_user="7", reason="Störung im Büro")
    add(postgres_dsn, 2, target_user="7", target="flow-1")
    add(postgres_dsn, 3, action="flows_listed", detail='{"searched": {"q": "SECRET plan_b"}}')
    add(postgres_dsn, 4, target_user="8", outcome="denied", remote="203.0.113.9")
    assert asked(viewer) == [4, 3, 2, 1]
    assert asked(viewer, user_id="7") == [2, 1]
    assert asked(viewer, user_id="7", actor="ann") == [2]
    assert asked(viewer, action="flows_listed") == [3]
    assert asked(viewer, outcome="denied") == [4]
    assert asked(viewer, since="2026-03-01T12:02:00Z", until="2026-03-01T12:04:00Z") == [3, 2]
    found = {text: asked(viewer, text=text) for text in ("STÖRUNG", "secret PLAN", "flow-1", "203.0", "plan%b", "100%")}
    assert found == snapshot(
        {"STÖRUNG": [1], "secret PLAN": [3], "flow-1": [2], "203.0": [4], "plan%b": [], "100%": []}
    )
    assert asked(viewer, user_id="", actor="", action=" ", text="\0") == [4, 3, 2, 1]


def test_pages_stay_as_they_are_while_entries_are_added(viewer: RunningViewer, postgres_dsn: str) -> None:
    for number in range(10):
        # Several at the same moment.
        add(postgres_dsn, number // 3, target=f"t{number}")
    seen: list[str] = []
    before: Any = None
    while True:
        params = {"limit": 3, "action": "flow_read"} | ({"before": before} if before else {})
        page = viewer.get("/api/v1/audit", params=params)
        seen += [each["target"] for each in page["entries"]]
        before = page["next"]
        if before is None:
            break
        add(postgres_dsn, 50, target="new")
    assert seen == [f"t{number}" for number in reversed(range(10))]
    assert viewer.get("/api/v1/audit", params={"before": 2**63 - 1}) == {"entries": [], "next": None}


def test_what_makes_no_sense_is_refused(viewer: RunningViewer) -> None:
    for asked_for in ("since=soon", "before=0", "before=x", "limit=0", "user_id=a%2Fb", "text=" + "x" * 201):
        assert viewer.http.get(f"/api/v1/audit?{asked_for}").status_code == 422, asked_for


def test_the_address_is_the_clients_own_behind_trusted_proxies_only(make_viewer: MakeViewer) -> None:
    behind = make_viewer(viewer_proxy_peers=("127.0.0.1", "10.0.0.0/8"))
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9, 10.0.0.7"}
    behind.post("/api/v1/monitoring/enable/7", headers=headers)
    alone = make_viewer()
    alone.post("/api/v1/monitoring/enable/8", headers=headers)
    remote = {each["user_id"]: each["remote"] for each in alone.get("/api/v1/audit")["entries"]}
    # What stands before the nearest stranger may be anybody's invention.
    assert remote == {7: "203.0.113.9", 8: "127.0.0.1"}


def test_searches_say_what_was_searched(viewer: RunningViewer) -> None:
    viewer.get("/api/v1/monitoring/users", params={"q": "ada@"})
    viewer.get("/api/v1/flows", params={"q": "plan b", "user_id": "7"})
    viewer.get("/api/v1/activities/conversations", params={"mcp_server": "qa"})
    entries = viewer.get("/api/v1/audit")["entries"]
    assert [(each["action"], each["user_id"], each["detail"]["searched"]) for each in entries] == snapshot(
        [
            ("conversations_listed", None, {"mcp_server": "qa"}),
            ("flows_listed", 7, {"q": "plan b", "user_id": "7"}),
            ("users_searched", None, {"q": "ada@"}),
        ]
    )
    assert len(viewer.get("/api/v1/audit", params={"text": "plan b"})["entries"]) == 1


def test_several_users_are_named_in_a_search_and_in_what_they_share(
    viewer: RunningViewer, store: Store, postgres_dsn: str
) -> None:
    viewer.get("/api/v1/conversations", params={"user_id": ["7", "8"], "tool": ["a", "b"], "min_tokens": 0})
    entries = viewer.get("/api/v1/audit", params={"action": "conversations_listed"})["entries"]
    assert [entry["user_id"] for entry in entries] == [8, 7]
    for entry in entries:
        assert entry["detail"]["searched"] == {"user_id": "7, 8", "tool": "a, b", "min_tokens": 0}
    store(*(said(number, user_id) for number, user_id in enumerate(("7", "8"), 1)))
    for path in ("conversations/shared", "activities/conversation/shared", "flows/session/s1"):
        viewer.get(f"/api/v1/{path}")
        viewer.get(f"/api/v1/{path}")
    looks = "SELECT action, target_user, target FROM omni2.audit_log WHERE target IS NOT NULL ORDER BY id"
    assert [tuple(row.values()) for row in query(postgres_dsn, looks)] == [
        ("conversation_read", "7", "shared"),
        ("conversation_read", "8", "shared"),
        ("session_read", "7", "s1"),
        ("session_read", "8", "s1"),
    ]


def said(number: int, user_id: str) -> FlowPart:
    """A flow of a user with something that they said, in a conversation and a session that others have, too."""
    whose: dict[str, Any] = {"user_id": user_id, "session_id": "s1", "conversation_id": "shared"}
    message = Activity("user_message", NOON, {"message": f"question {number}"}, activity_id=f"a{number}", **whose)
    return part(number, [span(number)], activities=(message.to_bytes(),), identity=Identity(**whose))


def test_reading_the_log_and_the_list_of_the_watched_is_in_the_log(viewer: RunningViewer) -> None:
    viewer.get("/api/v1/monitoring/list")
    viewer.get("/api/v1/monitoring/list")
    viewer.get("/api/v1/audit", params={"user_id": "7", "actor": "ann", "text": "divorce"})
    entries = viewer.get("/api/v1/audit")["entries"]
    assert [(each["action"], each["user_id"], each["detail"].get("searched")) for each in entries] == [
        ("audit_read", 7, {"actor": "ann", "text": "divorce"}),
        ("monitoring_listed", None, None),
    ]


class Rows:
    """In place of the database: counts the rows that are written."""

    written = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Rows"]:
        yield self

    def sql(self, text: str) -> str:
        return text

    async def execute(self, text: str, *columns: list[Any]) -> None:
        self.written += len(columns[0])


@pytest.mark.anyio
async def test_the_same_look_is_one_row_for_as_long_as_is_said() -> None:
    now = 0.0
    rows: Any = Rows()
    audit = AuditLog(rows, lambda: now)
    flow, other = (Entry("ann", "token", "flow_read", target=target) for target in ("one", "other"))
    listed = Entry("ann", "token", "monitoring_listed")
    seen = []
    for moment in (0.0, 59.0, 60.0, 3599.0, 3600.0):
        now = moment
        await audit.record_access(flow, flow)
        await audit.record_access(listed, once_in=3600.0)
        seen.append(rows.written)
    assert seen == [2, 2, 3, 4, 5]
    await audit.record_access(flow, other)
    assert rows.written == 6


def test_who_reads_the_log_cannot_be_hidden(viewer: RunningViewer, postgres_dsn: str) -> None:
    add(postgres_dsn, 1, target="private")
    script(postgres_dsn, "ALTER TABLE omni2.audit_log ADD CHECK (action <> 'audit_read')")
    response = viewer.http.get("/api/v1/audit")
    assert response.status_code >= 500
    assert "private" not in response.text


def test_filters_are_answered_from_an_index(viewer: RunningViewer, postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        """
        INSERT INTO omni2.audit_log (at, actor, action, target_user)
        SELECT '2026-01-01'::timestamptz + n * interval '1 minute', 'ann', 'flow_read', n % 5000
        FROM generate_series(1, 50000) AS n;
        INSERT INTO omni2.audit_log (at, actor, action, target_user) VALUES ('2026-01-01', 'rare', 'rare', 'rare');
        ANALYZE omni2.audit_log;
        """,
    )
    for column in ("actor", "action", "target_user"):
        plan = value(
            postgres_dsn,
            f"EXPLAIN (FORMAT JSON) SELECT * FROM omni2.audit_log WHERE {column} = 'rare' "
            "AND (at, id) < (SELECT place.at, place.id FROM omni2.audit_log AS place WHERE place.id = 77) "
            "ORDER BY at DESC, id DESC LIMIT 100",
        )
        assert f'"audit_log_{column.removesuffix("_user")}"' in str(plan).replace("'", '"'), plan


def test_everybody_named_in_a_search_has_a_row_however_many_they_are(viewer: RunningViewer, postgres_dsn: str) -> None:
    """Long ids before the one that somebody is after must not push it out of the log."""
    fillers = [f"{number}-" + "x" * 100 for number in range(8)]
    for path, action in (("flows", "flows_listed"), ("conversations", "conversations_listed")):
        for person in ("7", "8"):
            viewer.get(f"/api/v1/{path}", params=[("user_id", each) for each in [*fillers, person]])
        rows = query(postgres_dsn, "SELECT target_user FROM omni2.audit_log WHERE action = $1", action)
        named = [row["target_user"] for row in rows]
        assert sorted(named) == sorted([*fillers, *fillers, "7", "8"])


def test_two_long_searches_that_begin_alike_are_two_rows(viewer: RunningViewer, postgres_dsn: str) -> None:
    long = [("session_id", f"{number}-" + "x" * 100) for number in range(8)]
    for session in ("one", "two", "two"):
        viewer.get("/api/v1/flows", params=[*long, ("session_id", session)])
    searched = (
        "SELECT detail -> 'searched' ->> 'search_hash' AS hash FROM omni2.audit_log WHERE action = 'flows_listed'"
    )
    hashes = [row["hash"] for row in query(postgres_dsn, searched)]
    assert len(set(hashes)) == len(hashes) == 2 and all(hashes)
