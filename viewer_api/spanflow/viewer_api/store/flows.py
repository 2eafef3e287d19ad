"""Flows as Postgres keeps them, adopted rows of older gateways among them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spanflow.viewer_api.store.database import Database, Row

#: So much `flow_data` one answer may carry.
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024

_SUMMARY: Final = """
flow_id, start_key, session_id, user_id, conversation_id, source, name, outcome, complete, complete_why,
started_at, ended_at, created_at, completed_at, duration_ms, span_count, checkpoint_count, error_count,
tokens_in, tokens_out, cost, tools, models, mcp_servers, gate, reason, status_message
"""
_WHOLE: Final = """
flow_id, start_key, session_id, user_id, conversation_id, source, created_at, completed_at, started_at, complete,
complete_why, flow_data
"""
# The key is the start, or the nearest moment that had a partition: the margin lets weeks be skipped all the same.
_LIST = f"""
SELECT {_SUMMARY} FROM {{s}}.interaction_flows
WHERE ($1::text IS NULL OR user_id = $1) AND ($2::text IS NULL OR session_id = $2)
  AND ($3::text IS NULL OR conversation_id = $3) AND ($4::text IS NULL OR source = $4)
  AND ($5::text IS NULL OR outcome = $5)
  AND ($6::timestamptz IS NULL OR (started_at >= $6 AND start_key >= $6 - interval '8 days'))
  AND ($7::timestamptz IS NULL OR (started_at < $7 AND start_key < $7 + interval '8 days'))
  AND ($8::timestamptz IS NULL OR (start_key, flow_id) < ($8, $9::text))
  AND ($10::text IS NULL OR search @@ $10::tsquery) AND ($12::text[] IS NULL OR user_id = ANY($12))
ORDER BY start_key DESC, flow_id DESC LIMIT $11
"""
_OF_USER = f"""
SELECT {_WHOLE} FROM {{s}}.interaction_flows
WHERE user_id = $1 AND ($2::text IS NULL OR source = $2)
ORDER BY start_key DESC, flow_id DESC LIMIT $3
"""
_OF_SESSION = f"""
SELECT {_WHOLE} FROM {{s}}.interaction_flows
WHERE session_id = $1 AND ($3::text[] IS NULL OR user_id = ANY($3))
ORDER BY start_key, flow_id LIMIT $2
"""
_SESSIONS_OF_USER = """
SELECT session_id, max(start_key) AS newest FROM (
    SELECT coalesce(session_id, flow_id) AS session_id, start_key FROM {s}.interaction_flows
    WHERE user_id = $1 AND ($2::text IS NULL OR source = $2)
    ORDER BY start_key DESC, flow_id DESC LIMIT $4
) AS recent
GROUP BY session_id ORDER BY newest DESC, session_id LIMIT $3
"""
_OF_SESSIONS = f"""
SELECT {_WHOLE} FROM {{s}}.interaction_flows
WHERE user_id = $1 AND ($2::text IS NULL OR source = $2)
  AND (session_id = ANY($3::text[]) OR (session_id IS NULL AND flow_id = ANY($3::text[])))
ORDER BY start_key, flow_id
"""
_BY_KEY = f"""
SELECT {_WHOLE} FROM {{s}}.interaction_flows
WHERE flow_id = $1 AND start_key = (SELECT start_key FROM {{s}}.flow_keys WHERE flow_id = $1)
  AND ($2::text[] IS NULL OR user_id = ANY($2))
"""
#: Flows of one user that are looked at to find the newest sessions.
_FLOWS_PER_SESSION: Final = 50


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of flows is narrowed to; None means all."""

    user_id: str | None = None
    session_id: str | None = None
    conversation_id: str | None = None
    source: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    #: Words that must all be in the flow, as `search_terms.tsquery` writes them.
    terms: str | None = None


class FlowStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, filters: Filters, after: tuple[datetime, str] | None, limit: int, visible: Collection[str] | None
    ) -> list[Row]:
        """Summaries, newest first, from below the flow `after` on. Never opens `flow_data`."""
        start_key, flow_id = after or (None, None)
        return await self._database.fetch(
            _LIST,
            filters.user_id,
            filters.session_id,
            filters.conversation_id,
            filters.source,
            filters.outcome,
            filters.since,
            filters.until,
            start_key,
            flow_id,
            filters.terms,
            limit,
            _listed(visible),
        )

    async def of_user(self, user_id: str, source: str | None, limit: int) -> list[Row]:
        """Whole flows of one user, newest first, as many as fit into one answer."""
        rows, _ = await self._database.fetch_within(MAX_ANSWER_BYTES, "flow_data", _OF_USER, user_id, source, limit)
        return rows

    async def of_session(self, session_id: str, limit: int, visible: Collection[str] | None) -> list[Row]:
        """Whole flows of one session, oldest first; of users in `visible` only, None being everybody."""
        rows, _ = await self._database.fetch_within(
            MAX_ANSWER_BYTES, "flow_data", _OF_SESSION, session_id, limit, _listed(visible)
        )
        return rows

    async def of_newest_sessions(self, user_id: str, source: str | None, limit: int) -> dict[str, list[Row]]:
        """The flows of a user's newest sessions, newest session first. A flow without a session is one of its own."""
        found = await self._database.fetch(_SESSIONS_OF_USER, user_id, source, limit, limit * _FLOWS_PER_SESSION)
        sessions: dict[str, list[Row]] = {row["session_id"]: [] for row in found}
        rows, _ = await self._database.fetch_within(
            MAX_ANSWER_BYTES, "flow_data", _OF_SESSIONS, user_id, source, list(sessions)
        )
        for row in rows:
            sessions[row["session_id"] or row["flow_id"]].append(row)
        return {session_id: flows for session_id, flows in sessions.items() if flows}

    async def one(self, flow_id: str, visible: Collection[str] | None) -> Row | None:
        return await self._database.fetchrow(_BY_KEY, flow_id, _listed(visible))


def _listed(visible: Collection[str] | None) -> list[str] | None:
    return None if visible is None else list(visible)
