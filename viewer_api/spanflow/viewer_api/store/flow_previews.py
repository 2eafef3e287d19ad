"""The first question and the last answer of flows, from their activities, and the small documents of those that have
none."""

from collections.abc import Collection, Sequence
from typing import Final

from spanflow.viewer_api.store.database import Database, Row

#: Longer texts are cut by Postgres already.
_MAX_TEXT: Final = 1000
#: Documents with more spans are not opened for a preview.
_MAX_SPANS: Final = 300
#: So much `flow_data` is read for one page of previews.
_MAX_BYTES: Final = 8 * 1024 * 1024
_OWNERS: Final = """
SELECT flow_id, user_id, span_count
FROM unnest($1::text[]) AS wanted (id) CROSS JOIN LATERAL {s}.flow_by_id(wanted.id)
WHERE $2::text[] IS NULL OR user_id = ANY ($2)
"""
_SAID: Final = f"""
SELECT wanted.id AS flow_id, asked.message AS question, answered.message AS answer
FROM unnest($1::text[]) AS wanted (id)
LEFT JOIN LATERAL (
    SELECT left(activity_data ->> 'message', {_MAX_TEXT}) AS message FROM {{s}}.user_activities
    WHERE flow_id = wanted.id AND activity_type = 'user_message' AND ($2::text[] IS NULL OR user_id = ANY ($2))
    ORDER BY sequence_num, created_at, activity_id LIMIT 1
) AS asked ON true
LEFT JOIN LATERAL (
    SELECT left(activity_data ->> 'message', {_MAX_TEXT}) AS message FROM {{s}}.user_activities
    WHERE flow_id = wanted.id AND activity_type = 'assistant_response' AND ($2::text[] IS NULL OR user_id = ANY ($2))
    ORDER BY sequence_num DESC, created_at DESC, activity_id DESC LIMIT 1
) AS answered ON true
"""
_DOCUMENTS: Final = """
SELECT flow_id, flow_data
FROM unnest($1::text[]) AS wanted (id) CROSS JOIN LATERAL {s}.flow_by_id(wanted.id)
"""


class FlowPreviewStore:
    """Reads of users in `visible` only; None stands for all users."""

    def __init__(self, database: Database, visible: Collection[str] | None) -> None:
        self._database = database
        self._visible = None if visible is None else list(visible)

    async def owners(self, flow_ids: Sequence[str]) -> list[Row]:
        """The stored ones among these flows, with whose they are."""
        return await self._database.fetch(_OWNERS, list(flow_ids), self._visible)

    async def said(self, flow_ids: Sequence[str]) -> dict[str, Row]:
        rows = await self._database.fetch(_SAID, list(flow_ids), self._visible) if flow_ids else []
        return {row["flow_id"]: row for row in rows}

    async def documents(self, owners: Sequence[Row]) -> list[Row]:
        """The documents of flows that are small enough to be opened."""
        wanted = [row["flow_id"] for row in owners if (row["span_count"] or 0) <= _MAX_SPANS]
        if not wanted:
            return []
        rows, _ = await self._database.fetch_within(_MAX_BYTES, "flow_data", _DOCUMENTS, wanted)
        return rows
