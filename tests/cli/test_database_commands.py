"""`spanflow migrate` and `spanflow retention`, as an operator or a DBA types them."""

import asyncio

import asyncpg

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
    assert (done.returncode, done.stdout) == (0, "Schema omni2: revision 0002 (was not there).\n"), done.stderr
    careless = spanflow("migrate", "--down", **there)
    assert careless.returncode == 1
    assert careless.stderr == (
        "spanflow: going back to 'base' deletes stored flows. Add --yes if that is what you want.\n"
    )
    meant = spanflow("migrate", "--down", "--yes", **there)
    assert (meant.returncode, meant.stdout) == (0, "Schema omni2: revision none (was 0002).\n"), meant.stderr


def test_the_schema_as_plain_sql_is_the_same_schema(empty_postgres_dsn: str) -> None:
    script = spanflow("migrate", "--sql", SPANFLOW_SCHEMA="tracing")
    assert script.returncode == 0, script.stderr
    # What follows is for psql alone: it builds indexes of tables that have rows.
    run_script(empty_postgres_dsn, script.stdout.partition("\\set QUIET")[0])
    done = spanflow("migrate", SPANFLOW_POSTGRES_DSN=empty_postgres_dsn, SPANFLOW_SCHEMA="tracing")
    assert (done.returncode, done.stdout) == (0, "Schema tracing: revision 0002.\n"), done.stderr


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
