"""Conversations: the list with its filters, and what one of them consists of. Everything is read from indexes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from spanflow.viewer_api.store.activities import COLUMNS as ACTIVITY
from spanflow.viewer_api.store.activities import Period
from spanflow.viewer_api.store.counts import Count, planned_rows
from spanflow.viewer_api.store.database import Database, Row, as_array
from spanflow.viewer_api.store.flow_filters import Conditions, unless_silent
from spanflow.viewer_api.store.own_totals import NOBODY_ELSE, own_total, own_totals
from spanflow.viewer_api.store.search_plan import SUMMARY

#: An exact count goes no further.
MAX_COUNT: Final = 100_000
#: Of one conversation so many activities, the first, can be read.
MAX_OUTLINE: Final = 20_000
#: A text is looked for among so many conversations before its index is asked.
_WINDOW: Final = 2000
_COLUMNS: Final = """
conversation_id, user_id, session_id, started_at, ended_at, activity_count, tool_calls, tokens, cost, mcp_servers, title
"""
_ONE = f"""
SELECT {_COLUMNS} FROM {{s}}.conversations
WHERE conversation_id = $1
"""
#: As existing dashboards ask for them: what ended last comes first.
_LAST_ENDED = f"""
SELECT {_COLUMNS} FROM {{s}}.conversations AS known
WHERE ($1::text IS NULL OR user_id = $1) AND ($2::timestamptz IS NULL OR ended_at >= $2)
  AND ($3::timestamptz IS NULL OR started_at < $3) AND ($4::text IS NULL OR mcp_servers @> ARRAY[$4::text])
  AND ($6::text[] IS NULL OR user_id = ANY($6))
  AND ($6::text[] IS NULL OR ($2 IS NULL AND $3 IS NULL AND $4 IS NULL) OR {NOBODY_ELSE.replace("{visible}", "$6")})
ORDER BY ended_at DESC, conversation_id DESC LIMIT $5
"""
_NAMES_OF_CALLS = """
CASE WHEN activity_type IN ('mcp_tool_call', 'mcp_tool_response') THEN activity_data ->> 'mcp_server' END AS mcp_server,
CASE WHEN activity_type IN ('mcp_tool_call', 'mcp_tool_response') THEN activity_data ->> 'tool_name' END AS tool_name,
CASE WHEN activity_type IN ('mcp_tool_call', 'mcp_tool_response')
     THEN coalesce(activity_data ->> 'tool_call_id', activity_data ->> 'call_id') END AS call_id
"""
_OUTLINE = f"""
SELECT activity_id, activity_type, flow_id, node_id, sequence_num, created_at, {_NAMES_OF_CALLS}
FROM {{s}}.user_activities
WHERE conversation_id = $1 AND ($2::text[] IS NULL OR user_id = ANY ($2))
ORDER BY sequence_num, created_at, activity_id LIMIT {MAX_OUTLINE + 1}
"""
_OUTLINE_OF_FLOW = f"""
SELECT activity_id, activity_type, flow_id, node_id, sequence_num, created_at, conversation_id, {_NAMES_OF_CALLS}
FROM {{s}}.user_activities
WHERE flow_id = $1 AND ($2::text[] IS NULL OR user_id = ANY ($2))
ORDER BY sequence_num, created_at, activity_id LIMIT {MAX_OUTLINE + 1}
"""
_ACTIVITIES = f"""
SELECT {ACTIVITY} FROM {{s}}.user_activities WHERE activity_id = ANY ($1::text[])
"""
_AVERAGES = """
SELECT conversation_id, avg(duration_ms) AS took FROM {s}.user_activities
WHERE conversation_id = ANY ($1::text[]) AND ($2::text[] IS NULL OR user_id = ANY ($2)) AND duration_ms IS NOT NULL
GROUP BY conversation_id
"""
_TURNS = f"""
SELECT {SUMMARY} FROM {{s}}.interaction_flows
WHERE conversation_id = $1 AND ($2::text[] IS NULL OR user_id = ANY ($2))
  AND ($3::timestamptz IS NULL OR (start_key, flow_id) > ($3, $4::text))
ORDER BY start_key, flow_id LIMIT $5
"""


@dataclass(frozen=True, slots=True)
class ConversationFilters:
    """Every filter must hold; of several values of one filter, any. None means all."""

    user_ids: tuple[str, ...] | None = None
    mcp_servers: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    #: A conversation counts when any moment of it lies from `since` on and before `until`.
    since: datetime | None = None
    until: datetime | None = None
    #: Words that must all be in the first message.
    text: str | None = None
    #: Users whose conversations are excluded from text search; None: all users.
    silent: frozenset[str] | None = frozenset()
    min_tool_calls: int | None = None
    min_tokens: int | None = None
    visible: frozenset[str] | None = None

    @property
    def asks_of_all(self) -> bool:
        """Whether a filter looks at what the people in a conversation did, all together."""
        asked = (self.mcp_servers, self.since, self.until, self.text, self.min_tool_calls, self.min_tokens)
        return any(each is not None for each in asked)

    @property
    def people(self) -> list[str] | None:
        """The users whose conversations can be found; None: all."""
        if self.visible is None:
            return None if self.user_ids is None else sorted(self.user_ids)
        return sorted(self.visible if self.user_ids is None else self.visible.intersection(self.user_ids))


class Part(Enum):
    """A part of the list that is read in one go.

    A time range has two: what began in it, which is a section of the list, and what had begun before and still went on
    at its beginning, which is a few conversations from anywhere.
    """

    ALL = "all"
    BEGUN_IN = "begun in"
    BEGUN_BEFORE = "begun before"


class ConversationStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, filters: ConversationFilters, after: tuple[datetime, str] | None, limit: int) -> list[Row]:
        """Conversations, the one that began last first, from below `after` on.

        Where one begins does not change while it goes on, so pages neither repeat nor leave out.
        """
        if filters.people == []:
            return []
        rows: list[Row] = []
        for part in _parts(filters):
            if len(rows) < limit:
                rows += await self._in_part(filters, part, after, limit - len(rows))
        return rows

    async def _in_part(
        self, filters: ConversationFilters, part: Part, after: tuple[datetime, str] | None, limit: int
    ) -> list[Row]:
        conditions = _conditions(filters, part)
        if after is not None:
            moment, conversation_id = after
            conditions.add(
                f"(started_at, conversation_id) < ({conditions.value(moment, 'timestamptz')}, "
                f"{conditions.value(conversation_id, 'text')})"
            )
        order = "ORDER BY started_at DESC, conversation_id DESC"
        last = f"{order} LIMIT {conditions.value(limit, 'bigint')}"
        if part is Part.BEGUN_BEFORE:
            # They are few and stand anywhere. Sorted afterwards: else the whole list might be walked in search of them.
            titled = ""
            if filters.text is not None:
                has = _has_text(conditions, filters.text)
                titled = f"JOIN {{s}}.conversation_titles AS title USING (conversation_id) WHERE {has} "
            text = (
                f"WITH begun AS MATERIALIZED (SELECT * FROM {{s}}.conversations AS known WHERE {conditions.sql}) "
                f"SELECT {_COLUMNS} FROM begun {titled}{last}"
            )
            return await self._database.fetch(text, *conditions.values)
        if filters.text is None:
            text = f"SELECT {_COLUMNS} FROM {{s}}.conversations AS known WHERE {conditions.sql} {last}"
            return await self._database.fetch(text, *conditions.values)
        # What is in many of them is soon found among the newest, what is in few by the index.
        has = _has_text(conditions, filters.text)
        newest = (
            f"SELECT {_COLUMNS} FROM ("
            f"SELECT * FROM {{s}}.conversations AS known WHERE {conditions.sql} {order} LIMIT {_WINDOW}) AS known "
            f"JOIN {{s}}.conversation_titles AS title USING (conversation_id) WHERE {has} {last}"
        )
        rows = await self._database.fetch(newest, *conditions.values)
        if len(rows) == limit:
            return rows
        text = (
            f"WITH titled AS MATERIALIZED (SELECT conversation_id FROM {{s}}.conversation_titles AS title WHERE {has}) "
            f"SELECT {_COLUMNS} FROM {{s}}.conversations AS known JOIN titled USING (conversation_id) "
            f"WHERE {conditions.sql} {last}"
        )
        return await self._database.fetch(text, *conditions.values)

    async def count(self, filters: ConversationFilters, cap: int = MAX_COUNT) -> Count:
        """How many there are: exactly, or `at_least` when they are more than `cap`."""
        total = 0
        for part in _parts(filters) if filters.people != [] else ():
            text, values = _narrowed(filters, part, f"LIMIT {cap + 1}")
            rows = await self._database.fetch(f"SELECT count(*) AS found FROM ({text}) AS narrowed", *values)
            total += rows[0]["found"]
        return Count(min(total, cap), "at_least" if total > cap else "exact")

    async def estimate(self, filters: ConversationFilters) -> Count:
        """How many the planner expects: no row is read."""
        total = 0
        for part in _parts(filters) if filters.people != [] else ():
            text, values = _narrowed(filters, part, "")
            total += await planned_rows(self._database, text, values)
        return Count(total, "estimated")

    async def last_ended(
        self, user_id: str | None, period: Period, mcp_server: str | None, limit: int, visible: Collection[str] | None
    ) -> list[Row]:
        """Conversations that have a part in the period, the one that ended last first."""
        rows = await self._database.fetch(
            _LAST_ENDED, user_id, period.since, period.until, mcp_server, limit, as_array(visible)
        )
        return await own_totals(self._database, rows, visible)

    async def average_times(self, conversation_ids: Sequence[str], visible: Collection[str] | None) -> dict[str, float]:
        """How long the activities of conversations took on average, of those that tell it."""
        rows = await self._database.fetch(_AVERAGES, list(conversation_ids), as_array(visible))
        return {row["conversation_id"]: row["took"] for row in rows}

    async def one(self, conversation_id: str, visible: Collection[str] | None) -> Row | None:
        if visible is not None:
            return await own_total(self._database, conversation_id, visible)
        return await self._database.fetchrow(_ONE, conversation_id)

    async def outline(self, conversation_id: str, visible: Collection[str] | None) -> list[Row]:
        """All activities in their order, without their contents: `MAX_OUTLINE`, and one more when there are more."""
        return await self._database.fetch(_OUTLINE, conversation_id, as_array(visible))

    async def outline_of_flow(self, flow_id: str, visible: Collection[str] | None) -> list[Row]:
        return await self._database.fetch(_OUTLINE_OF_FLOW, flow_id, as_array(visible))

    async def activities(self, activity_ids: Sequence[str]) -> dict[str, Row]:
        """These activities with their contents."""
        rows = await self._database.fetch(_ACTIVITIES, list(activity_ids)) if activity_ids else []
        return {row["activity_id"]: row for row in rows}

    async def turns(
        self, conversation_id: str, visible: Collection[str] | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[Row]:
        """Stored flows of a conversation, the first one first, from behind `after` on."""
        start_key, flow_id = after or (None, None)
        return await self._database.fetch(_TURNS, conversation_id, as_array(visible), start_key, flow_id, limit)


def _parts(filters: ConversationFilters) -> tuple[Part, ...]:
    """In the order of the list, without a conversation in two of them."""
    if filters.since is None:
        return (Part.ALL,)
    if filters.until is not None and filters.since >= filters.until:
        return ()
    return (Part.BEGUN_IN, Part.BEGUN_BEFORE)


def _conditions(filters: ConversationFilters, part: Part) -> Conditions:
    """Everything but the text and the place in the list. The table is called `known`."""
    conditions = Conditions()
    people = filters.people
    conditions.among("user_id", people)
    if filters.visible is not None and filters.asks_of_all:
        # The row covers all participants: whether it matches must not reveal what others did.
        conditions.add(NOBODY_ELSE.replace("{visible}", conditions.value(list(filters.visible), "text[]")))
    if filters.until is not None:
        conditions.add(f"started_at < {conditions.value(filters.until, 'timestamptz')}")
    if filters.since is not None:
        since = conditions.value(filters.since, "timestamptz")
        if part is Part.BEGUN_IN:
            conditions.add(f"started_at >= {since}")
        else:
            conditions.add(f"tstzrange(started_at, ended_at, '[]') @> {since}")
            conditions.add(f"started_at < {since}")
    if filters.text is not None:
        conditions.add(unless_silent(conditions, filters.silent))
    if filters.mcp_servers is not None:
        conditions.add(f"mcp_servers && {conditions.value(list(filters.mcp_servers), 'text[]')}")
    if filters.tools is not None:
        conditions.add(
            "EXISTS (SELECT FROM {s}.user_activities AS call WHERE call.conversation_id = known.conversation_id "
            "AND call.activity_type = 'mcp_tool_call' "
            f"AND call.activity_data ->> 'tool_name' = ANY ({conditions.value(list(filters.tools), 'text[]')})"
            # In a shared conversation the calls of other users must not be revealed either.
            + ("" if people is None else f" AND call.user_id = ANY ({conditions.value(people, 'text[]')})")
            + ")"
        )
    if filters.min_tool_calls is not None:
        conditions.add(f"tool_calls >= {conditions.value(filters.min_tool_calls, 'bigint')}")
    if filters.min_tokens is not None:
        conditions.add(f"tokens >= {conditions.value(filters.min_tokens, 'bigint')}")
    return conditions


def _has_text(conditions: Conditions, text: str) -> str:
    words = f"{{s}}.search_words({conditions.value(text, 'text')})"
    return f"title.grams @> {{s}}.wanted_grams({words}) AND {{s}}.has_words(title.haystack, {words})"


def _narrowed(filters: ConversationFilters, part: Part, end: str) -> tuple[str, list[object]]:
    conditions = _conditions(filters, part)
    text = ""
    if filters.text is not None:
        has = _has_text(conditions, filters.text)
        text = (
            " AND known.conversation_id IN "
            f"(SELECT title.conversation_id FROM {{s}}.conversation_titles AS title WHERE {has})"
        )
    return f"SELECT 1 FROM {{s}}.conversations AS known WHERE {conditions.sql}{text} {end}", conditions.values
