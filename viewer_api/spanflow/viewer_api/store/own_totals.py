"""Totals of conversations for a client that may see only some of their participants.

The id of a conversation is the client's choice, so two users may have used the same one. The table of conversations
has one row for it, with the totals, the title and the times of all.
"""

from collections.abc import Collection, Sequence
from typing import Final

from spanflow.span_processors.tree.costs import sql_total
from spanflow.viewer_api.store.database import Database, Row

#: A condition on a row of `conversations AS known`: no other user takes part.
NOBODY_ELSE: Final = """NOT EXISTS (
    SELECT FROM {s}.user_activities AS other WHERE other.conversation_id = known.conversation_id
      AND (other.user_id IS NULL OR other.user_id <> ALL ({visible}))
)"""
_MIXED = """
SELECT DISTINCT conversation_id FROM {s}.user_activities
WHERE conversation_id = ANY ($1::text[]) AND (user_id IS NULL OR user_id <> ALL ($2::text[]))
"""
_OWN = f"""
SELECT conversation_id,
       (array_agg(user_id ORDER BY sequence_num, created_at))[1] AS user_id,
       (array_agg(session_id ORDER BY sequence_num, created_at) FILTER (WHERE session_id IS NOT NULL))[1] AS session_id,
       min(created_at) AS started_at, max(created_at) AS ended_at, count(*)::integer AS activity_count,
       (count(*) FILTER (WHERE activity_type = 'mcp_tool_call'))::integer AS tool_calls,
       coalesce(sum({{s}}.json_number(activity_data, 'tokens_used')), 0)::bigint AS tokens,
       {sql_total("{s}.json_number(activity_data, 'cost')")} AS cost,
       coalesce(array_agg(DISTINCT activity_data ->> 'mcp_server')
                FILTER (WHERE activity_data ->> 'mcp_server' IS NOT NULL), '{{}}') AS mcp_servers,
       left((array_agg(activity_data ->> 'message' ORDER BY sequence_num, created_at)
             FILTER (WHERE activity_type = 'user_message'))[1], 200) AS title
FROM {{s}}.user_activities
WHERE conversation_id = ANY ($1::text[]) AND user_id = ANY ($2::text[])
GROUP BY conversation_id
"""


async def own_total(database: Database, conversation_id: str, visible: Collection[str]) -> Row | None:
    """One conversation, of what the users in `visible` did in it; None when that is nothing."""
    return await database.fetchrow(_OWN, [conversation_id], list(visible))


async def own_totals(database: Database, rows: Sequence[Row], visible: Collection[str] | None) -> list[Row]:
    """Rows of the table of conversations, without what others did in them."""
    if visible is None or not rows:
        return list(rows)
    ids, users = [row["conversation_id"] for row in rows], list(visible)
    mixed = {row["conversation_id"] for row in await database.fetch(_MIXED, ids, users)}
    own = {row["conversation_id"]: row for row in await database.fetch(_OWN, sorted(mixed), users)} if mixed else {}
    visible_rows = ((own.get(row["conversation_id"]) if row["conversation_id"] in mixed else row) for row in rows)
    return [row for row in visible_rows if row is not None]
