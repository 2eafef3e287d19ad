"""Who is watched, for what reason and until when: the durable side, in `omni2_config`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from spanflow.span_processors import names
from spanflow.viewer_api.store.database import Database, Row

_PREFIX = names.monitor_config_key("")
_UPSERT = """
INSERT INTO {s}.omni2_config (config_key, config_value, description, is_active)
SELECT $1 || user_id, $3::jsonb, 'Watched user', true FROM unnest($2::text[]) AS user_id
ON CONFLICT (config_key) DO UPDATE
SET config_value = excluded.config_value, is_active = true, updated_at = now()
"""
_DISABLE = """
UPDATE {s}.omni2_config SET is_active = false, updated_at = now()
WHERE config_key = ANY(SELECT $1 || user_id FROM unnest($2::text[]) AS user_id) AND is_active
"""
_LIST = """
SELECT config_key, config_value, is_active, updated_at FROM {s}.omni2_config
WHERE starts_with(config_key, $1) AND (is_active OR updated_at > now() - interval '2 days')
ORDER BY updated_at DESC, config_key LIMIT 10000
"""
# Looks at the row as it is now: a watch that was extended meanwhile stays.
_END_EXPIRED = """
UPDATE {s}.omni2_config SET is_active = false, updated_at = now()
WHERE config_key = $1 AND is_active AND config_value = $2::jsonb
RETURNING true
"""


@dataclass(frozen=True, slots=True)
class Watch:
    """One watched user. `expires_at` in seconds since 1970."""

    user_id: str
    expires_at: float
    active: bool = True
    reason: str | None = None
    by: str | None = None
    enabled_at: float | None = None
    #: The stored value, to end exactly this watch and no later one.
    stored: str = ""

    def is_running(self, now: float) -> bool:
        return self.active and self.expires_at > now


class WatchStore:
    """Rows `monitor_user_<id>`; gateways written before Spanflow keep theirs in the same place."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enable(
        self, user_ids: Sequence[str], *, expires_at: int, enabled_at: float, reason: str | None, by: str
    ) -> None:
        value = {"expires_at": expires_at, "reason": reason, "by": by, "enabled_at": int(enabled_at)}
        await self._database.execute(_UPSERT, _PREFIX, list(user_ids), orjson.dumps(value).decode())

    async def disable(self, user_ids: Sequence[str]) -> None:
        await self._database.execute(_DISABLE, _PREFIX, list(user_ids))

    async def all(self) -> list[Watch]:
        """Every watch that is active, and those that ended in the last two days, newest first."""
        rows = await self._database.fetch(_LIST, _PREFIX)
        return [watch for row in rows if (watch := _read(row)) is not None]

    async def running(self, now: float) -> list[Watch]:
        return [watch for watch in await self.all() if watch.is_running(now)]

    async def end_expired(self, watch: Watch) -> bool:
        """Mark a watch as over; False when somebody changed it meanwhile or another process was faster."""
        async with self._database.transaction() as connection:
            done = await connection.fetchval(
                self._database.sql(_END_EXPIRED), names.monitor_config_key(watch.user_id), watch.stored
            )
        return bool(done)


def _read(row: Row) -> Watch | None:
    try:
        value = orjson.loads(row["config_value"] or "{}")
    except ValueError:
        return None
    expires_at = _seconds(value.get("expires_at")) if isinstance(value, dict) else None
    if expires_at is None:
        return None
    return Watch(
        user_id=row["config_key"][len(_PREFIX) :],
        expires_at=expires_at,
        active=row["is_active"],
        reason=_text(value.get("reason")),
        by=_text(value.get("by")),
        enabled_at=_seconds(value.get("enabled_at")) or row["updated_at"].timestamp(),
        stored=row["config_value"],
    )


def _seconds(value: Any) -> float | None:
    """Epoch seconds, or the ISO 8601 text that older gateways wrote."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
