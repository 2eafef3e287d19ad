"""How much MCP servers and their tools are used: by whom, through which entrance of the gateway, and when.

Sessions and steps are counted from summary columns. Calls are counted from the documents of the flows that have any:
where the gateway reports its own steps, what instrumentations see of the same calls is not counted once more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.tree.same_call import SEPARATORS
from spanflow.viewer_api.store.database import Database, Row

MAX_FLOWS: Final = 20_000
MAX_ROWS: Final = 100

# The key is the start, or the nearest moment that had a partition: the margin lets weeks be skipped all the same.
# A flow without a step is a connection or a health check. Values: since, until, source, visible users.
_RANGED: Final = f"""
SELECT flow_id, start_key, started_at, user_id, coalesce(session_id, flow_id) AS session_id,
       coalesce(source, '{names.DEFAULT_SOURCE}') AS source, checkpoint_count, event_types, flow_data
FROM {{s}}.interaction_flows
WHERE started_at >= $1 AND started_at < $2
  AND start_key >= $1 - interval '8 days' AND start_key < $2 + interval '8 days' AND checkpoint_count > 0
  AND ($3::text IS NULL OR coalesce(source, '{names.DEFAULT_SOURCE}') = $3)
  AND ($4::text[] IS NULL OR user_id = ANY ($4))
"""
_SAID: Final = """LATERAL (
        SELECT CASE jsonb_typeof(event -> 'attributes') WHEN 'object' THEN event -> 'attributes' ELSE '{}' END
    ) AS attributes (said)"""
_EVENTS: Final = "CASE jsonb_typeof(flow_data -> 'events') WHEN 'array' THEN flow_data -> 'events' ELSE '[]' END"
#: Events of gateways older than Spanflow have their data flat.
_MCP: Final = """coalesce(event ->> 'mcp', said ->> 'flow.data.mcp', said ->> 'flow.data.mcp_server',
                    said ->> 'flow.data.mcp_name')"""
_TOOL: Final = """coalesce(event ->> 'tool', said ->> 'flow.data.tool', said ->> 'flow.data.tool_name',
                    said ->> 'gen_ai.tool.name')"""


#: What a call is made of, as `same_call.subject_of` finds it.
_SUBJECT: Final = """coalesce(nullif(said ->> 'gen_ai.tool.name', ''), nullif(said ->> 'flow.data.tool', ''),
                    nullif(said ->> 'flow.data.tool_name', ''), nullif(said ->> 'tool.name', ''),
                    nullif(said ->> 'gen_ai.prompt.name', ''), nullif(said ->> 'mcp.resource.uri', ''))"""
_CALL_ID: Final = "nullif(said ->> 'gen_ai.tool.call.id', '')"


def _ends_in(longer: str, shorter: str) -> str:
    """Whether a name is another one with a server's name before it."""
    prefixed = ", ".join(f"'{sign}' || {shorter}" for sign in SEPARATORS)
    return f"right({longer}, length({shorter}) + 1) IN ({prefixed})"


def _same(one: str, other: str) -> str:
    return f"({one} = {other} OR {_ends_in(one, other)} OR {_ends_in(other, one)})"


#: Whether `event` is the same call as the one of `span`, which is around it.
_SAME_CALL: Final = f"""
    CASE WHEN {_CALL_ID} IS NOT NULL AND span ->> 'id' IS NOT NULL THEN {_CALL_ID} = span ->> 'id'
         ELSE coalesce({_same(_SUBJECT, "(span ->> 'subject')")}, true) END
    AND NOT coalesce((event ->> 'start_ns')::numeric >= (span ->> 'end')::numeric
                     AND event ->> 'process' IS NOT DISTINCT FROM span ->> 'process', false)
"""

# The rules of `tree.same_call`, for calls of tools: a call whose nearest checkpoint above is the same call is a detail
# of it. `spans` has what there is to know of each span; plain spans in between are climbed over.
_CALLS: Final = f"""
ranged AS ({_RANGED}),
called AS MATERIALIZED (
    SELECT * FROM ranged WHERE '{names.TOOL_CALL}' = ANY (event_types)
    ORDER BY start_key DESC, flow_id DESC LIMIT $5
),
calls AS (
    SELECT called.user_id, called.session_id, called.source, {_MCP} AS mcp, {_TOOL} AS tool
    FROM called
    CROSS JOIN LATERAL (SELECT {_EVENTS} AS events) AS document
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(event ->> 'node_id', jsonb_build_object(
                   'above', event ->> 'parent_id', 'type', coalesce(event ->> 'event_type', '{names.PLAIN_SPAN}'),
                   'subject', {_SUBJECT}, 'id', {_CALL_ID}, 'process', event ->> 'process',
                   'end', CASE event ->> 'phase' WHEN '{names.END}' THEN event ->> 'end_ns' END
               )) AS spans,
               bool_or(said ? '{names.ATTR_REPORTED}') AS reported
        FROM jsonb_array_elements(events) AS event, {_SAID}
        WHERE event ->> 'node_id' IS NOT NULL
    ) AS flow
    CROSS JOIN LATERAL jsonb_array_elements(events) AS event
    CROSS JOIN {_SAID}
    WHERE event ->> 'event_type' = '{names.TOOL_CALL}'
      AND CASE WHEN reported THEN said ? '{names.ATTR_CHECKPOINT_TYPE}' ELSE NOT EXISTS (
          WITH RECURSIVE climb (id) AS (
              SELECT event ->> 'parent_id'
              UNION
              SELECT spans -> climb.id ->> 'above' FROM climb
              WHERE spans -> climb.id ->> 'type' = '{names.PLAIN_SPAN}'
          )
          SELECT FROM climb
          CROSS JOIN LATERAL (SELECT spans -> climb.id AS span) AS around
          WHERE span ->> 'type' = '{names.TOOL_CALL}' AND {_SAME_CALL}
      ) END
)
"""
#: When the first of the flows began that are not counted any more; nothing while all are.
_BEYOND: Final = f"""
SELECT started_at FROM ({_RANGED}) AS ranged WHERE '{names.TOOL_CALL}' = ANY (event_types)
ORDER BY start_key DESC, flow_id DESC OFFSET $5 LIMIT 1
"""
_OVERVIEW: Final = f"""
SELECT source, count(DISTINCT session_id) AS sessions, sum(checkpoint_count)::bigint AS total_events,
       count(DISTINCT user_id) AS unique_users
FROM ({_RANGED}) AS ranged GROUP BY source ORDER BY source
"""
_TOOLS: Final = f"""
WITH {_CALLS}
SELECT mcp, tool, count(*) AS count FROM calls GROUP BY mcp, tool ORDER BY count DESC, mcp, tool LIMIT $6
"""
_SERVERS: Final = f"""
WITH {_CALLS}
SELECT mcp, count(*) AS count, count(DISTINCT user_id) AS unique_users
FROM calls WHERE mcp IS NOT NULL GROUP BY mcp ORDER BY count DESC, mcp LIMIT $6
"""
_USERS: Final = f"""
WITH {_CALLS},
counted AS (SELECT user_id, count(*) AS tool_calls FROM calls GROUP BY user_id)
SELECT user_id, count(DISTINCT session_id) AS sessions, sum(checkpoint_count)::bigint AS total_events,
       coalesce(max(tool_calls), 0) AS tool_calls
FROM ranged LEFT JOIN counted USING (user_id) WHERE user_id IS NOT NULL
GROUP BY user_id ORDER BY tool_calls DESC, sessions DESC, user_id LIMIT $6
"""
_TEAMS: Final = f"""
WITH {_CALLS},
counted AS (SELECT user_id, count(*) AS tool_calls FROM calls GROUP BY user_id),
members AS (
    SELECT user_id, count(DISTINCT session_id) AS sessions, coalesce(max(tool_calls), 0) AS tool_calls
    FROM ranged LEFT JOIN counted USING (user_id) GROUP BY user_id
)
SELECT person.team, sum(sessions)::bigint AS sessions, sum(tool_calls)::bigint AS tool_calls,
       count(*) AS members_active
FROM members JOIN {{s}}.user_directory AS person USING (user_id) WHERE person.team IS NOT NULL
GROUP BY person.team ORDER BY tool_calls DESC, person.team LIMIT $6
"""
_DAYS: Final = f"""
SELECT to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, source, count(DISTINCT session_id) AS sessions
FROM ({_RANGED}) AS ranged GROUP BY day, source ORDER BY day, source
"""
_SOURCES: Final = f"""
WITH {_CALLS},
counted AS (SELECT source, count(*) AS tool_calls FROM calls GROUP BY source),
sessions AS (SELECT source, session_id, sum(checkpoint_count) AS steps FROM ranged GROUP BY source, session_id)
SELECT source, count(*) AS sessions, round(avg(steps), 1)::double precision AS avg_steps,
       coalesce(max(tool_calls), 0) AS total_tool_calls
FROM sessions LEFT JOIN counted USING (source) GROUP BY source ORDER BY source
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What is counted: flows that began from `since` on and before `until`, of the users in `visible`."""

    since: datetime
    until: datetime
    source: str | None = None
    visible: Collection[str] | None = None

    @property
    def values(self) -> tuple[Any, ...]:
        return self.since, self.until, self.source, None if self.visible is None else list(self.visible)


class McpUsage:
    """`most`: in so many flows calls are counted, the newest that have any."""

    def __init__(self, database: Database, most: int = MAX_FLOWS) -> None:
        self._database = database
        self._most = most

    async def calls_after(self, usage: Usage) -> datetime | None:
        """Only in flows that began after this moment calls are counted; None: in all."""
        rows = await self._database.fetch(_BEYOND, *usage.values, self._most)
        return rows[0]["started_at"] if rows else None

    async def overview(self, usage: Usage) -> list[Row]:
        """Sessions, steps and users of each source."""
        return await self._database.fetch(_OVERVIEW, *usage.values)

    async def tools(self, usage: Usage, limit: int) -> list[Row]:
        """The tools that are called most."""
        return await self._calls(_TOOLS, usage, limit)

    async def servers(self, usage: Usage, limit: int) -> list[Row]:
        """The MCP servers that are called most."""
        return await self._calls(_SERVERS, usage, limit)

    async def users(self, usage: Usage, limit: int) -> list[Row]:
        """The users with the most calls."""
        return await self._calls(_USERS, usage, limit)

    async def teams(self, usage: Usage, limit: int) -> list[Row]:
        """The teams whose members make the most calls."""
        return await self._calls(_TEAMS, usage, limit)

    async def days(self, usage: Usage) -> list[Row]:
        """Sessions of each source on each day (UTC)."""
        return await self._database.fetch(_DAYS, *usage.values)

    async def sources(self, usage: Usage) -> list[Row]:
        """How the entrances of the gateway compare: steps of a session, and calls."""
        return await self._calls(_SOURCES, usage)

    async def _calls(self, statement: str, usage: Usage, *limit: int) -> list[Row]:
        return await self._database.fetch(statement, *usage.values, self._most, *limit)
