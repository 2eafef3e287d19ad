"""Whether this viewer can serve, and what it has to do without."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from spanflow.migrations.scripts import head
from spanflow.viewer_api.background.jobs import JobRegistry
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.live.hub import Hub
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.redis_flows import RedisFlows

log = logging.getLogger(__name__)

#: Any client may ask at any rate; the servers are probed this often at most.
_FRESH_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 2.0
_ABOUT_POSTGRES: Final = """
SELECT (SELECT version_num FROM {s}.spanflow_schema_version) AS revision, current_user AS role,
       has_table_privilege($1, 'UPDATE') AS may_change_audit
"""


@dataclass(frozen=True, slots=True)
class Report:
    """`parts` are public; `details` are for operators only."""

    status: str
    parts: dict[str, str]
    details: dict[str, Any]

    @property
    def serves(self) -> bool:
        return self.status != "unavailable"


@dataclass
class Readiness:
    """One per viewer process."""

    database: Database
    #: What the past is read from: it may be a replica.
    reads: Database
    redis: RedisFlows
    hub: Hub
    jobs: JobRegistry
    #: What is wrong with a file of the settings that was good when the viewer started.
    spoilt: Callable[[], str | None] = lambda: None
    #: What the reaper has done, and what is in its way.
    reaper: Callable[[], dict[str, Any]] = dict
    monotonic: Callable[[], float] = time.monotonic
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _known: tuple[float, Report] | None = None

    async def report(self) -> Report:
        """What holds now, or did a moment ago."""
        async with self._asking:
            if self._known is None or self.monotonic() - self._known[0] > _FRESH_SECONDS:
                report = await self._asked()
                self._known = (self.monotonic(), report)
            return self._known[1]

    async def _asked(self) -> Report:
        (postgres, schema, details), reads, redis = await asyncio.gather(
            self._about_postgres(), _within(self.reads.is_up()), _within(self.redis.is_up())
        )
        failing = self.jobs.failing()
        parts = {
            "postgres": postgres,
            "schema": schema,
            "reads": reads,
            "redis": redis,
            "jobs": "failing" if failing else "ok",
        }
        details["jobs"] = {record.name: {"runs": record.runs, "failures": record.failures} for record in self.jobs}
        details["reaper"] = self.reaper()
        for record in failing:
            details["jobs"][record.name]["last_error"] = record.last_error
        if (spoilt := self.spoilt()) is not None:
            parts["sign_in"] = "file_spoilt"
            details["sign_in"] = spoilt
        if self.hub.stopping or postgres != "up" or schema in {"missing", "behind"}:
            status = "unavailable"
        else:
            status = "ok" if reads == redis == "up" and not failing and not spoilt else "degraded"
        return Report(status, parts, details)

    async def _about_postgres(self) -> tuple[str, str, dict[str, Any]]:
        """Whether it is there, how its schema is, and more for those who run it."""
        details: dict[str, Any] = {"schema_needed": head()}
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                async with self.database.transaction() as connection:
                    about = self.database.sql(_ABOUT_POSTGRES)
                    row = await connection.fetchrow(about, self.database.sql("{s}.audit_log"))
        except TimeoutError:
            return "down", "unknown", details
        except Problem as why:
            if why.code == "not_migrated":
                return "up", "missing", details
            return "down", "unknown", details
        assert row is not None
        details |= {"schema_found": row["revision"], "role": row["role"], "may_change_audit": row["may_change_audit"]}
        return "up", _compared(row["revision"], details["schema_needed"]), details


async def _within(answer: Awaitable[bool]) -> str:
    """Who takes too long counts as down."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return "up" if await answer else "down"
    except TimeoutError:
        return "down"


def _compared(found: str | None, needed: str) -> str:
    """Revisions are numbered: an older schema lacks what we need, a newer one has it still."""
    if found is None:
        return "missing"
    return "current" if found == needed else "behind" if found < needed else "ahead"
