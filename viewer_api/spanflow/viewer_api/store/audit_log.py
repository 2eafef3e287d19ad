"""Who watched or read whom. Rows are added and read; the application's role can neither change nor remove them."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any, Final

import orjson

from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Connection, Database, Row

#: A page that is reloaded, or a dashboard that asks every few seconds, is one look, not hundreds.
SAME_LOOK_SECONDS: Final = 60.0
_MAX_REMEMBERED: Final = 10_000
MAX_REASON: Final = 1000

_INSERT = """
INSERT INTO {s}.audit_log (actor, actor_role, action, target_user, target, reason, remote, outcome, detail)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::jsonb[])
"""
# Newest first; the place of a page is the row that the page before ended with.
_LIST = """
SELECT id, at, actor, actor_role, action, target_user, target, reason, remote, outcome, detail
FROM {s}.audit_log
WHERE {conditions}
ORDER BY at DESC, id DESC LIMIT $1
"""
_BEFORE = "(at, id) < (SELECT place.at, place.id FROM {s}.audit_log AS place WHERE place.id = {n})"
_TEXT = "strpos({s}.folded(concat_ws(' ', target, reason, detail::text, remote)), {s}.folded({n})) > 0"


@dataclass(frozen=True, slots=True)
class Entry:
    """One action."""

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
    role: str | None = None
    #: What was asked for, by name.
    searched: tuple[tuple[str, Any], ...] = ()
    #: What else is worth knowing.
    detail: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries are asked for; None asks for any."""

    user_id: str | None = None
    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    #: Any part of what was looked at, the reason, what was searched or the address.
    text: str | None = None


class AuditLog:
    """Written before the data is handed out: what cannot be logged is not shown."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._looks: OrderedDict[Entry, float] = OrderedDict()
        #: Rows since the process began: written, and refused by Postgres.
        self.written = 0
        self.failed = 0

    async def record_access(self, *entries: Entry, once_in: float = SAME_LOOK_SECONDS) -> None:
        """Record a read; the same read within a minute, or within so many seconds, is one row."""
        now = self._monotonic()
        new = [entry for entry in dict.fromkeys(entries) if self._looks.get(entry, -inf) <= now - once_in]
        if new:
            await self._write(new)
        for entry in new:
            self._looks[entry] = now
            self._looks.move_to_end(entry)
        while len(self._looks) > _MAX_REMEMBERED:
            self._looks.popitem(last=False)

    async def write(self, entry: Entry, detail: dict[str, Any] | None = None) -> None:
        await self._write([entry], detail)

    async def _write(self, entries: Collection[Entry], detail: dict[str, Any] | None = None) -> None:
        try:
            async with self._database.transaction() as connection:
                await self.write_in(connection, entries, detail)
        except Problem:
            self.failed += 1
            raise

    async def write_in(
        self, connection: Connection, entries: Collection[Entry], detail: dict[str, Any] | None = None
    ) -> None:
        """Entries that are there if, and only if, the caller's transaction succeeds."""
        columns = zip(*(_columns(entry, detail or {}) for entry in entries), strict=True)
        if entries:
            await connection.execute(self._database.sql(_INSERT), *map(list, columns))
            self.written += len(entries)

    async def page(self, filters: Filters, before: int | None, limit: int) -> Sequence[Row]:
        """Entries, newest first, older than the entry `before`."""
        values: list[Any] = [limit]
        conditions: list[str] = []
        for condition, value in (
            (_BEFORE, before),
            ("target_user = {n}", filters.user_id),
            ("actor = {n}", filters.actor),
            ("action = {n}", filters.action),
            ("outcome = {n}", filters.outcome),
            ("at >= {n}", filters.since),
            ("at < {n}", filters.until),
            (_TEXT, filters.text),
        ):
            if value is not None:
                values.append(value)
                conditions.append(condition.replace("{n}", f"${len(values)}"))
        return await self._database.fetch(_LIST.replace("{conditions}", " AND ".join(conditions) or "true"), *values)


def _columns(entry: Entry, detail: dict[str, Any]) -> tuple[Any, ...]:
    searched = {"searched": dict(entry.searched)} if entry.searched else {}
    shown = orjson.dumps({"via": entry.via, **searched, **dict(entry.detail), **detail}).decode()
    return (
        entry.actor,
        entry.role,
        entry.action,
        entry.target_user,
        entry.target,
        entry.reason,
        entry.remote,
        entry.outcome,
        shown,
    )
