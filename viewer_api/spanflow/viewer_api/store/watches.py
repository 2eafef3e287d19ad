"""Who is watched, for what reason and until when: the durable side, in `omni2_config`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from spanflow.span_processors import names
from spanflow.viewer_api.store.database import Connection, Database, Row

_PREFIX = names.monitor_config_key("")
#: The end of the year 9999; later than that no clock of ours goes.
_LAST_MOMENT: Final = 253_402_300_799.0
#: Of all extensions of a watch, so many are kept with it; the audit log has every one.
_MAX_EXTENSIONS: Final = 20
# Held until the end of a change, so that two of them count the watched users one after the other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('spanflow watched users {s}', 0))"
_OWNER = """
SELECT md5(concat_ws(' ', current_database(), relation.relnamespace, '{s}',
                     CASE WHEN has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
                          THEN (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) END)) AS owner
FROM pg_catalog.pg_class AS relation WHERE oid = '{s}.omni2_config'::regclass
"""
_PUT = """
INSERT INTO {s}.omni2_config (config_key, config_value, description, is_active)
SELECT $1 || user_id, value::jsonb, 'Watched user', true
FROM unnest($2::text[], $3::text[]) AS given (user_id, value)
ON CONFLICT (config_key) DO UPDATE
SET config_value = excluded.config_value, is_active = true, updated_at = now()
"""
_DISABLE = """
UPDATE {s}.omni2_config SET is_active = false, updated_at = now()
WHERE config_key = ANY(SELECT $1 || user_id FROM unnest($2::text[]) AS user_id) AND is_active
RETURNING config_key
"""
_LIST = """
SELECT config_key, config_value, is_active, updated_at FROM {s}.omni2_config
WHERE starts_with(config_key, $1) AND (is_active OR updated_at > now() - interval '2 days')
ORDER BY is_active DESC, updated_at DESC, config_key LIMIT 110000
"""
_ACTIVE = """
SELECT config_key, config_value, is_active, updated_at FROM {s}.omni2_config
WHERE starts_with(config_key, $1) AND is_active
FOR UPDATE
"""
_NAMED = """
SELECT config_key, config_value, is_active, updated_at FROM {s}.omni2_config
WHERE config_key = ANY(SELECT $1 || user_id FROM unnest($2::text[]) AS user_id) AND is_active
ORDER BY config_key FOR UPDATE
"""
# Looks at the rows as they are now: a watch that was extended in between stays.
_END_EXPIRED = """
UPDATE {s}.omni2_config AS config SET is_active = false, updated_at = now()
FROM unnest($2::text[], $3::text[]) AS ended (user_id, value)
WHERE config_key = $1 || ended.user_id AND is_active AND config_value = ended.value::jsonb
RETURNING config_key
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
    #: Those who watch see what happened, but not what was said. None: the writer of the row did not specify it.
    metadata_only: bool | None = None
    #: Who made it last longer, when, why and until when; the latest at the end.
    extensions: Sequence[Mapping[str, Any]] = field(default=(), hash=False)
    #: The stored value, to end exactly this watch and no later one.
    stored: str = ""

    def is_running(self, now: float) -> bool:
        return self.active and self.expires_at > now

    def value(self) -> dict[str, Any]:
        """As it is stored; what others have put beside it stays."""
        kept = orjson.loads(self.stored) if self.stored else {}
        value: dict[str, Any] = {**kept, "expires_at": int(self.expires_at), "reason": self.reason, "by": self.by}
        if self.enabled_at is not None:
            value["enabled_at"] = int(self.enabled_at)
        if self.metadata_only is not None:
            value["metadata_only"] = self.metadata_only
        if self.extensions:
            value["extensions"] = list(self.extensions[-_MAX_EXTENSIONS:])
        return value


class WatchStore:
    """Rows `monitor_user_<id>`; gateways written before Spanflow keep theirs in the same place.

    What changes something takes the caller's transaction: the audit log is written in the same one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owner: str | None = None

    async def owner(self) -> str:
        """A name for this database and schema, the same in all viewer processes that work with it."""
        if self._owner is None:
            row = await self._database.fetchrow(_OWNER)
            assert row is not None
            self._owner = str(row["owner"])
        return self._owner

    async def lock(self, connection: Connection) -> None:
        """Lock the watches against other writers until the transaction ends."""
        await connection.execute(self._database.sql(_LOCK))

    async def put(self, connection: Connection, watches: Collection[Watch]) -> None:
        """Begin these watches, or replace those of the same users."""
        users = [watch.user_id for watch in watches]
        values = [orjson.dumps(watch.value()).decode() for watch in watches]
        await connection.execute(self._database.sql(_PUT), _PREFIX, users, values)

    async def disable(self, connection: Connection, user_ids: Sequence[str]) -> set[str]:
        """End their watches; those users who had one."""
        rows = await connection.fetch(self._database.sql(_DISABLE), _PREFIX, list(user_ids))
        return {_user(row) for row in rows}

    async def active(self, connection: Connection, user_ids: Sequence[str] | None = None) -> dict[str, Watch]:
        """The watches of these users (of all) that were not ended; they may have expired."""
        if user_ids is None:
            rows = await connection.fetch(self._database.sql(_ACTIVE), _PREFIX)
        else:
            rows = await connection.fetch(self._database.sql(_NAMED), _PREFIX, list(user_ids))
        return {watch.user_id: watch for watch in _watches(rows)}

    async def all(self) -> list[Watch]:
        """Every watch that is active, and those that ended in the last two days, newest first."""
        return list(_watches(await self._database.fetch(_LIST, _PREFIX)))

    async def end_expired(self, connection: Connection, watches: Collection[Watch]) -> set[str]:
        """Mark watches as ended; returns the users whose watch was not changed or ended concurrently."""
        users, values = [watch.user_id for watch in watches], [watch.stored for watch in watches]
        rows = await connection.fetch(self._database.sql(_END_EXPIRED), _PREFIX, users, values)
        return {_user(row) for row in rows}


def _watches(rows: Iterable[Row]) -> Iterable[Watch]:
    return (watch for row in rows if (watch := _read(row)) is not None)


def _user(row: Row) -> str:
    return str(row["config_key"][len(_PREFIX) :])


def _read(row: Row) -> Watch | None:
    try:
        value = orjson.loads(row["config_value"] or "{}")
    except ValueError:
        return None
    expires_at = _seconds(value.get("expires_at")) if isinstance(value, dict) else None
    if expires_at is None:
        return None
    withheld = value.get("metadata_only")
    extensions = value.get("extensions")
    return Watch(
        user_id=_user(row),
        expires_at=expires_at,
        active=row["is_active"],
        reason=_text(value.get("reason")),
        by=_text(value.get("by")),
        enabled_at=_seconds(value.get("enabled_at")) or row["updated_at"].timestamp(),
        metadata_only=withheld if isinstance(withheld, bool) else None,
        extensions=[each for each in extensions if isinstance(each, dict)] if isinstance(extensions, list) else (),
        stored=row["config_value"],
    )


def _seconds(value: Any) -> float | None:
    """Epoch seconds, or the ISO 8601 text that older gateways wrote."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return max(0.0, min(float(value), _LAST_MOMENT))
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
