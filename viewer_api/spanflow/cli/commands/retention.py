"""`spanflow retention`: let go of what is too old, and make the partitions of the weeks to come."""

import argparse
import asyncio
import os

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.extras import VIEWER
from spanflow.cli.running_stack import with_running_stack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only report what would be deleted")


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.unreachable import explained
    from spanflow.migrations.retention import Report, run_retention
    from spanflow.span_processors.archive.postgres import connect
    from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

    settings = ViewerSettings.from_environ(with_running_stack(os.environ, ViewerSettings))

    async def once() -> Report:
        connection = await connect(settings, "retention")
        try:
            return await run_retention(
                connection,
                settings.schema,
                flow_days=settings.flow_retention_days,
                activity_days=settings.activity_retention_days,
                audit_days=settings.audit_retention_days,
                dry_run=arguments.dry_run,
            )
        finally:
            await connection.close()

    with explained(settings):
        report = asyncio.run(once())
    verb = "Would delete" if report.dry_run else "Deleted"
    for week in report.weeks:
        console.result(
            f"{verb} {week.partition}, the week {week.first_day} to {week.last_day}: about {week.estimated_rows} flows."
        )
    console.result(
        f"{verb} {report.flow_keys} flow keys, {report.activities} activities and {report.poison_records} records that "
        f"could not be stored. Flows are kept for {settings.flow_retention_days} days, activities for "
        f"{settings.activity_retention_days}."
    )
    if kept := settings.audit_retention_days:
        console.result(f"{verb} {report.audit_entries} entries of the audit log, which is kept for {kept} days.")
    if not report.dry_run:
        console.result(f"Made {report.partitions_made} partitions for the weeks to come.")
    if report.postponed:
        console.problem(f"some weeks are still there, because {report.postponed}; run this again later.")
        return 1
    return 0


COMMAND = Command(
    name="retention",
    help="delete data older than the retention period",
    description="Delete flows and activities older than SPANFLOW_FLOW_RETENTION_DAYS and "
    "SPANFLOW_ACTIVITY_RETENTION_DAYS, and create the partitions of the coming weeks. Viewers do this "
    "automatically; it is safe to run at any time.",
    run=run,
    add_arguments=add_arguments,
    extra=VIEWER,
)
