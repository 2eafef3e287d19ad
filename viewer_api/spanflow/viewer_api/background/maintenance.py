"""Periodic jobs that any viewer may run: partitions and retention once a day, and the reaper."""

import logging

from spanflow.migrations.retention import run_retention
from spanflow.span_processors.archive.postgres import connect
from spanflow.span_processors.archive.reaper import Reaper
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

log = logging.getLogger(__name__)


async def keep_tables(settings: ViewerSettings) -> None:
    """Create coming partitions and drop expired data once. Every step is bounded and idempotent."""
    connection = await connect(settings, "retention")
    try:
        report = await run_retention(
            connection,
            settings.schema,
            flow_days=settings.flow_retention_days,
            activity_days=settings.activity_retention_days,
            audit_days=settings.audit_retention_days,
        )
    finally:
        await connection.close(timeout=5)
    weeks = ", ".join(week.partition for week in report.weeks) or "no week"
    log.info(
        "Retention: %d partitions made; %s of flows and %d activities were too old and went%s.",
        report.partitions_made,
        weeks,
        report.activities,
        f"; {report.postponed}, the rest goes later" if report.postponed else "",
    )


class Reaping:
    """A reaper that ended has let go of its connections: each run has a new one."""

    def __init__(self, settings: ViewerSettings) -> None:
        self._settings = settings
        self._reaper: Reaper | None = None
        self._before = 0

    @property
    def reaped(self) -> int:
        """Flows archived since the process began."""
        return self._before + (self._reaper.reaped if self._reaper else 0)

    async def run(self) -> None:
        self._before = self.reaped
        self._reaper = Reaper(self._settings)
        await self._reaper.run()
