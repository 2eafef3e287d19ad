"""`spanflow migrate` and `spanflow retention`, as an operator or a DBA types them."""

import asyncio

import asyncpg
from inline_snapshot import snapshot

from spanflow.migrations.scripts import head
from tests.support.own_trackers import TABLES
from tests.support.ports import free_port
from tests.support.spanflow_command import spanflow


def run_script(dsn: str, script: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    asyncio.run(run())


def test_migrate_says_what_it_did_and_going_back_must_be_meant(empty_postgres_dsn: str) -> None:
    there = {"SPANFLOW_POSTGRES_DSN": empty_postgres_dsn}
    done = spanflow("migrate", **there)
    assert (done.returncode, done.stdout) == (0, f"Schema omni2: revision {head()} (was not there).\n"), done.stderr
    careless = spanflow("migrate", "--down", **there)
    assert careless.returncode == 1
    assert careless.stderr == (
        "spanflow: going back to 'base' deletes stored flows. Add --yes if that is what you want.\n"
    )
    meant = spanflow("migrate", "--down", "--yes", **there)
    assert (meant.returncode, meant.stdout) == (0, f"Schema omni2: revision none (was {head()}).\n"), meant.stderr


def test_the_schema_as_plain_sql_is_the_same_schema(empty_postgres_dsn: str) -> None:
    script = spanflow("migrate", "--sql", SPANFLOW_SCHEMA="tracing")
    assert script.returncode == 0, script.stderr
    # What follows is for psql alone: it builds indexes of tables that have rows.
    run_script(empty_postgres_dsn, script.stdout.partition("\\set QUIET")[0])
    done = spanflow("migrate", SPANFLOW_POSTGRES_DSN=empty_postgres_dsn, SPANFLOW_SCHEMA="tracing")
    assert (done.returncode, done.stdout) == (0, f"Schema tracing: revision {head()}.\n"), done.stderr


def beginnings(output: str) -> list[str]:
    return [line[:70].rstrip() for line in output.replace(head(), "HEAD").splitlines()]


def test_check_says_what_happens_to_an_applications_tables_and_changes_nothing(empty_postgres_dsn: str) -> None:
    run_script(empty_postgres_dsn, TABLES)
    there = {"SPANFLOW_POSTGRES_DSN": empty_postgres_dsn}
    stopped = spanflow("migrate", "--check", **there)
    assert stopped.returncode == 1
    assert beginnings(stopped.stdout) == snapshot(
        [
            "Schema omni2: revision none; this version brings HEAD.",
            "refused  omni2.interaction_flows belongs to an application (session_id",
            "         Set SPANFLOW_SCHEMA=spanflow: its tables stay, and both are k",
            "change   omni2.omni2_config is used as it is: its columns, ids and row",
            "refused  omni2.user_activities belongs to an application (conversation",
            "         Set SPANFLOW_SCHEMA=spanflow: its tables stay, and both are k",
            "The migration would stop; nothing would change.",
        ]
    )
    refused = spanflow("migrate", **there)
    assert refused.returncode == 1
    assert "omni2.interaction_flows belongs to an application" in refused.stderr
    assert "SPANFLOW_SCHEMA=spanflow" in refused.stderr
    told = spanflow("migrate", "--check", "--adopt", **there)
    assert (told.returncode, "is converted" in told.stdout) == (0, True)
    beside = {**there, "SPANFLOW_SCHEMA": "spanflow"}
    amounts = "and the rows that are there already", "and about 2000 rows that are there already"
    assert spanflow("migrate", "--check", **beside).stdout.count(amounts[0]) == 2
    run_script(
        empty_postgres_dsn,
        "INSERT INTO omni2.interaction_flows (session_id, user_id, flow_data) "
        "SELECT gen_random_uuid(), 1, '{}' FROM generate_series(1, 2000); ANALYZE omni2.interaction_flows",
    )
    assert spanflow("migrate", "--check", **beside).stdout.count(amounts[1]) == 1
    planned = spanflow("migrate", "--check", **beside)
    assert planned.returncode == 0
    assert beginnings(planned.stdout) == snapshot(
        [
            "Schema spanflow: revision none; this version brings HEAD.",
            "change   omni2.interaction_flows stays as it is (session_id uuid, user",
            "change   omni2.omni2_config stays as it is and holds our settings too;",
            "change   omni2.user_activities stays as it is (conversation_id uuid, s",
            "Nothing stands in the way.",
        ]
    )
    assert spanflow("migrate", **beside).returncode == 0
    done = spanflow("migrate", "--check", **beside)
    assert beginnings(done.stdout) == snapshot(
        [
            "Schema spanflow: revision HEAD; this version brings HEAD.",
            "nothing  omni2.interaction_flows is kept in step with spanflow.interac",
            "nothing  omni2.omni2_config is kept in step with spanflow.omni2_config",
            "nothing  omni2.user_activities is kept in step with spanflow.user_acti",
            "Nothing stands in the way.",
        ]
    )
    doctor = spanflow("doctor", **beside).stdout
    assert "omni2.interaction_flows is kept in step with spanflow.interaction_flows" in doctor
    assert "columns of ours are text" in spanflow("doctor", **there).stdout


def test_retention_first_says_what_would_go(postgres_dsn: str) -> None:
    old = "INSERT INTO omni2.user_activities (user_id, activity_type, conversation_id, sequence_num, created_at) "
    run_script(postgres_dsn, old + "VALUES ('17', 'user_message', 'c1', 1, now() - interval '400 days')")
    there = {"SPANFLOW_POSTGRES_DSN": postgres_dsn}
    assert "Would delete 0 flow keys, 1 activities" in spanflow("retention", "--dry-run", **there).stdout
    assert "Deleted 0 flow keys, 1 activities" in spanflow("retention", **there).stdout
    assert "Deleted 0 flow keys, 0 activities" in spanflow("retention", **there).stdout


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    done = spanflow("migrate", SPANFLOW_POSTGRES_DSN=f"postgresql://me:hunter2@127.0.0.1:{free_port()}/flows")
    assert done.returncode == 1
    assert done.stderr.startswith("spanflow: PostgreSQL cannot be reached at postgresql://me:…@127.0.0.1:")
    assert done.stderr.endswith("Start it, or set SPANFLOW_POSTGRES_DSN.\n")
    assert "hunter2" not in done.stderr


def test_a_schema_that_is_not_there_leads_to_migrate(empty_postgres_dsn: str) -> None:
    done = spanflow("retention", SPANFLOW_POSTGRES_DSN=empty_postgres_dsn)
    assert done.returncode == 1
    assert done.stderr.startswith("spanflow: the schema omni2 is not there or too old (")
    assert done.stderr.endswith("). Run: spanflow migrate\n")
