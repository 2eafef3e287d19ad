"""Periodic jobs that any viewer may run: partitions and retention once a day, and the reaper."""

import logging
from dataclasses import asdict
from typing import Any, Final

from spanflow.migrations.retention import run_retention
from spanflow.span_processors.archive.postgres import connect
from spanflow.span_processors.archive.reaper import Reaper, ReaperCounts
from spanflow.viewer_api.background.jobs import JobRegistry
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
        "Retention: %d partitions created; %s of flows and %d activities deleted%s.",
        report.partitions_made,
        weeks,
        report.activities,
        f"; {report.postponed}, the rest is postponed" if report.postponed else "",
    )


class Reaping:
    """A reaper that ended has let go of its connections: each run has a new one. The counts are of all of them."""

    NAME: Final = "reaper"

    def __init__(self, settings: ViewerSettings, registry: JobRegistry) -> None:
        self._settings = settings
        self._registry = registry
        self._reaper: Reaper | None = None
        self.counts = ReaperCounts()

    @property
    def waiting(self) -> int:
        """Flows that could not be archived and are tried ever more rarely."""
        return self._reaper.waiting if self._reaper is not None else 0

    def details(self) -> dict[str, Any]:
        """For those who run the viewer."""
        details: dict[str, Any] = {**asdict(self.counts), "waiting": self.waiting}
        if self._reaper is not None and self._reaper.problem is not None:
            details["problem"] = self._reaper.problem
        return details

    async def run(self) -> None:
        self._reaper = Reaper(self._settings, counts=self.counts, scanned=self._scanned)
        await self._reaper.run()

    def _scanned(self, reaper: Reaper) -> None:
        if reaper.failing and reaper.problem is not None:
            self._registry.record(self.NAME).failed(reaper.problem, self._registry.monotonic())
