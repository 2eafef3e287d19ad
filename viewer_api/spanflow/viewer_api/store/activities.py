"""What people saw: activities."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spanflow.viewer_api.store.database import Database, Row, as_array

COLUMNS: Final = """
activity_id, conversation_id, session_id, user_id, flow_id, node_id, sequence_num, activity_type, activity_data,
duration_ms, source, created_at
"""
_OF_CONVERSATION = f"""
SELECT {COLUMNS} FROM {{s}}.user_activities
WHERE conversation_id = $1 AND ($3::text[] IS NULL OR user_id = ANY($3))
ORDER BY sequence_num, created_at, activity_id LIMIT $2
"""
_OF_USER = f"""
SELECT {COLUMNS} FROM {{s}}.user_activities
WHERE user_id = $1 AND ($2::timestamptz IS NULL OR created_at >= $2) AND ($3::timestamptz IS NULL OR created_at < $3)
  AND ($4::timestamptz IS NULL OR (created_at, activity_id) < ($4, $5::text))
ORDER BY created_at DESC, activity_id DESC LIMIT $6
"""
_ONE = (
    f"SELECT {COLUMNS} FROM {{s}}.user_activities WHERE activity_id = $1 AND ($2::text[] IS NULL OR user_id = ANY($2))"
)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` (included) to `until` (not included); None is open."""

    since: datetime | None = None
    until: datetime | None = None


class ActivityStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_conversation(self, conversation_id: str, limit: int, visible: Collection[str] | None) -> list[Row]:
        return await self._database.fetch(_OF_CONVERSATION, conversation_id, limit, as_array(visible))

    async def of_user(self, user_id: str, period: Period, after: tuple[datetime, str] | None, limit: int) -> list[Row]:
        created_at, activity_id = after or (None, None)
        return await self._database.fetch(_OF_USER, user_id, period.since, period.until, created_at, activity_id, limit)

    async def one(self, activity_id: str, visible: Collection[str] | None) -> Row | None:
        return await self._database.fetchrow(_ONE, activity_id, as_array(visible))
