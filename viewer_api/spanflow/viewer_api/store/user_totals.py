"""What one user's flows add up to, from summary columns and the index of their flows."""

from datetime import datetime
from typing import Any, Final

import orjson

from spanflow.span_processors.tree.costs import sql_total
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.flow_filters import WITH_STEPS
from spanflow.viewer_api.store.search_plan import SUMMARY

#: So many flows of a range are added up, the newest.
MAX_FLOWS: Final = 20_000
#: Of flows that are looked at to find the newest sessions, and the newest that lists show.
_RECENT: Final = 500
_MOST_USED: Final = 10


def _most_used(column: str) -> str:
    return f"""
    (SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'flows', flows) ORDER BY flows DESC, name), '[]')
     FROM (SELECT name, count(*) AS flows FROM ranged, unnest({column}) AS name GROUP BY name
           ORDER BY flows DESC, name LIMIT {_MOST_USED}) AS most)::text AS {column}"""


# The key is the start, or the nearest moment that had a partition: the margin lets weeks be skipped all the same.
_TOTALS = f"""
WITH ranged AS MATERIALIZED (
    SELECT started_at, outcome, gate, tokens_in, tokens_out, cost, session_id, conversation_id, source,
           duration_ms, tools, mcp_servers, models
    FROM {{s}}.interaction_flows
    WHERE user_id = $1 AND started_at >= $2 AND started_at < $3
      AND start_key >= $2 - interval '8 days' AND start_key < $3 + interval '8 days' AND {WITH_STEPS}
    ORDER BY start_key DESC, flow_id DESC LIMIT {MAX_FLOWS + 1}
)
SELECT count(*) AS flows,
       count(*) FILTER (WHERE outcome = 'error') AS errors,
       count(*) FILTER (WHERE outcome = 'denied') AS denied,
       count(*) FILTER (WHERE outcome = 'cancelled') AS cancelled,
       count(*) FILTER (WHERE outcome = 'interrupted') AS interrupted,
       coalesce(sum(tokens_in), 0)::bigint AS tokens_input,
       coalesce(sum(tokens_out), 0)::bigint AS tokens_output,
       {sql_total("cost")} AS cost,
       count(DISTINCT session_id) AS sessions,
       count(DISTINCT conversation_id) AS conversations,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) AS p50_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) AS p95_ms,
       (SELECT coalesce(jsonb_object_agg(gate, denied), '{{}}') FROM (
           SELECT coalesce(gate, 'unknown') AS gate, count(*) AS denied
           FROM ranged WHERE outcome = 'denied' GROUP BY 1) AS gates)::text AS denied_by_gate,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('name', source, 'flows', flows) ORDER BY flows DESC, source), '[]')
        FROM (SELECT source, count(*) AS flows FROM ranged WHERE source IS NOT NULL GROUP BY source
              ORDER BY flows DESC, source LIMIT {_MOST_USED}) AS most)::text AS sources,
       {_most_used("tools")}, {_most_used("mcp_servers")}, {_most_used("models")}
FROM ranged
"""
_RECENT_FLOWS = f"""
SELECT * FROM (
    SELECT {SUMMARY} FROM {{s}}.interaction_flows
    WHERE user_id = $1 ORDER BY start_key DESC, flow_id DESC LIMIT {_RECENT}
) AS recent
WHERE {WITH_STEPS} ORDER BY start_key DESC, flow_id DESC LIMIT $2
"""
_RECENT_SESSIONS = f"""
SELECT session_id, count(*) AS flows, min(started_at) AS started_at, max(coalesce(ended_at, started_at)) AS ended_at,
       count(*) FILTER (WHERE outcome = 'error') AS errors, count(*) FILTER (WHERE outcome = 'denied') AS denied
FROM (
    SELECT session_id, start_key, started_at, ended_at, outcome FROM {{s}}.interaction_flows
    WHERE user_id = $1 ORDER BY start_key DESC, flow_id DESC LIMIT {_RECENT}
) AS recent
WHERE session_id IS NOT NULL GROUP BY session_id ORDER BY max(start_key) DESC, session_id LIMIT $2
"""


class UserTotals:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def totals(self, user_id: str, since: datetime, until: datetime) -> dict[str, Any]:
        """Of the flows that began from `since` on and before `until`, as lists show them: how long a connection was
        open says nothing of how long its user waited."""
        row = await self._database.fetchrow(_TOTALS, user_id, since, until)
        assert row is not None
        return {
            "flows": min(row["flows"], MAX_FLOWS),
            # The flows are more, and only the newest are in these numbers.
            "partial": row["flows"] > MAX_FLOWS,
            **{name: row[name] for name in ("errors", "denied", "cancelled", "interrupted")},
            "denied_by_gate": orjson.loads(row["denied_by_gate"]),
            **{name: row[name] for name in ("tokens_input", "tokens_output", "cost", "sessions", "conversations")},
            **{name: row[name] for name in ("p50_ms", "p95_ms")},
            **{name: orjson.loads(row[name]) for name in ("sources", "tools", "mcp_servers", "models")},
        }

    async def recent_flows(self, user_id: str, limit: int) -> list[Row]:
        return await self._database.fetch(_RECENT_FLOWS, user_id, limit)

    async def recent_sessions(self, user_id: str, limit: int) -> list[Row]:
        """The newest sessions among the user's newest flows."""
        return await self._database.fetch(_RECENT_SESSIONS, user_id, limit)
