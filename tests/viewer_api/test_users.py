"""Finding people, in the directory and in the deployment's own users; and the page about one of them."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from dirty_equals import IsApprox, IsStr
from inline_snapshot import snapshot

from spanflow.span_processors import names
from spanflow.span_processors.identity import Identity
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.people import VIEWER_7, VIEWER_8, WATCHMAN, ask, write_tokens
from tests.support.poll import eventually
from tests.support.query import query, script, value
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store

ISO = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PEOPLE = """
INSERT INTO omni2.user_directory (user_id, email, full_name, first_seen, last_seen) VALUES
    ('7', 'trinity@matrix.example', 'Trinity', '2026-01-01Z', '2026-01-07Z'),
    ('42', 'Neo@Matrix.example', 'Thomas A. Anderson', '2026-01-01Z', '2026-01-06Z'),
    ('josé', 'jose@example.es', 'José Ñuñez', '2026-01-01Z', '2026-01-05Z');
"""
OWN = """
CREATE SCHEMA auth_service;
CREATE TABLE auth_service.users (id {kind} PRIMARY KEY, email text, full_name text);
"""


@pytest.fixture
def directory(postgres_dsn: str) -> str:
    script(postgres_dsn, PEOPLE)
    return postgres_dsn


def found(viewer: RunningViewer, text: str, **more: Any) -> list[Any]:
    return [each["id"] for each in viewer.get("/api/v1/monitoring/users", params={"q": text, **more})["users"]]


def test_the_shape_that_existing_dashboards_fill_their_lists_from(viewer: RunningViewer, directory: str) -> None:
    assert viewer.get("/api/v1/monitoring/users") == snapshot(
        {
            "users": [
                {"id": 7, "email": "trinity@matrix.example", "full_name": "Trinity"},
                {"id": 42, "email": "Neo@Matrix.example", "full_name": "Thomas A. Anderson"},
                {"id": "josé", "email": "jose@example.es", "full_name": "José Ñuñez"},
            ]
        }
    )
    assert viewer.get("/api/v1/monitoring/users?q=TRIN") == snapshot(
        {"users": [{"id": 7, "email": "trinity@matrix.example", "full_name": "Trinity"}]}
    )


def test_whoever_fills_a_list_gets_more_than_whoever_types(viewer: RunningViewer, postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        "INSERT INTO omni2.user_directory (user_id, email) "
        "SELECT 'u' || n, 'u' || n || '@example.com' FROM generate_series(1, 1100) AS n",
    )
    for asked, count in (("", 1000), ("?q=example", 50), ("?q=example&limit=7", 7), ("?limit=100000", 1000)):
        assert len(viewer.get(f"/api/v1/monitoring/users{asked}")["users"]) == count, asked
    for wrong in ("limit=0", "limit=x", f"q={'x' * 201}"):
        response = viewer.http.get(f"/api/v1/monitoring/users?{wrong}")
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request"), wrong


HOSTILE = [
    "%",
    "_",
    "%%%",
    "\\",
    "\\%",
    "'; DROP TABLE users; --",
    '"',
    "$1",
    "{s}",
    "\x00",
    "a\x00b",
    "(",
    "[",
    "*",
    "\t",
]


def test_hostile_texts_find_what_they_say_and_nothing_more(make_viewer: MakeViewer, postgres_dsn: str) -> None:
    script(postgres_dsn, PEOPLE + OWN.format(kind="integer"))
    script(postgres_dsn, r"""INSERT INTO auth_service.users VALUES (1, '100%_\x@example.com', 'O''Brien "{s}"')""")
    viewer = make_viewer(users_view=("auth_service", "users"))
    for text in HOSTILE:
        assert set(found(viewer, text)) <= {1, 7, 42, "josé"}, text
    assert found(viewer, "100%_\\") == found(viewer, "%_\\x@") == found(viewer, 'o\'brien "{s}"') == [1]
    assert found(viewer, "100_") == found(viewer, "1%x") == []
    assert value(postgres_dsn, "SELECT count(*) FROM auth_service.users") == 1


# -- the deployment's own users ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["integer", "bigint", "text", "varchar(40)", "numeric"])
def test_the_deployments_own_users_win_and_nobody_is_listed_twice(
    make_viewer: MakeViewer, directory: str, kind: str
) -> None:
    script(directory, OWN.format(kind=kind))
    script(
        directory,
        """
        INSERT INTO auth_service.users VALUES
            (42, 'thomas@metacortex.example', NULL), (7, NULL, 'Trin Ity'), (99, 'Ünal@matrix.example', 'Ünal Öz')
        """,
    )
    viewer = make_viewer(users_view=("auth_service", "users"))
    assert viewer.get("/api/v1/monitoring/users?q=matrix")["users"] == [
        {"id": 7, "email": "trinity@matrix.example", "full_name": "Trin Ity"},
        # Found by the address that a gateway reported, shown with the one that counts.
        {"id": 42, "email": "thomas@metacortex.example", "full_name": "Thomas A. Anderson"},
        {"id": 99, "email": "Ünal@matrix.example", "full_name": "Ünal Öz"},
    ]
    assert found(viewer, "metacortex") == [42]
    assert found(viewer, "UNAL oz") == found(viewer, "99") == [99]
    assert found(viewer, "matrix", limit=2) == [7, 42]
    assert set(found(viewer, "")) == {7, 42, "josé", 99}
    viewer.post("/api/v1/monitoring/enable", [42, "josé"])
    listed = {each["user_id"]: each["email"] for each in viewer.get("/api/v1/monitoring/list")["monitored_users"]}
    assert listed == {42: "thomas@metacortex.example", "josé": "jose@example.es"}


def test_who_may_see_only_some_people_finds_only_those_in_both(
    make_viewer: MakeViewer, directory: str, tmp_path: Path
) -> None:
    script(directory, OWN.format(kind="integer"))
    script(
        directory,
        "INSERT INTO auth_service.users VALUES (8, 'eight@matrix.example'), (7, 'seven@matrix.example'), (9, 'nine')",
    )
    tokens = write_tokens(tmp_path / "tokens.toml", VIEWER_7, VIEWER_8, WATCHMAN)
    viewer = make_viewer(users_view=("auth_service", "users"), viewer_tokens_file=str(tokens))
    seen = {VIEWER_7.name: [7], VIEWER_8.name: [8], WATCHMAN.name: [7, 42, 8]}
    for person in (VIEWER_7, VIEWER_8, WATCHMAN):
        for q in ("matrix", "MATRIX.ex"):
            answer = ask(viewer, person, "GET", f"/api/v1/monitoring/users?q={q}").json()
            assert [each["id"] for each in answer["users"]] == seen[person.name]
    assert ask(viewer, VIEWER_7, "GET", "/api/v1/users/8").status_code == 403
    assert "watch" not in ask(viewer, VIEWER_7, "GET", "/api/v1/users/7").json()
    assert ask(viewer, WATCHMAN, "GET", "/api/v1/users/9").json()["email"] == "nine"


def test_ids_may_be_uuids_and_columns_may_be_called_anything(make_viewer: MakeViewer, directory: str) -> None:
    ada = "0b5a1f7e-6b1e-4f57-9f5f-0d3c1f2a4b5c"
    script(
        directory,
        f"""
        CREATE TABLE "Odd ""Users" ("The Id" uuid PRIMARY KEY, mail text);
        INSERT INTO "Odd ""Users" VALUES ('{ada}', 'ada@example.org'), (gen_random_uuid(), NULL);
        """,
    )
    viewer = make_viewer(users_view=('Odd "Users',), users_columns=("The Id", "mail", ""))
    assert viewer.get("/api/v1/monitoring/users?q=ada@")["users"] == [
        {"id": ada, "email": "ada@example.org", "full_name": None}
    ]
    assert viewer.get(f"/api/v1/users/{ada}")["email"] == "ada@example.org"
    assert found(viewer, "neo") == [42]


def test_rows_that_name_nobody_are_left_out(make_viewer: MakeViewer, directory: str) -> None:
    script(
        directory,
        """
        CREATE VIEW people AS SELECT * FROM (VALUES
            (NULL, 'a@rows.example', 'x'), ('', 'b@rows.example', 'x'), ('{a}', 'c@rows.example', 'x'),
            ('twice', 'd@rows.example', ''), ('twice', 'e@rows.example', 'x')) AS rows (id, email, full_name)
        """,
    )
    viewer = make_viewer(users_view=("people",))
    assert viewer.get("/api/v1/monitoring/users?q=rows")["users"] == [
        {"id": "twice", "email": "d@rows.example", "full_name": None}
    ]


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "spanflow.viewer_api.store.own_users"):
        yield caplog


def test_without_its_view_the_directory_answers_and_it_is_said_once(
    make_viewer: MakeViewer, directory: str, warnings: pytest.LogCaptureFixture
) -> None:
    script(directory, OWN.format(kind="integer") + "INSERT INTO auth_service.users VALUES (99, 'ünal@example.com')")
    viewer = make_viewer(users_view=("auth_service", "users"))
    assert found(viewer, "unal") == [99]
    script(directory, "ALTER TABLE auth_service.users RENAME TO gone")
    for _ in range(3):
        response = viewer.http.get("/api/v1/monitoring/users?q=neo")
        assert [each["id"] for each in response.json()["users"]] == [42]
        assert response.headers["X-Spanflow-Degraded"] == "users_view"
    assert warnings.text.count("SPANFLOW_USERS_VIEW cannot be read") == 1
    script(directory, "ALTER TABLE auth_service.gone RENAME TO users")
    own: Any = viewer.app.state.viewer.users.own
    own._again_at = 0.0
    response = viewer.http.get("/api/v1/monitoring/users?q=unal")
    assert [each["id"] for each in response.json()["users"]] == [99]
    assert "X-Spanflow-Degraded" not in response.headers
    assert "SPANFLOW_USERS_VIEW can be read again" in warnings.text


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (("missing",), 'there is no table or view "missing" in this database'),
        (("auth_service", "users"), '"auth_service"."users" has no column "full_name"; it has id, email'),
    ],
)
def test_what_is_wrong_with_the_view_is_known_from_the_start(
    make_viewer: MakeViewer, directory: str, warnings: pytest.LogCaptureFixture, view: tuple[str, ...], why: str
) -> None:
    script(directory, "CREATE SCHEMA auth_service; CREATE TABLE auth_service.users (id integer, email text)")
    viewer = make_viewer(users_view=view)
    assert eventually(lambda: viewer.app.state.viewer.users.view_problem) == why
    assert why in warnings.text
    assert found(viewer, "neo") == [42]


# -- one person --------------------------------------------------------------------------------------------------------


def one_flow(number: int, outcome: str = "ok", user_id: str = "7", **more: Any) -> Any:
    """A flow of `number` hours after noon."""
    start = NOON + number * 3600 * 1000 * MS
    attributes = {"flow.data.mcp": "qa_mcp", "flow.data.tool": "list_snapshots"}
    gate: dict[str, Any] = {"outcome": outcome, "status": "error"} if outcome in {"denied", "error"} else {}
    spans = [
        span(1, start_ns=start, end_ns=start + 1000 * MS, name="POST /ask", **gate),
        span(2, 1, start_ns=start, event_type="block_check" if outcome == "denied" else "tool_call", **gate)
        | ({"attributes": attributes} if outcome != "denied" else {}),
    ]
    who = Identity(user_id=user_id, session_id=f"s{number % 2}", conversation_id=f"c{number}", source="web")
    return part(1000 + number, spans, identity=who, **more)


def test_the_page_of_a_person(
    viewer: RunningViewer, directory: str, store: Store, make_flow: MakeFlow, redis_url: str
) -> None:
    store(one_flow(0), one_flow(1, "denied"), one_flow(2, "error"), one_flow(3, user_id="8"))
    viewer.post("/api/v1/monitoring/enable/7", {"reason": "ticket"})
    make_flow("7").step("auth", None, "auth_check")
    answer = viewer.get("/api/v1/users/7?since=2026-01-05&until=2026-01-05")
    flows = answer.pop("recent_flows")
    assert [each["outcome"] for each in flows] == ["error", "denied", "ok"]
    assert answer == snapshot(
        {
            "user_id": 7,
            "email": "trinity@matrix.example",
            "full_name": "Trinity",
            "team": None,
            "first_seen": "2026-01-01T00:00:00Z",
            "last_seen": "2026-01-07T00:00:00Z",
            "running_flows": 1,
            "since": "2026-01-05T00:00:00Z",
            "until": "2026-01-06T00:00:00Z",
            "totals": {
                "flows": 3,
                "partial": False,
                "errors": 1,
                "denied": 1,
                "cancelled": 0,
                "interrupted": 0,
                "denied_by_gate": {"block_check": 1},
                "tokens_input": 0,
                "tokens_output": 0,
                "cost": None,
                "sessions": 2,
                "conversations": 3,
                "p50_ms": 1000.0,
                "p95_ms": 1000.0,
                "sources": [{"name": "web", "flows": 3}],
                "tools": [{"name": "list_snapshots", "flows": 2}],
                "mcp_servers": [{"name": "qa_mcp", "flows": 2}],
                "models": [],
            },
            "recent_sessions": [
                {
                    "session_id": "s0",
                    "flows": 2,
                    "started_at": "2026-01-05T12:00:00Z",
                    "ended_at": "2026-01-05T14:00:01Z",
                    "errors": 1,
                    "denied": 0,
                },
                {
                    "session_id": "s1",
                    "flows": 1,
                    "started_at": "2026-01-05T13:00:00Z",
                    "ended_at": "2026-01-05T13:00:01Z",
                    "errors": 0,
                    "denied": 1,
                },
            ],
            "recent_conversations": [],
            "watch": {
                "user_id": 7,
                "expires_at": ISO,
                "seconds_left": IsApprox(86399, delta=5),
                "reason": "ticket",
                "by": "operator",
                "enabled_at": ISO,
                "metadata_only": False,
                "extensions": [],
                "email": "trinity@matrix.example",
                "full_name": "Trinity",
            },
        }
    )


def test_the_last_flows_of_a_person_are_what_they_asked_not_their_connections(
    viewer: RunningViewer, directory: str, store: Store
) -> None:
    def connection(number: int, **gate: Any) -> Any:
        start = NOON + number * 3600 * 1000 * MS
        spans = [
            span(1, start_ns=start, end_ns=start + 9000 * MS, name="WS /chat", **gate),
            span(2, 1, start_ns=start, event_type="auth_check", **gate),
        ]
        return part(2000 + number, spans, identity=Identity(user_id="7", session_id="s1", source="chat"))

    store(one_flow(0), connection(1), connection(2, outcome="denied", status="error"), connection(3))
    answer = viewer.get("/api/v1/users/7?since=2026-01-05&until=2026-01-05")
    flows = answer["recent_flows"]
    assert [(each["name"], each["outcome"]) for each in flows] == [("WS /chat", "denied"), ("POST /ask", "ok")]
    assert (answer["totals"]["flows"], answer["totals"]["denied"]) == (2, 1)


def test_a_range_of_which_nothing_is_there_adds_up_to_nothing(
    viewer: RunningViewer, directory: str, store: Store
) -> None:
    store(one_flow(0), one_flow(1, "denied"))
    nothing = viewer.get("/api/v1/users/7?since=2026-01-06")
    assert len(nothing["recent_flows"]) == 2
    assert nothing["totals"] == snapshot(
        {
            "flows": 0,
            "partial": False,
            "errors": 0,
            "denied": 0,
            "cancelled": 0,
            "interrupted": 0,
            "denied_by_gate": {},
            "tokens_input": 0,
            "tokens_output": 0,
            "cost": None,
            "sessions": 0,
            "conversations": 0,
            "p50_ms": None,
            "p95_ms": None,
            "sources": [],
            "tools": [],
            "mcp_servers": [],
            "models": [],
        }
    )
    assert viewer.get("/api/v1/users/7?since=2026-01-05T12:30:00Z&until=2026-01-06")["totals"]["flows"] == 1
    assert viewer.get("/api/v1/users/42")["totals"]["flows"] == 0


def test_who_was_never_seen_is_not_there(viewer: RunningViewer, make_flow: MakeFlow, redis_url: str) -> None:
    response = viewer.http.get("/api/v1/users/nobody")
    assert (response.status_code, response.json()["code"]) == (404, "user_not_found")
    make_flow("fresh").step("auth", None, "auth_check")
    fresh = viewer.get("/api/v1/users/fresh")
    assert (fresh["running_flows"], fresh["email"], fresh["last_seen"]) == (1, None, None)
    for path, code in {
        "users/%7B": "invalid_id",
        "users/fresh?since=soon": "invalid_request",
        "users/fresh?since=2026-01-02&until=2026-01-01T00:00:00Z": "invalid_request",
        "users/fresh?until=1970-01-01T00:00:00Z": None,
    }.items():
        assert viewer.http.get(f"/api/v1/{path}").json().get("code") == code, path
    with redis.Redis.from_url(redis_url) as client:
        client.delete(names.OPEN_FLOWS)
    assert viewer.http.get("/api/v1/users/fresh").status_code == 404


def test_looking_somebody_up_is_in_the_audit_log(viewer: RunningViewer, directory: str) -> None:
    for _ in range(2):
        found(viewer, "neo")
        found(viewer, "trin")
        viewer.get("/api/v1/users/7", headers={"X-Spanflow-Reason": "ticket"})
    looks = "SELECT action, target_user, reason, detail -> 'searched' ->> 'q' AS q FROM omni2.audit_log ORDER BY id"
    rows = query(directory, looks)
    assert [tuple(row.values()) for row in rows] == [
        ("users_searched", None, None, "neo"),
        ("users_searched", None, None, "trin"),
        ("user_read", "7", "ticket", None),
    ]
