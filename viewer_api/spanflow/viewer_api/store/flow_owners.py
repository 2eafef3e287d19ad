"""Whose flow or conversation it is, by what is stored."""

from typing import Final

from spanflow.viewer_api.store.database import Database

_OF_FLOW: Final = """
SELECT user_id FROM {s}.interaction_flows
WHERE flow_id = $1 AND start_key = (SELECT start_key FROM {s}.flow_keys WHERE flow_id = $1)
"""
_OF_CONVERSATION: Final = """
SELECT user_id FROM {s}.conversations WHERE conversation_id = $1
UNION
SELECT user_id FROM (
    SELECT user_id FROM {s}.interaction_flows WHERE conversation_id = $1
    ORDER BY start_key DESC, flow_id DESC LIMIT 100
) AS recent
"""


class FlowOwners:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_flow(self, flow_id: str) -> list[str | None]:
        """Its user, None for a flow without one; empty when it is not stored."""
        row = await self._database.fetchrow(_OF_FLOW, flow_id)
        return [] if row is None else [row["user_id"]]

    async def of_conversation(self, conversation_id: str) -> list[str | None]:
        """The users who have something in it: nearly always one."""
        return [row["user_id"] for row in await self._database.fetch(_OF_CONVERSATION, conversation_id)]
