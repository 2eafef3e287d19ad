"""The user directory: who is behind an id."""

from collections.abc import Iterable
from typing import Final

from spanflow.viewer_api.store.database import Database, Row

_RECENT = "SELECT user_id, email, full_name FROM {s}.user_directory ORDER BY last_seen DESC, user_id LIMIT $1"
_SEARCH = "SELECT user_id, email, full_name FROM {s}.search_users($1, $2)"
# The index knows runs of three characters; of fewer it finds beginnings. But two characters may be a whole given name.
_INDEXED_LENGTH: Final = 3
_SCAN = """
SELECT user_id, email, full_name FROM {s}.user_directory WHERE strpos(haystack, lower($1)) > 0
ORDER BY last_seen DESC, user_id LIMIT $2
"""
_BY_IDS = "SELECT user_id, email, full_name FROM {s}.user_directory WHERE user_id = ANY($1::text[])"


class UserStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, query: str, limit: int) -> list[Row]:
        """People whose id, e-mail address or name contains `query`; the most recently seen ones for an empty query."""
        if query and len(query) < _INDEXED_LENGTH and not query.isascii():
            return await self._database.fetch(_SCAN, query, limit)
        if query:
            return await self._database.fetch(_SEARCH, query, limit)
        return await self._database.fetch(_RECENT, limit)

    async def by_ids(self, user_ids: Iterable[str]) -> dict[str, Row]:
        rows = await self._database.fetch(_BY_IDS, list(user_ids))
        return {row["user_id"]: row for row in rows}
