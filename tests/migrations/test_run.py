"""Up, down, several at once, and the DBA's way."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from spanflow.migrations.run import current, downgrade, sql, upgrade
from spanflow.migrations.scripts import head
from tests.support.pgbouncer import needs_pgbouncer, pgbouncer
from tests.support.ports import free_port
from tests.support.query import query, script, value

TABLES = """
    SELECT c.relname::text AS name, c.relkind::text AS kind,
           (SELECT array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)::text[] AS columns
    FROM pg_class c WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY 1
"""


def test_an_empty_database_gets_every_table(any_postgres_dsn: str) -> None:
    upgrade(any_postgres_dsn)
    names = [row["name"] for row in query(any_postgres_dsn, TABLES, "omni2")]
    assert names == snapshot(
        [
            "adoptions",
            "alert_channels",
            "alert_deliveries",
            "alert_events",
            "alert_rounds",
            "alert_rules",
            "alert_states",
            "application_tables",
            "audit_log",
            "changed_periods",
            "conversation_titles",
            "conversations",
            "erased_flows",
            "erasures",
            "flow_keys",
            "flow_notes",
            "flow_statistics",
            "interaction_flows",
            "loss_reports",
            "omni2_config",
            "poison_records",
            "process_losses",
            "saved_filters",
            "share_links",
            "spanflow_schema_version",
            "spent_tokens",
            "step_statistics",
            "user_activities",
            "user_directory",
        ]
    )
    assert current(any_postgres_dsn) == head()


def test_going_up_twice_changes_nothing(any_postgres_dsn: str) -> None:
    upgrade(any_postgres_dsn)
    before = query(any_postgres_dsn, "SELECT oid, relname FROM pg_class ORDER BY oid")
    upgrade(any_postgres_dsn)
    assert query(any_postgres_dsn, "SELECT oid, relname FROM pg_class ORDER BY oid") == before


def test_going_down_leaves_only_the_version_table_and_up_works_again(any_postgres_dsn: str) -> None:
    upgrade(any_postgres_dsn)
    downgrade(any_postgres_dsn)
    assert [row["name"] for row in query(any_postgres_dsn, TABLES, "omni2")] == ["spanflow_schema_version"]
    assert query(any_postgres_dsn, "SELECT proname FROM pg_proc WHERE pronamespace = 'omni2'::regnamespace") == []
    assert current(any_postgres_dsn) is None
    upgrade(any_postgres_dsn)
    assert current(any_postgres_dsn) == head()


def test_a_database_without_the_schema_has_no_revision(empty_postgres_dsn: str) -> None:
    assert current(empty_postgres_dsn) is None
    downgrade(empty_postgres_dsn)
    assert query(empty_postgres_dsn, TABLES, "omni2") == []


def test_the_schema_can_be_another_one_and_two_live_side_by_side(empty_postgres_dsn: str) -> None:
    upgrade(empty_postgres_dsn, "Tracing_2")
    upgrade(empty_postgres_dsn)
    one, other = (query(empty_postgres_dsn, TABLES, schema) for schema in ('"Tracing_2"', "omni2"))
    assert one == other
    downgrade(empty_postgres_dsn, "Tracing_2")
    assert current(empty_postgres_dsn) == head()


@pytest.mark.parametrize("schema", ['omni2"; DROP TABLE x; --', "", "1st", "a-b", "x" * 64])
def test_a_schema_name_that_is_none_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="is no name for SQL"):
        sql(schema)


def test_an_alembic_version_of_the_application_is_left_alone(empty_postgres_dsn: str) -> None:
    script(
        empty_postgres_dsn,
        "CREATE SCHEMA omni2; CREATE TABLE omni2.alembic_version (version_num varchar(32));"
        "INSERT INTO omni2.alembic_version VALUES ('theirs')",
    )
    upgrade(empty_postgres_dsn)
    assert value(empty_postgres_dsn, "SELECT version_num FROM omni2.alembic_version") == "theirs"


def test_a_table_of_another_application_under_our_name_stops_the_migration(empty_postgres_dsn: str) -> None:
    script(empty_postgres_dsn, "CREATE SCHEMA omni2; CREATE TABLE omni2.audit_log (mine int)")
    with pytest.raises(Exception, match="relations of another application under names that Spanflow needs: audit_log"):
        upgrade(empty_postgres_dsn)
    assert [row["name"] for row in query(empty_postgres_dsn, TABLES, "omni2")] == ["audit_log"]


def test_a_role_without_rights_on_the_database_can_migrate_a_schema_that_it_owns(empty_postgres_dsn: str) -> None:
    script(
        empty_postgres_dsn,
        "CREATE ROLE migrator LOGIN; CREATE SCHEMA omni2 AUTHORIZATION migrator",
    )
    try:
        upgrade(empty_postgres_dsn.replace("postgres@", "migrator@"))
        assert current(empty_postgres_dsn) == head()
    finally:
        script(empty_postgres_dsn, "DROP OWNED BY migrator CASCADE; DROP ROLE migrator")


def test_five_processes_at_once_end_well(empty_postgres_dsn: str) -> None:
    program = "import sys; from spanflow.migrations.run import upgrade; upgrade(sys.argv[1])"
    processes = [subprocess.Popen([sys.executable, "-c", program, empty_postgres_dsn]) for _ in range(5)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 5
    assert current(empty_postgres_dsn) == head()
    assert value(empty_postgres_dsn, "SELECT count(*) FROM omni2.spanflow_schema_version") == 1


@pytest.mark.long
@needs_pgbouncer
def test_behind_pgbouncer_five_processes_at_once_end_well(
    empty_postgres_dsn: str, new_server_directory: Callable[[], Path]
) -> None:
    with pgbouncer(empty_postgres_dsn, new_server_directory()) as dsn:
        program = "import sys; from spanflow.migrations.run import upgrade; upgrade(sys.argv[1])"
        processes = [subprocess.Popen([sys.executable, "-c", program, dsn]) for _ in range(5)]
        assert [process.wait(timeout=60) for process in processes] == [0] * 5
        assert current(dsn) == head()
        downgrade(dsn)
        assert current(dsn) is None


def test_a_failed_migration_leaves_nothing(empty_postgres_dsn: str) -> None:
    script(empty_postgres_dsn, "CREATE SCHEMA omni2; CREATE VIEW omni2.interaction_flows AS SELECT 1 AS one")
    with pytest.raises(Exception, match="is no ordinary table and cannot be adopted"):
        upgrade(empty_postgres_dsn)
    assert current(empty_postgres_dsn) is None
    assert query(empty_postgres_dsn, TABLES, "omni2") == []


def test_a_server_that_is_not_there_is_said_soon() -> None:
    with pytest.raises(OSError):
        upgrade(f"postgresql://postgres@127.0.0.1:{free_port()}/postgres")


@pytest.mark.skipif(shutil.which("psql") is None, reason="no psql here to run the script with")
def test_the_plain_sql_gives_the_same_database_and_can_run_twice(any_postgres_dsn: str, tmp_path: Path) -> None:
    upgrade(any_postgres_dsn, "by_alembic")
    file = tmp_path / "spanflow.sql"
    file.write_text(sql("by_hand"))
    for _ in range(2):
        done = subprocess.run(
            ["psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--quiet", "--file", file, any_postgres_dsn],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for question in (TABLES, FUNCTIONS, INDEXES, PARTITIONS):
        assert query(any_postgres_dsn, question, "by_hand") == query(any_postgres_dsn, question, "by_alembic")
    assert current(any_postgres_dsn, "by_hand") == head()
    upgrade(any_postgres_dsn, "by_hand")


FUNCTIONS = """
    SELECT proname::text, pg_get_function_identity_arguments(oid), proacl IS NULL AS public,
           replace(prosrc, $1, '') AS body
    FROM pg_proc WHERE pronamespace = to_regnamespace($1) ORDER BY 1
"""
INDEXES = "SELECT replace(indexdef, $1, '') FROM pg_indexes WHERE schemaname = $1 ORDER BY 1"
PARTITIONS = """
    SELECT relname::text, pg_get_expr(relpartbound, oid) FROM pg_class
    WHERE relnamespace = to_regnamespace($1) AND relispartition AND relkind = 'r' ORDER BY 1
"""


def test_who_does_not_migrate_does_not_load_alembic() -> None:
    program = "import sys, spanflow.viewer_api.app; print(sorted({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", ""), (
        "a viewer would start a second later and hold thirty megabytes more"
    )
