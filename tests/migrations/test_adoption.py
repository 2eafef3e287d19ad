"""Tables that a gateway had before Spanflow: every row stays, and is found."""

import time
from typing import Any

import orjson
import pytest
from dirty_equals import IsStr
from inline_snapshot import snapshot

from spanflow.migrations.run import current, downgrade, upgrade
from tests.support.query import query, script, value

#: As the first version of such a gateway makes them: numbers for users, uuids for sessions, times without a zone.
OLD_TABLES = """
    CREATE SCHEMA omni2;
    CREATE TABLE omni2.users (id serial PRIMARY KEY, email text);
    INSERT INTO omni2.users (email) VALUES ('ann@example.com'), ('bob@example.com');
    CREATE TABLE omni2.interaction_flows (
        id bigserial PRIMARY KEY,
        session_id uuid NOT NULL,
        user_id integer NOT NULL REFERENCES omni2.users (id),
        conversation_id uuid,
        flow_data jsonb NOT NULL,
        created_at timestamp NOT NULL DEFAULT now(),
        completed_at timestamp,
        source varchar(20) DEFAULT 'chat',
        note text
    );
    CREATE INDEX interaction_flows_user ON omni2.interaction_flows (user_id);
    CREATE INDEX interaction_flows_session ON omni2.interaction_flows (session_id);
    CREATE TABLE omni2.user_activities (
        activity_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        conversation_id uuid NOT NULL,
        session_id uuid NOT NULL,
        user_id integer NOT NULL,
        sequence_num integer NOT NULL,
        activity_type varchar(50) NOT NULL,
        activity_data jsonb NOT NULL,
        duration_ms integer,
        created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX idx_activities_conversation ON omni2.user_activities (conversation_id, sequence_num);
    CREATE INDEX idx_activities_user ON omni2.user_activities (user_id);
    CREATE TABLE omni2.omni2_config (
        id serial PRIMARY KEY,
        config_key varchar(100) UNIQUE NOT NULL,
        config_value jsonb NOT NULL,
        description text,
        is_active boolean DEFAULT true,
        created_at timestamp DEFAULT now(),
        updated_at timestamp DEFAULT now()
    );
"""
START = 1_738_156_800.0
EVENTS: list[dict[str, Any]] = [
    {"node_id": "n1", "event_type": "auth_check", "parent_id": None, "timestamp": START, "status": "passed"},
    {"node_id": "n2", "event_type": "llm_thinking", "parent_id": "n1", "timestamp": START + 0.1},
    {
        "node_id": "n3",
        "event_type": "tool_call",
        "parent_id": "n2",
        "timestamp": START + 0.2,
        "mcp": "qa_mcp",
        "tool": "list_snapshots",
        "duration_ms": 150,
    },
    {"node_id": "n4", "event_type": "llm_complete", "parent_id": "n2", "timestamp": START + 1.5, "tokens": 120},
]
SESSION = "11111111-2222-3333-4444-555555555555"
CONVERSATION = "99999999-2222-3333-4444-555555555555"


def json(document: object) -> str:
    return orjson.dumps(document).decode()


def old_flow(dsn: str, document: object, *, created: str = "2025-01-29 13:20:02", done: str | None = None) -> None:
    query(
        dsn,
        "INSERT INTO omni2.interaction_flows (session_id, user_id, conversation_id, flow_data, created_at, "
        "completed_at, note) VALUES ($1, 1, $2, $3, $4::text::timestamp, $5::text::timestamp, 'kept') RETURNING id",
        SESSION,
        CONVERSATION,
        json(document),
        created,
        done,
    )


@pytest.fixture
def old_dsn(any_postgres_dsn: str) -> str:
    script(any_postgres_dsn, OLD_TABLES)
    return any_postgres_dsn


def test_an_old_flow_gets_its_summary_from_its_events(old_dsn: str) -> None:
    old_flow(old_dsn, {"events": EVENTS}, done="2025-01-29 13:20:02")
    upgrade(old_dsn, adopt=True)
    [row] = query(
        old_dsn,
        "SELECT flow_id, start_key::text, started_at::text, ended_at::text, session_id, user_id, conversation_id, "
        "source, created_at::text, completed_at::text, duration_ms, outcome, gate, reason, error_count, span_count, "
        "checkpoint_count, tokens_out, event_types, tools, mcp_servers, complete, complete_why, legacy "
        "FROM omni2.interaction_flows",
    )
    assert row == snapshot(
        {
            "flow_id": IsStr(regex="[0-9a-f]{32}"),
            "start_key": "2025-01-29 13:20:00+00",
            "started_at": "2025-01-29 13:20:00+00",
            "ended_at": "2025-01-29 13:20:02+00",
            "session_id": "11111111-2222-3333-4444-555555555555",
            "user_id": "1",
            "conversation_id": "99999999-2222-3333-4444-555555555555",
            "source": "chat",
            "created_at": "2025-01-29 13:20:02+00",
            "completed_at": "2025-01-29 13:20:02+00",
            "duration_ms": 1500.0,
            "outcome": "ok",
            "gate": None,
            "reason": None,
            "error_count": 0,
            "span_count": 4,
            "checkpoint_count": 4,
            "tokens_out": 120,
            "event_types": ["auth_check", "llm_complete", "llm_thinking", "tool_call"],
            "tools": ["list_snapshots"],
            "mcp_servers": ["qa_mcp"],
            "complete": True,
            "complete_why": "legacy",
            "legacy": '{"id": 1, "note": "kept"}',
        }
    )
    stored = value(old_dsn, "SELECT flow_data FROM omni2.interaction_flows")
    assert orjson.loads(stored) == {"events": EVENTS}
    assert query(old_dsn, "SELECT flow_id, start_key::text FROM omni2.flow_keys") == [
        {"flow_id": row["flow_id"], "start_key": row["start_key"]}
    ]
    found = "SELECT count(*) FROM omni2.interaction_flows WHERE search @@ plainto_tsquery('simple', 'List_Snapshots')"
    assert value(old_dsn, found) == 1


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(
            [{"event_type": "block_check", "status": "blocked", "reason": "on the list"}],
            ("denied", "block_check", "on the list", 0),
            id="denied",
        ),
        pytest.param([{"event_type": "error", "error": "boom"}], ("error", None, None, 1), id="error"),
        pytest.param([{"event_type": "llm_thinking"}], ("interrupted", None, None, 0), id="never ended"),
    ],
)
def test_an_old_flow_has_an_outcome(old_dsn: str, events: object, expected: object) -> None:
    old_flow(old_dsn, {"events": events})
    upgrade(old_dsn, adopt=True)
    [row] = query(old_dsn, "SELECT outcome, gate, reason, error_count FROM omni2.interaction_flows")
    assert tuple(row.values()) == expected


ODD_DOCUMENTS: list[object] = [
    {},
    {"events": None},
    {"events": {"no": "list"}},
    {"events": ["text", 1, None, []]},
    {"events": [{"event_type": 5, "timestamp": "yesterday", "tokens": "many", "duration_ms": -1}]},
    {"events": [{"event_type": "x", "timestamp": 1e300, "tokens": 1e300, "duration_ms": 1e300}]},
    {"events": [{"event_type": "x", "text": "long " * 40_000}]},
    [],
    EVENTS,
    None,
    "text",
    '{"events": []}',
    17,
    True,
]


def test_a_row_is_kept_whatever_it_holds(old_dsn: str) -> None:
    for document in ODD_DOCUMENTS:
        old_flow(old_dsn, document)
    upgrade(old_dsn, adopt=True)
    kinds = query(old_dsn, "SELECT jsonb_typeof(flow_data) AS kind FROM omni2.interaction_flows")
    assert [row["kind"] for row in kinds] == ["object"] * len(ODD_DOCUMENTS)
    downgrade(old_dsn)
    assert value(old_dsn, "SELECT count(*) FROM omni2.interaction_flows") == len(ODD_DOCUMENTS)


def test_rows_of_any_time_are_kept_and_those_of_the_past_share_a_partition(old_dsn: str) -> None:
    for created in (
        "1999-12-31",
        "2025-06-01",
        "infinity",
        "-infinity",
        "2199-01-01",
        str(value(old_dsn, "SELECT now()")),
    ):
        old_flow(old_dsn, {"events": []}, created=created)
    upgrade(old_dsn, adopt=True)
    homes = query(old_dsn, "SELECT tableoid::regclass::text AS home FROM omni2.interaction_flows")
    assert sorted(home["home"].split(".")[1][:24] for home in homes) == snapshot(
        [
            "interaction_flows_legacy",
            "interaction_flows_legacy",
            "interaction_flows_w20261",
            "interaction_flows_w20261",
            "interaction_flows_w20261",
            "interaction_flows_w20261",
        ]
    )


def test_columns_of_other_types_are_read_as_well(any_postgres_dsn: str) -> None:
    script(
        any_postgres_dsn,
        """
        CREATE SCHEMA omni2;
        CREATE TABLE omni2.interaction_flows (session_id text, user_id text, flow_data text, created_at timestamptz);
        INSERT INTO omni2.interaction_flows VALUES
            ('s', 'ann', '{"events": [{"event_type": "error"}]}', '2025-01-01'), ('t', NULL, 'no json', NULL);
        CREATE TABLE omni2.user_activities (
            id bigserial PRIMARY KEY, conversation_id text, activity_type text, activity_data json
        );
        INSERT INTO omni2.user_activities (conversation_id, activity_type, activity_data)
            VALUES ('c', 'user_message', '{"message": "hello"}');
        CREATE TABLE omni2.omni2_config (config_key text, config_value jsonb);
        INSERT INTO omni2.omni2_config VALUES ('monitor_user_1', '{"reason": "x"}'), ('plain', '"on"');
        """,
    )
    upgrade(any_postgres_dsn, adopt=True)
    assert query(
        any_postgres_dsn, "SELECT session_id, user_id, outcome, flow_data FROM omni2.interaction_flows ORDER BY 1"
    ) == snapshot(
        [
            {
                "session_id": "s",
                "user_id": "ann",
                "outcome": "error",
                "flow_data": '{"events": [{"event_type": "error"}]}',
            },
            {
                "session_id": "t",
                "user_id": None,
                "outcome": "interrupted",
                "flow_data": '{"events": [], "unreadable": "no json"}',
            },
        ]
    )
    assert query(any_postgres_dsn, "SELECT activity_id, sequence_num, own_number FROM omni2.user_activities") == [
        {"activity_id": "1", "sequence_num": 0, "own_number": False}
    ]
    assert query(any_postgres_dsn, "SELECT config_key, config_value FROM omni2.omni2_config ORDER BY 1") == [
        {"config_key": "monitor_user_1", "config_value": '{"reason": "x"}'},
        {"config_key": "plain", "config_value": '"on"'},
    ]
    downgrade(any_postgres_dsn)
    assert query(any_postgres_dsn, "SELECT id, activity_data FROM omni2.user_activities") == [
        {"id": 1, "activity_data": '{"message": "hello"}'}
    ]


@pytest.mark.parametrize("flows", [3_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_many_flows_are_adopted_in_seconds_and_come_back(empty_postgres_dsn: str, flows: int) -> None:
    dsn = empty_postgres_dsn
    script(dsn, OLD_TABLES)
    script(
        dsn,
        "INSERT INTO omni2.interaction_flows (session_id, user_id, flow_data, created_at, completed_at) "
        "SELECT md5((n / 3)::text)::uuid, 1 + n % 2, "
        f"jsonb_build_object('session_id', n, 'events', '{json(EVENTS)}'::jsonb), "
        "now() - n * interval '2 minutes', now() - n * interval '2 minutes' "
        f"FROM generate_series(1, {flows}) AS n",
    )
    digest = "SELECT md5(string_agg(md5(f::text), '' ORDER BY id)) FROM omni2.interaction_flows AS f"
    before = value(dsn, digest)
    began = time.monotonic()
    upgrade(dsn, adopt=True)
    assert time.monotonic() - began < 60
    assert value(dsn, "SELECT count(*) FROM omni2.interaction_flows") == flows
    assert value(dsn, "SELECT count(*) FROM omni2.flow_keys") == flows
    script(dsn, "ANALYZE omni2.interaction_flows")
    for question in FIRST_BLOCK:
        plan = "\n".join(row["QUERY PLAN"] for row in query(dsn, f"EXPLAIN {question}"))
        # A partition without rows is read through, which costs nothing.
        assert "Seq Scan on interaction_flows_legacy" not in plan, f"{question}\n{plan}"
        assert len(query(dsn, question)) > 0
    downgrade(dsn)
    assert value(dsn, digest) == before


#: What dashboards have asked the old table since before Spanflow.
FIRST_BLOCK = (
    "SELECT session_id, flow_data, created_at, completed_at FROM omni2.interaction_flows "
    "WHERE user_id = '2' ORDER BY start_key DESC, flow_id DESC LIMIT 50",
    "SELECT session_id, user_id, flow_data, created_at, completed_at FROM omni2.interaction_flows "
    "WHERE session_id = md5('7')::uuid::text ORDER BY start_key",
    "SELECT session_id, min(started_at), sum(span_count) FROM omni2.interaction_flows "
    "WHERE session_id = md5('9')::uuid::text GROUP BY session_id",
)


def test_old_activities_and_configuration_are_adopted(old_dsn: str) -> None:
    script(
        old_dsn,
        f"""
        INSERT INTO omni2.user_activities
            (conversation_id, session_id, user_id, sequence_num, activity_type, activity_data, created_at) VALUES
            ('{CONVERSATION}', '{SESSION}', 1, 1, 'user_message', '{{"message": "status of job XYZ?"}}', '2025-01-01'),
            ('{CONVERSATION}', '{SESSION}', 1, 2, 'mcp_tool_call', '{{"mcp_server": "informatica_mcp"}}', '2025-01-01'),
            ('{CONVERSATION}', '{SESSION}', 1, 3, 'assistant_response', '{{"tokens_used": 150}}', '2025-01-02');
        INSERT INTO omni2.omni2_config (config_key, config_value, description)
            VALUES ('monitoring', '{{"enabled": true}}', 'what is watched');
        """,
    )
    upgrade(old_dsn, adopt=True)
    [conversation] = query(old_dsn, "SELECT * FROM omni2.conversations")
    assert conversation == snapshot(
        {
            "conversation_id": "99999999-2222-3333-4444-555555555555",
            "user_id": "1",
            "session_id": "11111111-2222-3333-4444-555555555555",
            "title": "status of job XYZ?",
            "started_at": conversation["started_at"],
            "ended_at": conversation["ended_at"],
            "activity_count": 3,
            "tool_calls": 1,
            "tokens": 150,
            "cost": None,
            "mcp_servers": ["informatica_mcp"],
        }
    )
    assert query(old_dsn, "SELECT config_key, config_value, description, is_active FROM omni2.omni2_config") == [
        {
            "config_key": "monitoring",
            "config_value": '{"enabled": true}',
            "description": "what is watched",
            "is_active": True,
        }
    ]
    assert query(old_dsn, "SELECT table_name, row_count FROM omni2.adoptions ORDER BY 1") == [
        {"table_name": "interaction_flows", "row_count": 0},
        {"table_name": "omni2_config", "row_count": 1},
        {"table_name": "user_activities", "row_count": 3},
    ]
    indexes = (
        "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'omni2' AND indexname LIKE 'idx\\_activities\\_%'"
    )
    ours = [row["indexname"] for row in query(old_dsn, indexes) if not row["indexname"].endswith("__old")]
    assert sorted(ours) == snapshot(
        [
            "idx_activities_conversation",
            "idx_activities_created",
            "idx_activities_mcp_server",
            "idx_activities_session",
            "idx_activities_type",
            "idx_activities_user",
        ]
    )


def test_a_gateway_of_old_goes_on_writing_into_adopted_tables(old_dsn: str) -> None:
    """Until it is replaced: its statements name the types of their values, as its database layer does."""
    upgrade(old_dsn, adopt=True)
    for _ in range(2):
        script(
            old_dsn,
            f"""
            INSERT INTO omni2.interaction_flows (session_id, user_id, flow_data, completed_at)
                VALUES ('{SESSION}'::uuid, 1::integer, '{{"events": []}}'::jsonb, now()::timestamp);
            INSERT INTO omni2.user_activities
                (conversation_id, session_id, user_id, sequence_num, activity_type, activity_data)
                VALUES ('{CONVERSATION}'::uuid, '{SESSION}'::uuid, 1::integer, 1, 'user_message', '{{}}'::jsonb);
            """,
        )
    assert value(old_dsn, "SELECT count(DISTINCT flow_id) FROM omni2.interaction_flows WHERE user_id = '1'") == 2
    assert value(old_dsn, "SELECT activity_count FROM omni2.conversations") == 2


def test_going_down_gives_the_old_tables_back_as_they_were(old_dsn: str) -> None:
    old_flow(old_dsn, {"events": EVENTS}, done="2025-01-29 13:20:02")
    script(
        old_dsn,
        f"""
        INSERT INTO omni2.user_activities (conversation_id, session_id, user_id, sequence_num, activity_type,
            activity_data) VALUES ('{CONVERSATION}', '{SESSION}', 1, 1, 'user_message', '{{}}');
        INSERT INTO omni2.omni2_config (config_key, config_value) VALUES ('a', '1');
        """,
    )
    tables = ("interaction_flows", "user_activities", "omni2_config")
    shape = """
        SELECT relname::text, pg_get_constraintdef(c.oid), conname::text FROM pg_constraint c
        JOIN pg_class ON pg_class.oid = conrelid
        WHERE connamespace = 'omni2'::regnamespace AND contype <> 'n' AND conname NOT LIKE 'spanflow%' ORDER BY 3
    """
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'omni2' AND indexname !~ '^spanflow' ORDER BY 1"

    def all_of_it() -> list[Any]:
        return [query(old_dsn, f"SELECT * FROM omni2.{table}") for table in tables] + [
            query(old_dsn, shape),
            query(old_dsn, indexes),
        ]

    before = all_of_it()
    upgrade(old_dsn, adopt=True)
    downgrade(old_dsn)
    assert all_of_it() == before
    upgrade(old_dsn, adopt=True)
    assert value(old_dsn, "SELECT count(*) FROM omni2.interaction_flows") == 1
    old = "INSERT INTO omni2.interaction_flows_before_spanflow (session_id, user_id, flow_data) VALUES ($1, 1, '{}')"
    query(old_dsn, old + " RETURNING id", SESSION)  # its sequence went on: no number comes twice


@pytest.mark.parametrize(
    ("obstacle", "said"),
    [
        ("CREATE VIEW omni2.recent AS SELECT session_id FROM omni2.interaction_flows", "view omni2.recent"),
        (
            "CREATE TABLE omni2.feedback (flow bigint REFERENCES omni2.interaction_flows (id))",
            "foreign key feedback_flow_fkey of omni2.feedback",
        ),
    ],
)
def test_what_depends_on_an_old_table_stops_the_migration_and_is_named(old_dsn: str, obstacle: str, said: str) -> None:
    script(old_dsn, obstacle)
    old_flow(old_dsn, {"events": []})
    with pytest.raises(Exception, match=f"cannot be adopted while others depend on it: {said}"):
        upgrade(old_dsn, adopt=True)
    assert value(old_dsn, "SELECT count(*) FROM omni2.interaction_flows") == 1
    assert current(old_dsn) is None


def test_a_configuration_of_other_types_stops_the_migration(any_postgres_dsn: str) -> None:
    script(
        any_postgres_dsn, "CREATE SCHEMA omni2; CREATE TABLE omni2.omni2_config (config_key text, config_value text)"
    )
    with pytest.raises(Exception, match="these columns have other types than settings need: config_value is text"):
        upgrade(any_postgres_dsn, adopt=True)
    assert current(any_postgres_dsn) is None


def test_two_rows_of_one_configuration_key_stop_the_migration(any_postgres_dsn: str) -> None:
    script(
        any_postgres_dsn,
        "CREATE SCHEMA omni2; CREATE TABLE omni2.omni2_config (config_key text, config_value jsonb);"
        "INSERT INTO omni2.omni2_config VALUES ('a', '1'), ('a', '2'), ('b', '3')",
    )
    with pytest.raises(Exception, match="these keys have more than one row: a"):
        upgrade(any_postgres_dsn, adopt=True)


def test_who_could_use_an_old_table_can_use_the_new_one(empty_postgres_dsn: str) -> None:
    script(empty_postgres_dsn, OLD_TABLES)
    script(empty_postgres_dsn, "CREATE ROLE old_app; GRANT SELECT, INSERT ON omni2.interaction_flows TO old_app")
    try:
        upgrade(empty_postgres_dsn, adopt=True)
        rights = "SELECT has_table_privilege('old_app', 'omni2.interaction_flows', $1)"
        assert [value(empty_postgres_dsn, rights, right) for right in ("SELECT", "INSERT", "UPDATE")] == [
            True,
            True,
            False,
        ]
    finally:
        script(empty_postgres_dsn, "DROP OWNED BY old_app; DROP ROLE old_app")
