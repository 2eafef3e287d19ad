"""The daily job: partitions for the weeks to come, and letting go of what is too old. Any viewer may do it."""

import logging

from spanflow.migrations.retention import run_retention
from spanflow.span_processors.archive.postgres import connect
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

log = logging.getLogger(__name__)


async def keep_tables(settings: ViewerSettings) -> None:
    """Run it once. Each of its steps is bounded and may be repeated by anybody."""
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
