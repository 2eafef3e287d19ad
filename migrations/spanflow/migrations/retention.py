"""Make the partitions of the weeks to come and let go of what is too old.

One job that any process may run, at any time and several at once: what is done already is not done again. It needs
no rights on tables, only those to call the schema's functions.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg

from spanflow.migrations.scripts import quoted
from spanflow.span_processors.names import DEFAULT_SCHEMA

#: Rows that one statement deletes, so that no lock is held for long.
BATCH: Final = 10_000
WEEKS_AHEAD: Final = 4


@dataclass(frozen=True, slots=True)
class DroppedWeek:
    """A partition that went, or would go. The number of rows is the server's estimate."""

    partition: str
    first_day: str
    last_day: str
    estimated_rows: int


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did, or, when it was a dry run, would do."""

    dry_run: bool
    partitions_made: int
    weeks: tuple[DroppedWeek, ...]
    flow_keys: int
    activities: int
    poison_records: int
    audit_entries: int = 0
    statistics: int = 0
    alerts: int = 0
    annotations: int = 0
    #: Why weeks that should have gone are still there; they go with the next run.
    postponed: str | None = None


async def run_retention(
    connection: asyncpg.Connection,
    schema: str = DEFAULT_SCHEMA,
    *,
    flow_days: int,
    activity_days: int,
    audit_days: int = 0,
    dry_run: bool = False,
) -> Report:
    """Run the job once. `connection` must not be inside a transaction: each step is one of its own.

    The audit log is kept for ever unless `audit_days` says how long.
    """
    prefix = quoted(schema)
    made = 0 if dry_run else await ensure_partitions(connection, schema)
    weeks, postponed = await _drop_weeks(connection, prefix, flow_days, dry_run)
    poison = await connection.fetchval(f"SELECT {prefix}.expire_poison_records($1, $2)", flow_days, dry_run)
    if dry_run:
        activities = await connection.fetchval(
            f"SELECT {prefix}.expire_activities($1, dry_run => true)", activity_days, timeout=None
        )
        audit = (
            await connection.fetchval(
                f"SELECT {prefix}.expire_audit_log($1, dry_run => true)", audit_days, timeout=None
            )
            if audit_days
            else 0
        )
        keys = sum(week.estimated_rows for week in weeks)
        statistics = alerts = annotations = 0
    else:
        keys = await _until_none(connection, f"SELECT {prefix}.expire_flow_keys($1)", BATCH)
        activities = await _until_none(connection, f"SELECT {prefix}.expire_activities($2, $1)", BATCH, activity_days)
        expire_audit = f"SELECT {prefix}.expire_audit_log($2, $1)"
        audit = await _until_none(connection, expire_audit, BATCH, audit_days) if audit_days else 0
        statistics = await _until_none(connection, f"SELECT {prefix}.expire_statistics($1)", BATCH)
        alerts = await _until_none(connection, f"SELECT {prefix}.expire_alerts($2, $1)", BATCH, flow_days)
        annotations = await _until_none(connection, f"SELECT {prefix}.expire_annotations($1)", BATCH)
    return Report(
        dry_run=dry_run,
        partitions_made=made,
        weeks=weeks,
        flow_keys=keys,
        activities=activities,
        poison_records=poison,
        audit_entries=audit,
        statistics=statistics,
        alerts=alerts,
        annotations=annotations,
        postponed=postponed,
    )


async def ensure_partitions(
    connection: asyncpg.Connection, schema: str = DEFAULT_SCHEMA, weeks_ahead: int = WEEKS_AHEAD
) -> int:
    """Make the partitions up to so many weeks from now; gives the number of those that were missing."""
    made: int = await connection.fetchval(f"SELECT {quoted(schema)}.ensure_flow_partitions($1)", weeks_ahead)
    return made


async def _drop_weeks(
    connection: asyncpg.Connection, prefix: str, flow_days: int, dry_run: bool
) -> tuple[tuple[DroppedWeek, ...], str | None]:
    try:
        rows = await connection.fetch(
            f"""
            SELECT name, (lower_key AT TIME ZONE 'UTC')::date::text AS first_day,
                   ((upper_key - interval '1 day') AT TIME ZONE 'UTC')::date::text AS last_day, estimated_rows
            FROM {prefix}.drop_flow_partitions($1, $2)
            """,
            flow_days,
            dry_run,
        )
    except asyncpg.LockNotAvailableError:
        # A long query reads the table. Waiting for it would make every later reader and writer wait as well.
        return (), "the table of flows was in use for too long"
    return tuple(
        DroppedWeek(row["name"], row["first_day"], row["last_day"], row["estimated_rows"]) for row in rows
    ), None


async def _until_none(connection: asyncpg.Connection, statement: str, batch: int, *more: object) -> int:
    """Repeat a bounded deletion until it finds nothing more to delete."""
    total = 0
    while removed := await connection.fetchval(statement, batch, *more):
        total += removed
    return total
