"""With many people and conversations, every list and page reads few rows, by indexes."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from spanflow.viewer_api.store.conversations import MAX_COUNT, ConversationFilters, ConversationStore
from spanflow.viewer_api.store.user_totals import UserTotals
from spanflow.viewer_api.store.users import UserStore
from tests.support.plans import ExplainedDatabase, explained
from tests.support.query import query, script, value

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 6, 1, tzinfo=UTC)
#: A conversation a minute, of a hundred people; every thousandth says something rare and lasts for a week.
CONVERSATIONS = """
INSERT INTO omni2.conversations (conversation_id, user_id, title, started_at, ended_at, activity_count, tool_calls,
                                 tokens, mcp_servers)
SELECT 'c' || n, 'u' || n % 100, CASE WHEN n % 1000 = 0 THEN 'a rare wörd ' ELSE 'what is the status ' END || n,
       timestamptz '2026-06-01Z' - n * interval '1 minute',
       timestamptz '2026-06-01Z' - n * interval '1 minute'
           + CASE WHEN n % 1000 = 0 THEN interval '7 days' ELSE interval '5 minutes' END,
       4, n % 7, n % 1000, ARRAY[CASE WHEN n % 1000 = 0 THEN 'rare_mcp' ELSE 'qa_mcp' END]
FROM generate_series(1, {rows}) AS n;
ANALYZE omni2.conversations, omni2.conversation_titles;
"""
PEOPLE = """
DROP INDEX omni2.user_directory_grams;
INSERT INTO omni2.user_directory (user_id, email, full_name, last_seen)
SELECT 'u' || n, md5(n::text) || '@example.com', 'Person ' || n, timestamptz '2026-06-01Z' - n * interval '1 second'
FROM generate_series(1, {rows}) AS n;
CREATE INDEX user_directory_grams ON omni2.user_directory USING gin (grams);
ANALYZE omni2.user_directory;
"""
#: Flows of the hundred people.
FLOWS = """
INSERT INTO omni2.interaction_flows (flow_id, start_key, started_at, ended_at, user_id, session_id, conversation_id,
                                     outcome, duration_ms, tools)
SELECT md5(n::text), at, at, at + interval '1 second', 'u' || n % 100, 's' || n % 500, 'c' || n % 1000, 'ok', n,
       ARRAY['list']
FROM generate_series(1, {rows}) AS n, LATERAL (SELECT now() - n * interval '1 second' AS at) AS moments;
ANALYZE omni2.interaction_flows;
"""


async def few_rows_for_every_question(dsn: str, conversations: int, flows: int) -> None:
    async with explained(dsn) as database:
        await lists_of_conversations(database, conversations)
        await pages_of_people(database, flows // 100)


async def lists_of_conversations(database: ExplainedDatabase, many: int) -> None:
    store, read = ConversationStore(database), database.readings
    half, rare = NOW - timedelta(minutes=many // 2), many // 1000
    questions: list[tuple[ConversationFilters, int]] = [
        (ConversationFilters(), 50),
        (ConversationFilters(user_ids=("u7",)), 50),
        (ConversationFilters(user_ids=("u7", "u8", "u9")), 2500),
        (ConversationFilters(user_ids=("nobody",)), 0),
        (ConversationFilters(visible=frozenset({"u7"})), 50),
        (ConversationFilters(until=half), 50),
        (ConversationFilters(since=half, until=half + timedelta(hours=1)), 200),
        (ConversationFilters(since=NOW - timedelta(minutes=55)), 200),
        (ConversationFilters(mcp_servers=("qa_mcp",)), 100),
        (ConversationFilters(mcp_servers=("rare_mcp",)), 2 * rare),
        (ConversationFilters(tools=("never",)), 0),
        (ConversationFilters(min_tool_calls=6), 500),
        (ConversationFilters(text="status"), 200),
        # Two thousand of the newest are looked through, then the index is asked.
        (ConversationFilters(text="rare WORD"), 2500 + 5 * rare),
        (ConversationFilters(text=f"word {rare // 2 * 1000}"), 2500 + 5 * rare),
        (ConversationFilters(text="word", user_ids=("u0",)), 5000 + 5 * rare),
        (ConversationFilters(text="word", since=half + timedelta(days=1)), 5000 + 5 * rare),
    ]
    for filters, bound in questions:
        read.clear()
        first = await store.page(filters, None, 50)
        assert read.rows <= bound, (filters, read)
        assert read.whole == set(), (filters, read)
        if len(first) == 50:
            read.clear()
            last = first[-1]
            await store.page(filters, (last["started_at"], last["conversation_id"]), 50)
            assert read.rows <= bound, ("second page", filters, read)
            assert read.whole == set(), ("second page", filters, read)
    # Far back, a page costs what the first one costs.
    read.clear()
    await store.page(ConversationFilters(), (NOW - timedelta(minutes=many - 100), ""), 50)
    assert (read.rows <= 200, read.indexes) == (True, {"conversations_started"})
    counted = await store.count(ConversationFilters(mcp_servers=("rare_mcp",)))
    assert (counted.value, counted.kind) == (many // 1000, "exact")
    everything = await store.count(ConversationFilters())
    assert everything.value == min(many, MAX_COUNT)
    read.clear()
    assert (await store.estimate(ConversationFilters())).value == pytest.approx(many, rel=0.1)
    assert read.rows == 0


async def pages_of_people(database: ExplainedDatabase, flows_of_one: int) -> None:
    """Of each flow of the time range one row is read, and of others none."""
    read, totals = database.readings, UserTotals(database)
    now = datetime.now(UTC)
    await totals.totals("u7", now - timedelta(days=30), now)
    await totals.recent_flows("u7", 10)
    await totals.recent_sessions("u7", 10)
    await ConversationStore(database).turns("c7", None, None, 200)
    await UserStore(database).names_of(["u7", "nobody"])
    assert read.whole == set()
    # Twice where a bitmap names them first.
    assert read.rows <= 2 * flows_of_one + 1500, read


def people_are_found_by_index(dsn: str, many: int) -> None:
    """The function's own statements cannot be explained from outside: the server's counters tell."""
    scans = "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables WHERE relname = 'user_directory'"
    flush = "SELECT pg_stat_force_next_flush()"
    before = value(dsn, scans)
    needle = value(dsn, "SELECT substr(md5($1::text), 3, 12)", str(many - 5))
    for q in (needle, "example.com", f"person {many - 7}", "no such person", "zz", "pe", f"u{many - 9}"):
        (looked_up,) = query(dsn, "SELECT array_agg(user_id) AS ids FROM omni2.search_users($1, 20)", q)
        if q == needle:
            assert looked_up["ids"] == [f"u{many - 5}"]
    query(dsn, flush)
    assert value(dsn, scans) == before


async def test_few_rows_are_read_of_many(postgres_dsn: str) -> None:
    many = 20_000
    await asyncio.to_thread(_fill, postgres_dsn, many, many, many)
    await few_rows_for_every_question(postgres_dsn, many, many)


def test_people_are_found_among_many(postgres_dsn: str) -> None:
    script(postgres_dsn, PEOPLE.format(rows=20_000))
    people_are_found_by_index(postgres_dsn, 20_000)


@pytest.mark.long
async def test_few_rows_are_read_of_very_many(postgres_dsn: str) -> None:
    await asyncio.to_thread(_fill, postgres_dsn, 200_000, 1000, 1_000_000)
    await few_rows_for_every_question(postgres_dsn, 200_000, 1_000_000)


@pytest.mark.long
def test_people_are_found_among_a_million(postgres_dsn: str) -> None:
    script(postgres_dsn, PEOPLE.format(rows=1_000_000))
    people_are_found_by_index(postgres_dsn, 1_000_000)


def _fill(dsn: str, conversations: int, people: int, flows: int) -> None:
    script(dsn, CONVERSATIONS.format(rows=conversations))
    script(dsn, PEOPLE.format(rows=people))
    script(dsn, FLOWS.format(rows=flows))
