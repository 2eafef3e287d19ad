"""The list of conversations always says what its activities say."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.migrations.run import downgrade, upgrade
from tests.support.query import query, script, value

KEPT = """
    SELECT conversation_id, user_id, started_at, ended_at, activity_count, tool_calls, tokens, cost, mcp_servers
    FROM omni2.conversations ORDER BY 1
"""
COUNTED = """
    SELECT conversation_id,
           (array_agg(user_id ORDER BY sequence_num) FILTER (WHERE user_id IS NOT NULL))[1] AS user_id,
           min(created_at) AS started_at, max(created_at) AS ended_at, count(*)::int AS activity_count,
           count(*) FILTER (WHERE activity_type = 'mcp_tool_call')::int AS tool_calls,
           coalesce(sum((activity_data ->> 'tokens_used')::bigint), 0)::bigint AS tokens,
           sum((activity_data ->> 'cost')::double precision) AS cost,
           coalesce(array_agg(DISTINCT activity_data ->> 'mcp_server')
                    FILTER (WHERE activity_data ->> 'mcp_server' IS NOT NULL), '{}') AS mcp_servers
    FROM omni2.user_activities WHERE conversation_id IS NOT NULL GROUP BY 1 ORDER BY 1
"""


def test_a_conversation_is_summed_up(postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        """
        INSERT INTO omni2.user_activities
            (conversation_id, session_id, user_id, sequence_num, activity_type, activity_data) VALUES
            ('c', 's', 'ann', 1, 'user_message', '{"message": "What is the status of job XYZ?"}'),
            ('c', 's', 'ann', 2, 'mcp_tool_call', '{"mcp_server": "jobs", "tool_name": "get_job_status"}'),
            (NULL, 's', 'ann', 1, 'mcp_tool_call', '{"mcp_server": "lonely"}');
        INSERT INTO omni2.user_activities (conversation_id, activity_type, activity_data, sequence_num) VALUES
            ('c', 'mcp_tool_call', '{"mcp_server": "files"}', 3),
            ('c', 'assistant_response', '{"message": "75%", "tokens_used": 150, "cost": 0.25}', 4),
            ('c', 'assistant_response', '{"tokens_used": "unknown", "cost": null}', 5),
            ('c', 'user_message', '{"message": "Thanks"}', 6);
        """,
    )
    [row] = query(postgres_dsn, "SELECT * FROM omni2.conversations")
    assert {name: value for name, value in row.items() if name not in {"started_at", "ended_at"}} == snapshot(
        {
            "conversation_id": "c",
            "user_id": "ann",
            "session_id": "s",
            "title": "What is the status of job XYZ?",
            "activity_count": 6,
            "tool_calls": 2,
            "tokens": 150,
            "cost": 0.25,
            "mcp_servers": ["files", "jobs"],
        }
    )


def test_new_numbers_alone_do_not_touch_a_conversation(postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        "INSERT INTO omni2.user_activities (conversation_id, activity_type) VALUES ('c', 'user_message')",
    )
    before = query(postgres_dsn, "SELECT xmin::text FROM omni2.conversations")
    script(postgres_dsn, "UPDATE omni2.user_activities SET sequence_num = 7")
    assert query(postgres_dsn, "SELECT xmin::text FROM omni2.conversations") == before


conversations = st.sampled_from([None, "a", "b", "c"])
rows = st.fixed_dictionaries(
    {
        "conversation": conversations,
        "user": st.sampled_from([None, "ann"]),
        "type": st.sampled_from(["user_message", "mcp_tool_call"]),
        "data": st.sampled_from(["{}", '{"tokens_used": 3, "mcp_server": "x"}', '{"cost": 0.5, "mcp_server": "y"}']),
        "minutes": st.integers(0, 1000),
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.lists(rows, min_size=1, max_size=4)),
        st.tuples(st.just("delete"), conversations),
        st.tuples(st.just("move"), st.tuples(conversations, conversations)),
    ),
    max_size=8,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=steps)
def test_after_any_change_the_list_equals_a_fresh_count(postgres_dsn: str, steps: list[tuple[str, Any]]) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(postgres_dsn)
        try:
            await connection.execute("DELETE FROM omni2.user_activities")
            for number, (action, what) in enumerate(steps):
                await _change(connection, action, what, number)
        finally:
            await connection.close()

    asyncio.run(run())
    assert query(postgres_dsn, KEPT) == query(postgres_dsn, COUNTED)


async def _change(connection: asyncpg.Connection, action: str, what: Any, number: int) -> None:
    if action == "delete":
        await connection.execute(
            "DELETE FROM omni2.user_activities WHERE conversation_id IS NOT DISTINCT FROM $1", what
        )
    elif action == "move":
        await connection.execute(
            "UPDATE omni2.user_activities SET conversation_id = $2 WHERE conversation_id IS NOT DISTINCT FROM $1", *what
        )
    else:
        await connection.execute(
            "INSERT INTO omni2.user_activities "
            "(conversation_id, user_id, activity_type, activity_data, created_at, sequence_num) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::timestamptz[], $6::int[])",
            [row["conversation"] for row in what],
            [row["user"] for row in what],
            [row["type"] for row in what],
            [row["data"] for row in what],
            [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=row["minutes"]) for row in what],
            [number * 10 + place for place, _ in enumerate(what)],
        )


def test_titles_are_searchable_as_long_as_their_conversation_is_there(postgres_dsn: str) -> None:
    def found(text: str) -> list[str]:
        rows = query(
            postgres_dsn,
            "SELECT conversation_id FROM omni2.conversation_titles "
            "WHERE grams @> omni2.wanted_grams(omni2.search_words($1)) "
            "AND omni2.has_words(haystack, omni2.search_words($1)) ORDER BY 1",
            text,
        )
        return [row["conversation_id"] for row in rows]

    add = "INSERT INTO omni2.user_activities (conversation_id, activity_type, activity_data, sequence_num) VALUES "
    script(
        postgres_dsn,
        add
        + """
            ('c1', 'user_message', '{"message": "Où est le job XYZ?"}', 2),
            ('c1', 'user_message', '{"message": "b"}', 3),
            ('c2', 'user_message', '{"message": "任务的状态是什么"}', 1), ('c3', 'mcp_tool_call', '{}', 1)
        """,
    )
    assert found("ou job") == found("OÙ") == found("xyz job") == ["c1"]
    assert found("状态") == found("务") == ["c2"]
    assert found("") == ["c1", "c2"]
    script(postgres_dsn, add + """('c1', 'user_message', '{"message": "later"}', 9)""")
    assert found("later") == []
    script(postgres_dsn, "DELETE FROM omni2.user_activities WHERE conversation_id = 'c1' AND sequence_num < 9")
    assert (found("xyz"), found("later")) == ([], ["c1"])
    script(postgres_dsn, "DELETE FROM omni2.user_activities WHERE conversation_id IN ('c1', 'c2')")
    assert query(postgres_dsn, "SELECT * FROM omni2.conversation_titles") == []


def test_who_may_read_conversations_may_search_them_after_an_update(empty_postgres_dsn: str) -> None:
    upgrade(empty_postgres_dsn)
    downgrade(empty_postgres_dsn, to="0001")
    script(
        empty_postgres_dsn,
        "CREATE ROLE conversation_reader; GRANT SELECT ON omni2.conversations TO conversation_reader",
    )
    try:
        upgrade(empty_postgres_dsn)
        right = "SELECT has_table_privilege('conversation_reader', 'omni2.conversation_titles', 'SELECT')"
        assert value(empty_postgres_dsn, right) is True
    finally:
        script(empty_postgres_dsn, "DROP OWNED BY conversation_reader; DROP ROLE conversation_reader")


def test_titles_that_an_older_version_has_stored_are_set_right(empty_postgres_dsn: str) -> None:
    upgrade(empty_postgres_dsn)
    downgrade(empty_postgres_dsn, to="0005")
    script(
        empty_postgres_dsn,
        """
        INSERT INTO omni2.user_activities
            (conversation_id, sequence_num, activity_type, activity_data, created_at) VALUES
            ('repeats', 1, 'user_message', '{"message": "first"}', '2026-01-05 12:00Z'),
            ('repeats', 1, 'user_message', '{"message": "later"}', '2026-01-05 12:01Z'),
            ('counts', 1, 'user_message', '{"message": "as stored"}', '2026-01-05 12:00Z');
        UPDATE omni2.conversations SET title = 'later' WHERE conversation_id = 'repeats';
        """,
    )
    upgrade(empty_postgres_dsn)
    titles = query(empty_postgres_dsn, "SELECT conversation_id, title FROM omni2.conversations ORDER BY 1")
    assert [tuple(row.values()) for row in titles] == [("counts", "as stored"), ("repeats", "first")]
    haystacks = query(empty_postgres_dsn, "SELECT haystack FROM omni2.conversation_titles ORDER BY conversation_id")
    assert ["first" in row["haystack"] for row in haystacks] == [False, True]
