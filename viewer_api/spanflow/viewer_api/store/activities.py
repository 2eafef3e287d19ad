"""What people saw: activities and the conversations they make up."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.own_totals import NOBODY_ELSE, own_total, own_totals

_COLUMNS: Final = """
activity_id, conversation_id, session_id, user_id, flow_id, node_id, sequence_num, activity_type, activity_data,
duration_ms, source, created_at
"""
_CONVERSATIONS = """
SELECT conversation_id, user_id, session_id, started_at, ended_at, activity_count, tool_calls, tokens, cost,
       mcp_servers, title
FROM {s}.conversations AS known
WHERE ($1::text IS NULL OR user_id = $1) AND ($2::timestamptz IS NULL OR ended_at >= $2)
  AND ($3::timestamptz IS NULL OR started_at < $3) AND ($4::text IS NULL OR mcp_servers @> ARRAY[$4::text])
  AND ($6::text[] IS NULL OR user_id = ANY($6))
  AND ($6::text[] IS NULL OR ($2 IS NULL AND $3 IS NULL AND $4 IS NULL) OR {alone})
ORDER BY ended_at DESC, conversation_id DESC LIMIT $5
""".replace("{alone}", NOBODY_ELSE.replace("{visible}", "$6"))
_CONVERSATION = """
SELECT conversation_id, user_id, session_id, started_at, ended_at, activity_count, tool_calls, tokens, cost,
       mcp_servers, title
FROM {s}.conversations WHERE conversation_id = $1
"""
_AVERAGES = """
SELECT conversation_id, avg(duration_ms) AS took FROM {s}.user_activities
WHERE conversation_id = ANY ($1::text[]) AND ($2::text[] IS NULL OR user_id = ANY ($2)) AND duration_ms IS NOT NULL
GROUP BY conversation_id
"""
_OF_CONVERSATION = f"""
SELECT {_COLUMNS} FROM {{s}}.user_activities
WHERE conversation_id = $1 AND ($3::text[] IS NULL OR user_id = ANY($3))
ORDER BY sequence_num, created_at, activity_id LIMIT $2
"""
_OF_USER = f"""
SELECT {_COLUMNS} FROM {{s}}.user_activities
WHERE user_id = $1 AND ($2::timestamptz IS NULL OR created_at >= $2) AND ($3::timestamptz IS NULL OR created_at < $3)
  AND ($4::timestamptz IS NULL OR (created_at, activity_id) < ($4, $5::text))
ORDER BY created_at DESC, activity_id DESC LIMIT $6
"""
_ONE = (
    f"SELECT {_COLUMNS} FROM {{s}}.user_activities WHERE activity_id = $1 AND ($2::text[] IS NULL OR user_id = ANY($2))"
)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` (included) to `until` (not included); None is open."""

    since: datetime | None = None
    until: datetime | None = None


class ActivityStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def conversations(
        self,
        user_id: str | None,
        period: Period,
        mcp_server: str | None,
        limit: int,
        visible: Collection[str] | None,
    ) -> list[Row]:
        """Conversations that have a part in the period, the latest first."""
        rows = await self._database.fetch(
            _CONVERSATIONS, user_id, period.since, period.until, mcp_server, limit, _listed(visible)
        )
        return await own_totals(self._database, rows, visible)

    async def conversation(self, conversation_id: str, visible: Collection[str] | None) -> Row | None:
        if visible is not None:
            return await own_total(self._database, conversation_id, visible)
        return await self._database.fetchrow(_CONVERSATION, conversation_id)

    async def average_times(self, conversation_ids: Sequence[str], visible: Collection[str] | None) -> dict[str, float]:
        """How long the activities of conversations took on average, of those that tell it."""
        rows = await self._database.fetch(_AVERAGES, list(conversation_ids), _listed(visible))
        return {row["conversation_id"]: row["took"] for row in rows}

    async def of_conversation(self, conversation_id: str, limit: int, visible: Collection[str] | None) -> list[Row]:
        return await self._database.fetch(_OF_CONVERSATION, conversation_id, limit, _listed(visible))

    async def of_user(self, user_id: str, period: Period, after: tuple[datetime, str] | None, limit: int) -> list[Row]:
        created_at, activity_id = after or (None, None)
        return await self._database.fetch(_OF_USER, user_id, period.since, period.until, created_at, activity_id, limit)

    async def one(self, activity_id: str, visible: Collection[str] | None) -> Row | None:
        return await self._database.fetchrow(_ONE, activity_id, _listed(visible))


def _listed(visible: Collection[str] | None) -> list[str] | None:
    return None if visible is None else list(visible)
