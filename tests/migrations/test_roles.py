"""A gateway's role without rights on tables can do its work, and nothing else."""

from collections.abc import Iterator

import asyncpg
import pytest

from spanflow.migrations.roles import grants
from spanflow.migrations.run import downgrade, upgrade
from tests.support.gateway_process import CHECKOUT
from tests.support.query import query, script, value

CLAIM = "SELECT * FROM omni2.claim_flow_keys(ARRAY['f'], ARRAY[now()])"
WRITE = "INSERT INTO omni2.interaction_flows (flow_id, start_key) SELECT flow_id, start_key FROM omni2.flow_keys"


@pytest.fixture
def dsn(postgres_dsn: str) -> Iterator[str]:
    roles = ("some_gateway", "some_viewer", "some_reader", "some_stranger")
    script(postgres_dsn, "".join(f"CREATE ROLE {role} LOGIN;" for role in roles))
    script(postgres_dsn, grants(gateway=roles[0], viewer=roles[1], reader=roles[2]))
    yield postgres_dsn
    script(postgres_dsn, "".join(f"DROP OWNED BY {role}; DROP ROLE {role};" for role in roles))


def as_role(dsn: str, role: str) -> str:
    return dsn.replace("postgres@", f"some_{role}@")


def test_a_gateway_writes_flows_and_activities_and_keeps_the_partitions(dsn: str) -> None:
    gateway = as_role(dsn, "gateway")
    query(gateway, CLAIM)
    script(gateway, WRITE)
    script(
        gateway,
        "INSERT INTO omni2.user_activities (conversation_id, activity_type) VALUES ('c', 'user_message');"
        "INSERT INTO omni2.user_directory (user_id) VALUES ('1') "
        "ON CONFLICT (user_id) DO UPDATE SET last_seen = now();"
        "INSERT INTO omni2.poison_records (kind, error, payload) VALUES ('flow', 'why', '')",
    )
    assert value(gateway, "SELECT omni2.ensure_flow_partitions(8)") == 4
    assert query(gateway, "SELECT * FROM omni2.drop_flow_partitions(90)") == []
    assert value(gateway, "SELECT omni2.expire_activities(365)") == 0
    assert value(gateway, "SELECT omni2.expire_flow_keys()") == 0
    assert value(gateway, "SELECT omni2.expire_poison_records(90)") == 0
    assert value(dsn, "SELECT activity_count FROM omni2.conversations") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE omni2.mine ()",
        "DROP TABLE omni2.interaction_flows",
        "DELETE FROM omni2.interaction_flows",
        "SELECT * FROM omni2.audit_log",
        "UPDATE omni2.omni2_config SET is_active = false",
        "UPDATE omni2.conversations SET tokens = 0",
    ],
)
def test_a_gateway_may_not(dsn: str, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        script(as_role(dsn, "gateway"), statement)


def test_a_viewer_only_appends_to_the_audit_log(dsn: str) -> None:
    viewer = as_role(dsn, "viewer")
    script(viewer, "INSERT INTO omni2.audit_log (actor, action) VALUES ('ann', 'read')")
    assert value(viewer, "SELECT actor FROM omni2.audit_log") == "ann"
    for statement in (
        "UPDATE omni2.audit_log SET actor = 'bob'",
        "DELETE FROM omni2.audit_log",
        "TRUNCATE omni2.audit_log",
        "INSERT INTO omni2.audit_log (id, actor, action) OVERRIDING SYSTEM VALUE VALUES (1, 'ann', 'x') "
        "ON CONFLICT (id) DO UPDATE SET actor = 'bob'",
        "ALTER TABLE omni2.audit_log DISABLE TRIGGER ALL",
        "SET spanflow.audit_expiry = 'omni2'; DELETE FROM omni2.audit_log",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            script(viewer, statement)
    assert value(dsn, "SELECT actor FROM omni2.audit_log") == "ann"


def test_even_the_owner_of_the_audit_log_removes_old_entries_only(dsn: str) -> None:
    old, fresh = "now() - interval '31 days'", "now()"
    for at in (old, fresh):
        script(dsn, f"INSERT INTO omni2.audit_log (at, actor, action) VALUES ({at}, 'ann', 'read')")
    for statement in (
        "UPDATE omni2.audit_log SET actor = 'bob'",
        "DELETE FROM omni2.audit_log",
        "TRUNCATE omni2.audit_log",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="neither changed nor removed"):
            script(dsn, statement)
    viewer = as_role(dsn, "viewer")
    for days in (29, 0, -1):
        with pytest.raises(asyncpg.RaiseError, match="30 days at least"):
            value(viewer, f"SELECT omni2.expire_audit_log({days})")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        value(as_role(dsn, "gateway"), "SELECT omni2.expire_audit_log(30)")
    assert value(viewer, "SELECT omni2.expire_audit_log(30, dry_run => true)") == 1
    assert value(viewer, "SELECT omni2.expire_audit_log(30)") == 1
    assert value(viewer, "SELECT omni2.expire_audit_log(30)") == 0
    assert value(dsn, "SELECT count(*) FROM omni2.audit_log") == 1


def test_a_viewer_archives(dsn: str) -> None:
    viewer = as_role(dsn, "viewer")
    query(viewer, CLAIM)
    script(viewer, WRITE)
    script(viewer, "UPDATE omni2.interaction_flows SET user_id = '7'")
    script(viewer, "INSERT INTO omni2.poison_records (kind, error, payload) VALUES ('flow', 'why', '')")


#: What the viewer counts from flows, and counts again when they change.
COUNTED_AGAIN = {"step_statistics", "flow_statistics", "changed_periods"}
#: What people make, and remove again, by its API.
MADE_BY_PEOPLE = {"alert_rules", "alert_channels", "flow_notes", "saved_filters"}


def test_a_viewer_deletes_only_statistics_and_what_people_make(dsn: str) -> None:
    tables = query(dsn, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'omni2'")
    assert len(tables) > 10
    for table in tables:
        name = table["tablename"]
        for statement in ("DELETE FROM omni2.{}", "TRUNCATE omni2.{} CASCADE"):
            if name in COUNTED_AGAIN | MADE_BY_PEOPLE and statement.startswith("DELETE"):
                script(as_role(dsn, "viewer"), statement.format(name))
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                script(as_role(dsn, "viewer"), statement.format(name))


def test_a_viewer_forgets_only_tokens_that_are_too_old_anyway(dsn: str) -> None:
    """Whoever could remove the others would undo sign-outs."""
    for token, end in (("old", "now() - interval '61 minutes'"), ("new", "now() + interval '1 hour'")):
        script(dsn, f"INSERT INTO omni2.spent_tokens VALUES ('{token}', 's', {end})")
    viewer = as_role(dsn, "viewer")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        script(viewer, "UPDATE omni2.spent_tokens SET expires_at = '-infinity'")
    assert value(viewer, "SELECT omni2.expire_spent_tokens()") == 1
    assert value(dsn, "SELECT string_agg(token_hash::text, ',') FROM omni2.spent_tokens") == "\\x6e6577"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        value(as_role(dsn, "gateway"), "SELECT omni2.expire_spent_tokens()")


@pytest.mark.parametrize("column", ["at", "id", "written_by"])
def test_a_viewer_cannot_choose_when_or_by_which_role_an_entry_of_the_audit_log_was_written(
    dsn: str, column: str
) -> None:
    forged = {"at": "now() - interval '1 year'", "id": "1", "written_by": "'some_gateway'"}[column]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        script(
            as_role(dsn, "viewer"),
            f"INSERT INTO omni2.audit_log (actor, action, {column}) OVERRIDING SYSTEM VALUE "
            f"VALUES ('ann', 'read', {forged})",
        )
    script(as_role(dsn, "viewer"), "INSERT INTO omni2.audit_log (actor, action) VALUES ('ann', 'read')")
    assert value(dsn, "SELECT written_by FROM omni2.audit_log") == "some_viewer"


def test_migrating_narrows_the_rights_that_a_viewer_was_given_before(empty_postgres_dsn: str) -> None:
    dsn, everything = empty_postgres_dsn, "some_admin"
    upgrade(dsn)
    downgrade(dsn, to="0002")
    script(dsn, f"CREATE ROLE some_viewer LOGIN; CREATE ROLE {everything} LOGIN")
    try:
        script(
            dsn,
            "GRANT USAGE ON SCHEMA omni2 TO some_viewer; GRANT SELECT ON ALL TABLES IN SCHEMA omni2 TO some_viewer;"
            "GRANT INSERT, UPDATE, DELETE ON omni2.interaction_flows, omni2.flow_keys, omni2.user_activities, "
            "omni2.user_directory, omni2.poison_records, omni2.omni2_config, omni2.spent_tokens TO some_viewer;"
            "GRANT INSERT ON omni2.audit_log TO some_viewer;"
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA omni2 TO some_viewer;"
            f"GRANT USAGE ON SCHEMA omni2 TO {everything}; GRANT ALL ON ALL TABLES IN SCHEMA omni2 TO {everything}",
        )
        script(as_role(dsn, "viewer"), "DELETE FROM omni2.interaction_flows")
        upgrade(dsn)
        test_a_viewer_archives(dsn)
        test_a_viewer_deletes_only_statistics_and_what_people_make(dsn)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            script(as_role(dsn, "viewer"), "INSERT INTO omni2.audit_log (actor, action, at) VALUES ('a', 'b', now())")
        assert value(as_role(dsn, "viewer"), "SELECT omni2.expire_spent_tokens()") == 0
        script(as_role(dsn, "admin"), "DELETE FROM omni2.user_activities")
        downgrade(dsn, to="0002")
        script(as_role(dsn, "viewer"), "DELETE FROM omni2.spent_tokens")
    finally:
        for role in ("some_viewer", everything):
            script(dsn, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_reader_reads_also_from_partitions_that_come_later(dsn: str) -> None:
    query(dsn, CLAIM)
    script(dsn, WRITE)
    value(dsn, "SELECT omni2.ensure_flow_partitions(9)")
    assert value(as_role(dsn, "reader"), "SELECT count(*) FROM omni2.interaction_flows") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        script(as_role(dsn, "reader"), WRITE)


@pytest.mark.parametrize(
    "call", ["ensure_flow_partitions()", "drop_flow_partitions(1)", "expire_activities(1)", "expire_flow_keys()"]
)
def test_a_stranger_may_not_call_what_changes_tables(dsn: str, call: str) -> None:
    script(dsn, "GRANT USAGE ON SCHEMA omni2 TO some_stranger")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        script(as_role(dsn, "stranger"), f"SELECT omni2.{call}")


def test_a_function_of_somebody_else_is_never_taken_for_the_servers_own(dsn: str) -> None:
    """What runs with its owner's rights looks names up where only the owner can put them."""
    loose = query(
        dsn,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'omni2'::regnamespace AND prosecdef "
        "AND NOT coalesce(proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false)",
    )
    assert loose == []


def test_a_role_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no name for SQL"):
        grants(gateway='x"; DROP TABLE y; --')


def test_the_documentation_shows_what_is_granted() -> None:
    page = (CHECKOUT / "docs" / "database.md").read_text(encoding="utf-8")
    shown = page.split("```sql\n")[1].split("```")[0]
    assert shown == grants(
        gateway="spanflow_gateway", viewer="spanflow_viewer", reader="spanflow_reader", eraser="spanflow_eraser"
    )
