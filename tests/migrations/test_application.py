"""An application that traced itself before Spanflow keeps its tables, its types and every statement of its."""

import asyncio
import time
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from spanflow.migrations.roles import grants
from spanflow.migrations.run import downgrade, upgrade
from tests.support.own_trackers import TABLES, Synchronous, event
from tests.support.query import query, script, value

OURS = "spanflow"


@pytest.fixture
def application(any_postgres_dsn: str) -> Synchronous:
    script(any_postgres_dsn, TABLES)
    return Synchronous(any_postgres_dsn)


def shape(dsn: str) -> list[Any]:
    """Everything that the application has of tables: columns, types, defaults, constraints, indexes, triggers."""
    return [
        query(
            dsn,
            "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text, column_default::text "
            "FROM information_schema.columns WHERE table_schema = 'omni2' ORDER BY table_name, ordinal_position",
        ),
        query(dsn, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'omni2' ORDER BY 1"),
        query(
            dsn,
            "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'omni2'::regnamespace ORDER BY 1",
        ),
        query(
            dsn,
            "SELECT tgname::text FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
            "WHERE relnamespace = 'omni2'::regnamespace AND NOT tgisinternal",
        ),
    ]


def chat(application: Synchronous, user_id: int = 1, source: str = "chat") -> tuple[UUID, UUID]:
    """A turn that the application traces itself: its session and conversation."""
    session, conversation, now = uuid4(), uuid4(), time.time()
    number = application.next_number(conversation)
    application.save_activity(conversation, session, user_id, number, "user_message", {"message": "hello"})
    application.save_activity(
        conversation, session, user_id, number + 1, "mcp_tool_call", {"mcp_server": "qa_mcp", "tool_name": "list"}
    )
    events = [
        event("auth_check", now - 2, status="passed"),
        event("tool_call", now - 1, mcp="qa_mcp", tool="list"),
        event("llm_complete", now, tokens=12),
    ]
    application.save_flow(session, user_id, events, conversation_id=conversation, source=source)
    return session, conversation


def everything(application: Synchronous) -> None:
    """Every way in which the application uses its tables, and what it must find."""
    session, conversation = chat(application)
    assert application.next_number(conversation) == 3
    assert [row[:4] for row in application.conversations(1) if row[0] == conversation] == [(conversation, 1, 2, 1)]
    assert [row[1] for row in application.activities(conversation)] == [1, 2]
    flow = application.flow_of_session(str(session))
    assert (flow[0], flow[1], len(flow[2]["events"])) == (session, 1, 3)
    application.save_flow(session, 1, [*flow[2]["events"], event("tool_call", time.time(), mcp="qa_mcp")])
    assert len((application.flow_of_session(str(session)))[2]["events"]) == 4
    assert [row[0] for row in application.flows_of(1)][0] == session
    assert (application.flows_of(1, "chat"))[0][4] == "chat"
    assert sum(row[2] for row in application.tool_calls()) >= 2
    assert [row[0] for row in application.team_calls()] == ["research"]
    assert [row[0] for row in application.sources()] == ["chat"]

    health = application.configuration("health_check")
    assert health is not None and health.id == 1 and health.config_value["interval_seconds"] == 60
    key = f"setting_{session}"
    added = application.configure(key, {"enabled": False})
    assert isinstance(added, int) and added > 2
    application.set_flag(key, "enabled", True)
    changed = application.configuration(key)
    assert changed is not None and changed.config_value == {"enabled": True}
    application.reconfigure(key, {"enabled": None})
    application.forget(key)
    assert application.configuration(key) is None

    until = application.watch(2)
    assert (application.watched())[2] == until
    application.unwatch(2)
    assert 2 not in application.watched()


def test_its_statements_work_before_and_after_and_when_spanflow_has_gone(application: Synchronous) -> None:
    before = shape(application.dsn)
    everything(application)
    upgrade(application.dsn, OURS)
    everything(application)
    assert shape(application.dsn)[:3] == before[:3]
    downgrade(application.dsn, OURS)
    assert shape(application.dsn) == before
    everything(application)
    upgrade(application.dsn, OURS)
    everything(application)


def test_what_it_wrote_before_and_writes_now_is_found_in_ours(application: Synchronous) -> None:
    old, old_conversation = chat(application)
    query(application.dsn, "UPDATE omni2.interaction_flows SET created_at = now() - interval '70 days' RETURNING 1")
    upgrade(application.dsn, OURS)
    new, new_conversation = chat(application, 2, "mcp_gateway")
    for session, user, source in ((old, "1", "chat"), (new, "2", "mcp_gateway")):
        [row] = query(
            application.dsn,
            "SELECT user_id, source, outcome, tools, tokens_out, duration_ms, checkpoint_count "
            "FROM spanflow.interaction_flows WHERE session_id = $1",
            str(session),
        )
        assert row["duration_ms"] == pytest.approx(2000, abs=1)
        del row["duration_ms"]
        assert list(row.values()) == [user, source, "ok", ["list"], 12, 3]
    counts = "SELECT activity_count FROM spanflow.conversations WHERE conversation_id = $1"
    assert [value(application.dsn, counts, str(each)) for each in (old_conversation, new_conversation)] == [2, 2]
    assert value(application.dsn, "SELECT count(*) FROM spanflow.poison_records") == 0
    application.save_flow(new, 2, [event("error", time.time(), error="broken")])
    outcomes = "SELECT outcome FROM spanflow.interaction_flows WHERE session_id = $1"
    assert [row["outcome"] for row in query(application.dsn, outcomes, str(new))] == ["error"]
    script(application.dsn, "DELETE FROM omni2.interaction_flows; DELETE FROM omni2.user_activities")
    assert value(application.dsn, "SELECT count(*) FROM spanflow.interaction_flows") == 0
    assert value(application.dsn, "SELECT count(*) FROM spanflow.conversations") == 0


def test_both_read_and_write_one_table_of_settings(application: Synchronous) -> None:
    upgrade(application.dsn, OURS)
    until = application.watch(2)
    stored = "SELECT config_value FROM spanflow.omni2_config WHERE config_key = 'monitor_user_2'"
    assert str(until)[:12] in value(application.dsn, stored)
    script(
        application.dsn,
        "INSERT INTO spanflow.omni2_config (config_key, config_value, description, is_active) "
        """VALUES ('monitor_user_1', '{"expires_at": 9999999999}', 'Watched user', true) """
        "ON CONFLICT (config_key) DO UPDATE SET config_value = excluded.config_value, is_active = true",
    )
    assert (application.watched())[1] == 9999999999
    application.unwatch(1)
    assert application.configure("next", {}) > 2


def test_a_watch_that_has_ended_begins_anew_by_the_applications_own_statement(application: Synchronous) -> None:
    upgrade(application.dsn, OURS)
    application.watch(1)
    script(application.dsn, "UPDATE spanflow.omni2_config SET is_active = false WHERE config_key = 'monitor_user_1'")
    assert application.watched() == {}
    until = application.watch(1)
    assert application.watched() == {1: until}


def test_a_fault_of_ours_never_fails_a_statement_of_the_application(application: Synchronous) -> None:
    upgrade(application.dsn, OURS)
    script(
        application.dsn,
        "ALTER TABLE spanflow.interaction_flows ADD CONSTRAINT broken CHECK (source <> 'chat') NOT VALID",
    )
    script(
        application.dsn, "ALTER TABLE spanflow.user_activities ADD CONSTRAINT broken CHECK (user_id <> '1') NOT VALID"
    )
    session, conversation = chat(application)
    assert application.flow_of_session(str(session)) is not None
    assert len(application.activities(conversation)) == 2
    assert query(application.dsn, "SELECT kind, count(*) FROM spanflow.poison_records GROUP BY 1 ORDER BY 1") == [
        {"kind": "application activity", "count": 2},
        {"kind": "application flow", "count": 1},
    ]


def test_its_writers_do_not_wait_for_ours(application: Synchronous) -> None:
    upgrade(application.dsn, OURS)
    session, _ = chat(application)

    async def while_ours_is_locked() -> float:
        blocker = await asyncpg.connect(application.dsn)
        try:
            async with blocker.transaction():
                await blocker.execute("LOCK TABLE spanflow.flow_keys IN ACCESS EXCLUSIVE MODE")
                began = time.monotonic()
                await application.application.save_flow(session, 1, [])
                return time.monotonic() - began
        finally:
            await blocker.close()

    assert asyncio.run(while_ours_is_locked()) < 2
    assert value(application.dsn, "SELECT sqlstate FROM spanflow.poison_records") == "55P03"


def test_its_tables_in_our_schema_stop_the_migration(application: Synchronous) -> None:
    chat(application)
    before = shape(application.dsn)
    with pytest.raises(Exception, match=r"omni2\.interaction_flows belongs to an application"):
        upgrade(application.dsn, "omni2")
    assert shape(application.dsn) == before
    everything(application)


def test_converted_tables_leave_its_configuration_as_it_is(application: Synchronous) -> None:
    before = shape(application.dsn)
    chat(application)
    upgrade(application.dsn, "omni2", adopt=True)
    health = application.configuration("health_check")
    assert health is not None and health.id == 1
    assert application.configure("added", {}) == 3
    until = application.watch(1)
    assert application.watched() == {1: until}
    downgrade(application.dsn, "omni2")
    after = shape(application.dsn)
    assert [[row for row in part if "spanflow_schema_version" not in str(row)] for part in after] == before
    everything(application)


#: As the first versions left an installation: the application's settings set aside, empty, and their rows in ours.
SET_ASIDE = """
    ALTER TABLE omni2.omni2_config RENAME TO omni2_config_before_spanflow;
    ALTER INDEX omni2.omni2_config_pkey RENAME TO omni2_config_pkey__old;
    CREATE TABLE omni2.omni2_config (
        config_key text PRIMARY KEY, config_value jsonb, description text, is_active boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(), legacy jsonb
    );
    INSERT INTO omni2.omni2_config (config_key, config_value, legacy)
        SELECT config_key, config_value, jsonb_build_object('id', id) FROM omni2.omni2_config_before_spanflow;
    TRUNCATE omni2.omni2_config_before_spanflow;
    INSERT INTO omni2.omni2_config (config_key, config_value) VALUES ('monitor_user_2', '{"expires_at": 9999999999}');
"""


def test_an_installation_that_had_set_the_settings_aside_gives_them_back(application: Synchronous) -> None:
    before = shape(application.dsn)
    upgrade(application.dsn, "omni2", adopt=True)
    downgrade(application.dsn, "omni2", "0003")
    script(application.dsn, SET_ASIDE)
    upgrade(application.dsn, "omni2")
    health = application.configuration("health_check")
    assert health is not None and health.id == 1
    assert application.configure("added", {}) == 4
    assert application.watched() == {2: 9999999999}
    downgrade(application.dsn, "omni2")
    assert [
        [row for row in part if "spanflow_schema_version" not in str(row)] for part in shape(application.dsn)
    ] == before


def test_an_installation_in_a_schema_of_its_own_connects_when_it_moves_forward(application: Synchronous) -> None:
    upgrade(application.dsn, OURS, legacy_schema="")
    session, _ = chat(application)
    script(
        application.dsn,
        "INSERT INTO spanflow.omni2_config (config_key, config_value) "
        """VALUES ('monitor_user_1', '{"expires_at": 9999999999}')""",
    )
    downgrade(application.dsn, OURS, "0003")
    upgrade(application.dsn, OURS)
    found = "SELECT count(*) FROM spanflow.interaction_flows WHERE session_id = $1"
    assert value(application.dsn, found, str(session)) == 1
    assert application.watched() == {1: 9999999999}
    everything(application)


def test_only_one_spanflow_is_connected_with_an_application(application: Synchronous) -> None:
    upgrade(application.dsn, OURS)
    with pytest.raises(Exception, match="is kept in step with a Spanflow in another schema already"):
        upgrade(application.dsn, "second")
    upgrade(application.dsn, "second", legacy_schema="")
    everything(application)


@pytest.mark.parametrize("schema", [OURS, "omni2"])
def test_a_viewers_role_needs_no_right_of_the_applications(empty_postgres_dsn: str, schema: str) -> None:
    script(empty_postgres_dsn, TABLES)
    application = Synchronous(empty_postgres_dsn)
    upgrade(empty_postgres_dsn, schema, adopt=True)
    script(empty_postgres_dsn, "CREATE ROLE watcher")
    try:
        script(empty_postgres_dsn, grants(schema, viewer="watcher"))
        script(
            empty_postgres_dsn,
            f"""
            SET ROLE watcher;
            INSERT INTO {schema}.omni2_config (config_key, config_value, description, is_active)
                VALUES ('monitor_user_1', '{{"expires_at": 9999999999}}', 'Watched user', true)
                ON CONFLICT (config_key) DO UPDATE SET config_value = excluded.config_value, is_active = true;
            SELECT * FROM {schema}.omni2_config WHERE is_active FOR UPDATE;
            """,
        )
        assert application.watched() == {1: 9999999999}
    finally:
        script(empty_postgres_dsn, "DROP OWNED BY watcher; DROP ROLE watcher")
