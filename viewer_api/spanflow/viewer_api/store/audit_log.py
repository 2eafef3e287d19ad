"""Who watched or read whom."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from spanflow.viewer_api.store.database import Database, Row

#: A page that is reloaded, or a dashboard that asks every few seconds, is one look, not hundreds.
_SAME_LOOK_SECONDS: Final = 60.0
_MAX_REMEMBERED: Final = 10_000
MAX_REASON: Final = 1000

_INSERT = """
INSERT INTO {s}.audit_log (actor, action, target_user, target, reason, remote, outcome, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)
"""
_LIST = """
SELECT id, at, actor, action, target_user, target, reason, remote, outcome, detail FROM {s}.audit_log
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR target_user = $2) AND ($3::text IS NULL OR actor = $3)
ORDER BY id DESC LIMIT $4
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that somebody did."""

    actor: str
    via: str
    action: str
    #: The user who was watched or read.
    target_user: str | None = None
    #: Which flow, session, conversation or activity.
    target: str | None = None
    reason: str | None = None
    remote: str | None = None
    outcome: str = "ok"


class AuditLog:
    """Written before the data is handed out: what cannot be logged is not shown."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._looks: OrderedDict[Entry, float] = OrderedDict()

    async def look(self, entry: Entry) -> None:
        """Somebody reads; the same look within a minute is one row."""
        now = self._monotonic()
        seen = self._looks.get(entry)
        if seen is not None and now - seen < _SAME_LOOK_SECONDS:
            return
        await self.write(entry)
        self._looks[entry] = now
        self._looks.move_to_end(entry)
        while len(self._looks) > _MAX_REMEMBERED:
            self._looks.popitem(last=False)

    async def write(self, entry: Entry, detail: dict[str, Any] | None = None) -> None:
        await self._database.execute(
            _INSERT,
            entry.actor,
            entry.action,
            entry.target_user,
            entry.target,
            entry.reason,
            entry.remote,
            entry.outcome,
            orjson.dumps({"via": entry.via, **(detail or {})}).decode(),
        )

    async def page(self, before: int | None, target_user: str | None, actor: str | None, limit: int) -> list[Row]:
        """Entries, newest first, older than the entry `before`."""
        return await self._database.fetch(_LIST, before, target_user, actor, limit)
