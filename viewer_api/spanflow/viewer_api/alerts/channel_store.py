"""Channels: where events are sent. What they are reached by is used, and never shown again."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Connection, Database, Row

MAX_CHANNELS: Final = 100
_ALL: Final = f"SELECT * FROM {{s}}.alert_channels ORDER BY created_at DESC, channel_id LIMIT {MAX_CHANNELS}"
_ONE: Final = "SELECT * FROM {s}.alert_channels WHERE channel_id = $1"
_ADD: Final = """
INSERT INTO {s}.alert_channels
    (channel_id, name, kind, shown, hidden, enabled, created_at, created_by, changed_at, changed_by)
SELECT $1, $2, $3, $4::jsonb, $5::jsonb, $6, $7, $8, $7, $8 WHERE (SELECT count(*) FROM {s}.alert_channels) < $9
"""
_CHANGE: Final = """
UPDATE {s}.alert_channels
SET name = $2, shown = $3::jsonb, hidden = $4::jsonb, enabled = $5, changed_at = $6, changed_by = $7,
    version = version + 1
WHERE channel_id = $1
"""
_SWITCH_OFF: Final = """
UPDATE {s}.alert_channels SET enabled = false, changed_at = $2, changed_by = $3, version = version + 1
WHERE channel_id = $1 AND enabled
"""
_DELETE: Final = "DELETE FROM {s}.alert_channels WHERE channel_id = $1"
_KNOWN: Final = "SELECT channel_id FROM {s}.alert_channels WHERE channel_id = ANY ($1::text[])"


@dataclass(frozen=True, slots=True)
class Channel:
    channel_id: str
    name: str
    kind: str
    shown: dict[str, Any]
    hidden: dict[str, Any]
    enabled: bool
    version: int
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str


class ChannelStore:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def all(self) -> list[Channel]:
        async with self.database.transaction() as connection:
            return [channel_of(row) for row in await connection.fetch(self.database.sql(_ALL))]

    async def one(self, connection: Connection, channel_id: str) -> Channel | None:
        row = await connection.fetchrow(self.database.sql(_ONE), channel_id)
        return None if row is None else channel_of(row)

    async def unknown(self, connection: Connection, channel_ids: tuple[str, ...]) -> list[str]:
        """Those of these channels that are not there."""
        rows = await connection.fetch(self.database.sql(_KNOWN), list(channel_ids))
        existing = {row["channel_id"] for row in rows}
        return [channel_id for channel_id in channel_ids if channel_id not in existing]

    async def add(
        self,
        connection: Connection,
        name: str,
        kind: str,
        shown: dict[str, Any],
        hidden: dict[str, Any],
        enabled: bool,
        by: str,
        now: datetime,
    ) -> str:
        channel_id = secrets.token_hex(8)
        columns = (name, kind, _json(shown), _json(hidden), enabled, now, by, MAX_CHANNELS)
        if await connection.execute(self.database.sql(_ADD), channel_id, *columns) != "INSERT 0 1":
            raise Problem(409, "too_many_channels", f"There are {MAX_CHANNELS} channels already, the maximum.")
        return channel_id

    async def change(self, connection: Connection, channel: Channel, by: str, now: datetime) -> None:
        """Keep the name and all settings of `channel` as they are now."""
        columns = (channel.name, _json(channel.shown), _json(channel.hidden), channel.enabled, now, by)
        await connection.execute(self.database.sql(_CHANGE), channel.channel_id, *columns)

    async def switch_off(self, connection: Connection, channel_id: str, by: str, now: datetime) -> None:
        await connection.execute(self.database.sql(_SWITCH_OFF), channel_id, now, by)

    async def delete(self, connection: Connection, channel_id: str) -> None:
        await connection.execute(self.database.sql(_DELETE), channel_id)


def channel_of(row: Row) -> Channel:
    return Channel(
        row["channel_id"],
        row["name"],
        row["kind"],
        orjson.loads(row["shown"]),
        orjson.loads(row["hidden"]),
        row["enabled"],
        row["version"],
        row["created_at"],
        row["created_by"],
        row["changed_at"],
        row["changed_by"],
    )


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()
