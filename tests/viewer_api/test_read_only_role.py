"""What is only read about the past can go through a role that cannot write, with the rights that the docs give it."""

from collections.abc import Iterator

import asyncpg
import pytest

from spanflow.migrations.roles import grants
from spanflow.viewer_api.app import api_routes
from tests.support.flow_parts import part, span
from tests.support.query import query, script
from tests.viewer_api.conftest import MakeViewer, Store, of

FLOW = f"{1:032x}"
READS = (
    "flows",
    "flows?q=step&count=exact&user=ada",
    "flows?sort=tokens&count=estimated",
    "flows?verdict=bad",
    f"flows/compare?a={FLOW}&b={FLOW}",
    f"flows/previews?flow_id={FLOW}",
    "flows/differences?a.outcome=ok",
    f"flows/{FLOW}",
    f"flows/{FLOW}/tree",
    f"flows/{FLOW}/flat",
    f"flows/{FLOW}/usual",
    f"flows/{FLOW}/export",
    "export?format=json",
    "flows/user/7/sessions",
    "flows/session/s1",
    "monitoring/flows/7",
    "monitoring/flows/session/s1",
    "monitoring/users?q=ada",
    "activities/conversations",
    "activities/user/7",
)


@pytest.fixture
def reader_dsn(postgres_dsn: str) -> Iterator[str]:
    role = f"reader_{postgres_dsn.rpartition('/')[2]}"
    script(postgres_dsn, f"CREATE ROLE {role} LOGIN; {grants(reader=role)}")
    yield postgres_dsn.replace("postgres@", f"{role}@")
    script(postgres_dsn, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_every_read_of_the_past_goes_through_a_role_that_cannot_write(
    make_viewer: MakeViewer, store: Store, postgres_dsn: str, reader_dsn: str
) -> None:
    store(part(1, [span(1), span(2, 1, event_type="tool_call")], **of("s1")))
    viewer = make_viewer(viewer_read_dsn=reader_dsn)
    for path in READS:
        viewer.get(f"/api/v1/{path}")
    role = reader_dsn.partition("://")[2].partition("@")[0]
    seen = query(postgres_dsn, "SELECT DISTINCT application_name FROM pg_stat_activity WHERE usename = $1", role)
    assert [row["application_name"] for row in seen] == ["spanflow viewer reads"]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        script(reader_dsn, "DELETE FROM omni2.interaction_flows")
    # What is written, and what must not lag behind, goes the other way.
    viewer.post("/api/v1/monitoring/enable/7", {"reason": "r"})
    assert viewer.get("/api/v1/monitoring/list")["monitored_users"]
    assert viewer.get("/api/v1/audit")["entries"]
    assert viewer.http.get("/api/v1/users/7/export", headers={"X-Spanflow-Reason": "r"}).text.count("\n") > 3


def test_the_list_of_reads_knows_every_route_about_flows() -> None:
    paths = {route.path for route in api_routes() if route.path.startswith("/api/v1/flows")}
    known = {path.partition("?")[0].replace(FLOW, "{flow_id}").replace("user/7", "user/{user_id}") for path in READS}
    known = {f"/api/v1/{path.replace('session/s1', 'session/{session_id}')}" for path in known}
    # What operators add to flows is read where it is written.
    elsewhere = ("/activities", "/shares", "/notes", "/notes/{note_id}")
    assert {path for path in paths if not path.endswith(elsewhere)} <= known


def test_without_it_reads_are_transactions_that_cannot_write(make_viewer: MakeViewer, postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        """
        CREATE FUNCTION omni2.writes() RETURNS boolean LANGUAGE sql AS
            'INSERT INTO omni2.flow_keys VALUES (''x'', now()) RETURNING true';
        ALTER TABLE omni2.interaction_flows RENAME TO hidden;
        CREATE VIEW omni2.interaction_flows AS SELECT * FROM omni2.hidden WHERE omni2.writes();
        INSERT INTO omni2.hidden (user_id) VALUES ('7');
        """,
    )
    assert make_viewer().http.get("/api/v1/flows").status_code == 500
    assert query(postgres_dsn, "SELECT * FROM omni2.flow_keys") == []
