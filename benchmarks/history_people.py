"""Questions about people and conversations, what they are asked of, and how many rows the viewer may look at for each.

Conversations and people are made by the server itself, as many as are asked for.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from benchmarks.history_plans import Answer
from spanflow.viewer_api.store.conversations import ConversationFilters, ConversationStore
from spanflow.viewer_api.store.user_totals import UserTotals
from spanflow.viewer_api.store.users import UserStore
from tests.support.plans import ExplainedDatabase, Readings

NOW: Final = datetime(2026, 6, 1, tzinfo=UTC)
#: A conversation a minute, of a hundred users; every thousandth has a rare word and lasts for a week.
CONVERSATIONS: Final = """
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
PEOPLE: Final = """
DROP INDEX omni2.user_directory_grams;
INSERT INTO omni2.user_directory (user_id, email, full_name, last_seen)
SELECT 'u' || n, md5(n::text) || '@example.com', 'Person ' || n, timestamptz '2026-06-01Z' - n * interval '1 second'
FROM generate_series(1, {rows}) AS n;
CREATE INDEX user_directory_grams ON omni2.user_directory USING gin (grams);
ANALYZE omni2.user_directory;
"""
_READ_OF_PEOPLE: Final = """
SELECT coalesce(sum(seq_tup_read), 0)::bigint AS whole, coalesce(sum(idx_tup_fetch), 0)::bigint AS by_index
FROM pg_stat_user_tables WHERE schemaname = 'omni2' AND relname = 'user_directory'
"""
_FLOWS_OF_RANGE: Final = """
SELECT count(*) AS flows FROM {s}.interaction_flows
WHERE user_id = $1 AND start_key >= $2::timestamptz - interval '8 days'
  AND start_key < $3::timestamptz + interval '8 days'
"""


async def lists_of_conversations(database: ExplainedDatabase, many: int) -> list[Answer]:
    """What lists of `many` conversations read, first and second pages of fifty. Nearly all limits are the same however
    many there are; one in a thousand is rare, and to find rare ones by an index takes a few looks at each."""
    store, read = ConversationStore(database), database.readings
    half, rare = NOW - timedelta(minutes=many // 2), many // 1000
    questions: dict[str, tuple[ConversationFilters, int]] = {
        "all": (ConversationFilters(), 50),
        # Twice where a bitmap names them first.
        "of one person": (ConversationFilters(user_ids=("u7",)), 100),
        "of three people": (ConversationFilters(user_ids=("u7", "u8", "u9")), 2500),
        "of nobody": (ConversationFilters(user_ids=("nobody",)), 0),
        "of a visible person": (ConversationFilters(visible=frozenset({"u7"})), 100),
        "until": (ConversationFilters(until=half), 50),
        "an hour": (ConversationFilters(since=half, until=half + timedelta(hours=1)), 200),
        "since": (ConversationFilters(since=NOW - timedelta(minutes=55)), 200),
        "a server": (ConversationFilters(mcp_servers=("qa_mcp",)), 100),
        "a rare server": (ConversationFilters(mcp_servers=("rare_mcp",)), 2 * rare),
        "a tool that is nowhere": (ConversationFilters(tools=("never",)), 0),
        "many calls of tools": (ConversationFilters(min_tool_calls=6), 500),
        "a word": (ConversationFilters(text="status"), 200),
        # Two thousand of the newest are looked through, then the index is asked.
        "rare words": (ConversationFilters(text="rare WORD"), 2500 + 5 * rare),
        "words of one": (ConversationFilters(text=f"word {rare // 2 * 1000}"), 2500 + 5 * rare),
        "a rare word of one person": (ConversationFilters(text="word", user_ids=("u0",)), 5000 + 5 * rare),
        "a rare word since": (ConversationFilters(text="word", since=half + timedelta(days=1)), 5000 + 5 * rare),
    }
    found: list[Answer] = []
    for name, (filters, allowed) in questions.items():
        read.clear()
        first = await store.page(filters, None, 50)
        found.append(_answer(f"conversations: {name}, first", read, allowed))
        if len(first) == 50:
            read.clear()
            last = first[-1]
            await store.page(filters, (last["started_at"], last["conversation_id"]), 50)
            found.append(_answer(f"conversations: {name}, second", read, allowed))
    # Far back, a page costs what the first one costs.
    read.clear()
    await store.page(ConversationFilters(), (NOW - timedelta(minutes=many - 100), ""), 50)
    found.append(_answer("conversations: all, deep", read, 200))
    return found


async def page_of_person(database: ExplainedDatabase, user_id: str, conversation_id: str) -> list[Answer]:
    """What a user's page reads, and a conversation's."""
    read, totals, now = database.readings, UserTotals(database), datetime.now(UTC)
    since = now - timedelta(days=30)
    (counted,) = await database.fetch(_FLOWS_OF_RANGE, user_id, since, now)
    found: list[Answer] = []
    read.clear()
    await totals.totals(user_id, since, now)
    # Of each flow of the time range, and of the days beside it, one row is read, and of others none; they count twice
    # where a bitmap names them first.
    found.append(_answer(f"page of person {user_id}: totals of 30 days", read, 2 * counted["flows"]))
    read.clear()
    await totals.recent_flows(user_id, 10)
    found.append(_answer(f"page of person {user_id}: flows", read, 100))
    read.clear()
    await totals.recent_sessions(user_id, 10)
    found.append(_answer(f"page of person {user_id}: sessions", read, 1100))
    read.clear()
    await UserStore(database).names_of([user_id, "nobody"])
    found.append(_answer(f"page of person {user_id}: names", read, 10))
    read.clear()
    await ConversationStore(database).turns(conversation_id, None, None, 200)
    found.append(_answer(f"flows of conversation {conversation_id}", read, 500))
    return found


async def people_found(dsn: str, many: int) -> list[Answer]:
    """What it takes to find a user among `many`. The statements stand in a function and cannot be explained from
    outside: the server's counters tell."""
    connection = await asyncpg.connect(dsn)
    try:
        needle = await connection.fetchval("SELECT substr(md5($1::text), 3, 12)", str(many - 5))
        questions = {
            "a part of one address": needle,
            "a part of all addresses": "example.com",
            "a whole name": f"person {many - 7}",
            "nobody's name": "no such person",
            "two letters that nobody has": "zz",
            "two letters that all have": "pe",
            "an id": f"u{many - 9}",
        }
        found: list[Answer] = []
        for name, text in questions.items():
            before = await connection.fetchrow(_READ_OF_PEOPLE)
            began = time.perf_counter()
            await connection.fetch("SELECT * FROM omni2.search_users($1, 20)", text)
            milliseconds = (time.perf_counter() - began) * 1000
            await connection.execute("SELECT pg_stat_force_next_flush()")
            after = await connection.fetchrow(_READ_OF_PEOPLE)
            found.append(
                Answer(
                    question=f"people: {name}",
                    rows=after["whole"] - before["whole"] + after["by_index"] - before["by_index"],
                    allowed=5000,
                    whole_tables=("user_directory",) if after["whole"] > before["whole"] else (),
                    milliseconds=milliseconds,
                )
            )
    finally:
        await connection.close()
    return found


def _answer(question: str, read: Readings, allowed: int) -> Answer:
    return Answer(question, read.rows, allowed, tuple(sorted(read.whole)), read.milliseconds)
