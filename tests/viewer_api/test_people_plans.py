"""With many people and conversations, every list and page reads few rows, by indexes."""

import asyncio

import pytest

from benchmarks.history_people import CONVERSATIONS, PEOPLE, lists_of_conversations, page_of_person, people_found
from benchmarks.history_plans import faults
from spanflow.viewer_api.store.conversations import MAX_COUNT, ConversationFilters, ConversationStore
from tests.support.plans import explained
from tests.support.query import query, script

pytestmark = pytest.mark.anyio

#: Flows of the hundred people, in weeks for which every installation has partitions.
FLOWS = """
INSERT INTO omni2.interaction_flows (flow_id, start_key, started_at, ended_at, user_id, session_id, conversation_id,
                                     outcome, duration_ms, tools, checkpoint_count)
SELECT md5(n::text), at, at, at + interval '1 second', 'u' || n % 100, 's' || n % 500, 'c' || n % 1000, 'ok', n,
       ARRAY['list'], 1
FROM generate_series(1, {rows}) AS n, LATERAL (SELECT now() - n * (interval '5 days' / {rows}) AS at) AS moments;
ANALYZE omni2.interaction_flows;
"""


async def few_rows_for_every_question(dsn: str, conversations: int) -> None:
    async with explained(dsn) as database:
        lists = await lists_of_conversations(database, conversations)
        assert faults(lists + await page_of_person(database, "u7", "c7")) == {}
        assert len(lists) > 25
        store = ConversationStore(database)
        counted = await store.count(ConversationFilters(mcp_servers=("rare_mcp",)))
        assert (counted.value, counted.kind) == (conversations // 1000, "exact")
        everything = await store.count(ConversationFilters())
        assert everything.value == min(conversations, MAX_COUNT)
        database.readings.clear()
        guess = await store.estimate(ConversationFilters())
        assert guess.value == pytest.approx(conversations, rel=0.1)
        assert database.readings.rows == 0


def people_are_found_by_index(dsn: str, many: int) -> None:
    assert faults(asyncio.run(people_found(dsn, many))) == {}
    found = query(dsn, "SELECT user_id FROM omni2.search_users(substr(md5($1::text), 3, 12), 20)", str(many - 5))
    assert found == [{"user_id": f"u{many - 5}"}]


async def test_few_rows_are_read_of_many(postgres_dsn: str) -> None:
    many = 20_000
    await asyncio.to_thread(_fill, postgres_dsn, many, many, many)
    await few_rows_for_every_question(postgres_dsn, many)


def test_people_are_found_among_many(postgres_dsn: str) -> None:
    script(postgres_dsn, PEOPLE.format(rows=20_000))
    people_are_found_by_index(postgres_dsn, 20_000)


@pytest.mark.long
async def test_few_rows_are_read_of_very_many(postgres_dsn: str) -> None:
    await asyncio.to_thread(_fill, postgres_dsn, 200_000, 1000, 1_000_000)
    await few_rows_for_every_question(postgres_dsn, 200_000)


@pytest.mark.long
def test_people_are_found_among_a_million(postgres_dsn: str) -> None:
    script(postgres_dsn, PEOPLE.format(rows=1_000_000))
    people_are_found_by_index(postgres_dsn, 1_000_000)


def _fill(dsn: str, conversations: int, people: int, flows: int) -> None:
    script(dsn, CONVERSATIONS.format(rows=conversations))
    script(dsn, PEOPLE.format(rows=people))
    script(dsn, FLOWS.format(rows=flows))
