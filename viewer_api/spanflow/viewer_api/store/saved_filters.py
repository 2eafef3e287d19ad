"""Searches of flows under names: an operator's own, and those that others share."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from spanflow.viewer_api.store.database import Connection, Database, Row, as_array

#: Of one operator; and of those that others share, the newest.
MAX_FILTERS: Final = 200
_MAX_SHARED: Final = 500
_COLUMNS: Final = "filter_id, name, filter::text AS filter, user_ids, shared, created_at, created_by, changed_at, owner"
#: A search for users who may not be seen is like one that is not there.
_LIST: Final = f"""
(SELECT {_COLUMNS} FROM {{s}}.saved_filters WHERE owner = $1)
UNION ALL
(SELECT {_COLUMNS} FROM {{s}}.saved_filters
 WHERE shared AND owner <> $1 AND ($2::text[] IS NULL OR user_ids <@ $2) AND ($3 OR NOT filter ? 'verdict')
 ORDER BY changed_at DESC LIMIT {_MAX_SHARED})
ORDER BY name, filter_id
"""
_SAVE: Final = f"""
INSERT INTO {{s}}.saved_filters
    (filter_id, name, filter, user_ids, shared, created_at, changed_at, owner, created_by, owner_user_id)
SELECT $1, $2, $3::jsonb, $4::text[], $5, $6, $6, $7, $8, $9
WHERE (SELECT count(*) FROM {{s}}.saved_filters WHERE owner = $7 AND name <> $2) < {MAX_FILTERS}
ON CONFLICT (owner, name) DO UPDATE
SET filter = excluded.filter, user_ids = excluded.user_ids, shared = excluded.shared, changed_at = excluded.changed_at
RETURNING {_COLUMNS}
"""
_DELETE: Final = f"""
DELETE FROM {{s}}.saved_filters WHERE filter_id = $1 AND (owner = $2 OR ($3 AND shared)) RETURNING {_COLUMNS}
"""


@dataclass(frozen=True, slots=True)
class NewFilter:
    name: str
    filter: Mapping[str, Sequence[str]]
    shared: bool
    owner: str
    created_by: str
    owner_user_id: str | None


class SavedFilters:
    """`database` is the one that is written to: who has saved a search finds it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def of(self, owner: str, visible: Collection[str] | None, *, verdicts: bool) -> Sequence[Row]:
        """By name. `verdicts`: also searches for what operators think of flows."""
        async with self.database.transaction() as connection:
            statement = self.database.sql(_LIST)
            rows: Sequence[Row] = await connection.fetch(statement, owner, as_array(visible), verdicts)
        return rows

    async def save(self, connection: Connection, new: NewFilter, now: datetime) -> Row | None:
        """Under a name that its owner has already, it takes the place of the one before. None when there are too
        many."""
        row: Row | None = await connection.fetchrow(
            self.database.sql(_SAVE),
            secrets.token_hex(8),
            new.name,
            orjson.dumps({name: list(values) for name, values in new.filter.items()}).decode(),
            list(new.filter.get("user_id", ())),
            new.shared,
            now,
            new.owner,
            new.created_by,
            new.owner_user_id,
        )
        return row

    async def delete(self, connection: Connection, filter_id: str, owner: str, *, shared: bool) -> Row | None:
        """One of this owner; with `shared` also one that somebody shares."""
        row: Row | None = await connection.fetchrow(self.database.sql(_DELETE), filter_id, owner, shared)
        return row
