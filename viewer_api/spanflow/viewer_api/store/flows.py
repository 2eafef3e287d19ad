"""Flows as Postgres keeps them, adopted rows of older gateways among them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from spanflow.viewer_api.store.database import Database, Row, as_array
from spanflow.viewer_api.store.flow_notes import Verdicts
from spanflow.viewer_api.store.flow_search import FlowSearch

#: So much `flow_data` one answer may carry.
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024

_WHOLE: Final = """
flow_id, start_key, session_id, user_id, conversation_id, source, created_at, completed_at, started_at, complete,
complete_why, outcome, outcome_reason, span_count, cut_spans, cost, flow_data
"""
#: The flows of a list. In one for older dashboards a flow without a source is a chat, and one without a step is none.
_LISTED: Final = """
({source}::text IS NULL OR source = {source} OR ({legacy}::boolean AND source IS NULL AND {source} = 'chat'))
AND (NOT {legacy} OR checkpoint_count > 0)"""
_OF_USER = f"""
SELECT {_WHOLE} FROM {{s}}.interaction_flows
WHERE user_id = $1 AND {_LISTED.format(source="$2", legacy="$4")}
ORDER BY start_key DESC, flow_id DESC LIMIT $3
"""
_OF_SESSION = f"""
SELECT {_WHOLE} FROM {{s}}.interaction_flows
WHERE session_id = $1 AND ($3::text[] IS NULL OR user_id = ANY($3))
ORDER BY start_key, flow_id LIMIT $2
"""
_SESSIONS_OF_USER = f"""
SELECT session_id, max(start_key) AS newest FROM (
    SELECT coalesce(session_id, flow_id) AS session_id, start_key FROM {{s}}.interaction_flows
    WHERE user_id = $1 AND {_LISTED.format(source="$2", legacy="$5")}
    ORDER BY start_key DESC, flow_id DESC LIMIT $4
) AS recent
GROUP BY session_id ORDER BY newest DESC, session_id LIMIT $3
"""
_OF_SESSIONS = f"""
SELECT {_WHOLE} FROM {{s}}.interaction_flows
WHERE user_id = $1 AND {_LISTED.format(source="$2", legacy="$4")}
  AND (session_id = ANY($3::text[]) OR (session_id IS NULL AND flow_id = ANY($3::text[])))
ORDER BY start_key, flow_id
"""
BY_ID: Final = f"""
SELECT {_WHOLE} FROM {{s}}.flow_by_id($1) WHERE $2::text[] IS NULL OR user_id = ANY($2)
"""
_PLACED: Final = f"""
SELECT flow.* FROM unnest($1::timestamptz[], $2::text[]) WITH ORDINALITY AS place (key, id, number) CROSS JOIN LATERAL (
    SELECT {_WHOLE} FROM {{s}}.interaction_flows WHERE start_key = place.key AND flow_id = place.id
) AS flow ORDER BY place.number
"""
_STATES: Final = """
SELECT flow_id, user_id, complete, outcome, completed_at, span_count
FROM unnest($1::text[]) AS wanted (id) CROSS JOIN LATERAL {s}.flow_by_id(wanted.id)
WHERE $2::text[] IS NULL OR user_id = ANY($2)
"""
#: Flows of one user that are looked at to find the newest sessions.
_FLOWS_PER_SESSION: Final = 50


class FlowStore:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.search = FlowSearch(database)
        self.verdicts = Verdicts(database)

    async def of_user(self, user_id: str, source: str | None, limit: int, *, legacy: bool = False) -> list[Row]:
        """Whole flows of one user, newest first, as many as fit into one answer."""
        rows, _ = await self._database.fetch_within(
            MAX_ANSWER_BYTES, "flow_data", _OF_USER, user_id, source, limit, legacy
        )
        return rows

    async def states(self, flow_ids: Collection[str], visible: Collection[str] | None = None) -> dict[str, Row]:
        """What is stored of these flows, without their documents; of users in `visible` only, None for all."""
        if not flow_ids:
            return {}
        return {row["flow_id"]: row for row in await self._database.fetch(_STATES, list(flow_ids), as_array(visible))}

    async def whole(self, places: Sequence[tuple[datetime, str]], max_bytes: int) -> list[Row]:
        """Whole flows by their keys and ids, in this order, as many as have `max_bytes` together, and one at least."""
        keys, flow_ids = [key for key, _ in places], [flow_id for _, flow_id in places]
        rows, _ = await self._database.fetch_within(max_bytes, "flow_data", _PLACED, keys, flow_ids)
        return rows

    async def of_session(self, session_id: str, limit: int, visible: Collection[str] | None) -> list[Row]:
        """Whole flows of one session, oldest first; of users in `visible` only, None for all."""
        rows, _ = await self._database.fetch_within(
            MAX_ANSWER_BYTES, "flow_data", _OF_SESSION, session_id, limit, as_array(visible)
        )
        return rows

    async def of_newest_sessions(
        self, user_id: str, source: str | None, limit: int, *, legacy: bool = False
    ) -> dict[str, list[Row]]:
        """The flows of a user's newest sessions, newest session first. A flow without a session is one of its own."""
        newest = await self._database.fetch(
            _SESSIONS_OF_USER, user_id, source, limit, limit * _FLOWS_PER_SESSION, legacy
        )
        sessions: dict[str, list[Row]] = {row["session_id"]: [] for row in newest}
        rows, _ = await self._database.fetch_within(
            MAX_ANSWER_BYTES, "flow_data", _OF_SESSIONS, user_id, source, list(sessions), legacy
        )
        for row in rows:
            sessions[row["session_id"] or row["flow_id"]].append(row)
        return {session_id: flows for session_id, flows in sessions.items() if flows}

    async def one(self, flow_id: str, visible: Collection[str] | None) -> Row | None:
        return await self._database.fetchrow(BY_ID, flow_id, as_array(visible))
