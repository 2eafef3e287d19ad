"""What goes, what stays, and who may let it go."""

import asyncio
from datetime import date, timedelta

import asyncpg
import pytest
from inline_snapshot import snapshot

from spanflow.migrations.retention import Report, run_retention
from tests.support.query import query, script, value


def retain(
    dsn: str,
    *,
    flow_days: int = 90,
    activity_days: int = 365,
    audit_days: int = 0,
    dry_run: bool = False,
    lock: str = "",
) -> Report:
    async def run() -> Report:
        connection = await asyncpg.connect(dsn)
        holder = await asyncpg.connect(dsn) if lock else None
        try:
            if holder is not None:
                await holder.execute(f"BEGIN; {lock}")
            return await run_retention(
                connection, flow_days=flow_days, activity_days=activity_days, audit_days=audit_days, dry_run=dry_run
            )
        finally:
            await connection.close()
            if holder is not None:
                await holder.close()

    return asyncio.run(run())


def old_week(dsn: str, weeks: int) -> str:
    """Make a partition of that many weeks ago with three flows in it."""
    monday = value(dsn, "SELECT date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'")
    lower = monday - timedelta(weeks=weeks)
    name = f"interaction_flows_w{lower:%Y%m%d}"
    script(
        dsn,
        f"""
        CREATE TABLE omni2.{name} PARTITION OF omni2.interaction_flows
            FOR VALUES FROM ('{lower}') TO ('{lower + timedelta(weeks=1)}');
        INSERT INTO omni2.interaction_flows (flow_id, start_key) SELECT '{weeks}-' || n, '{lower}'
            FROM generate_series(1, 3) AS n;
        INSERT INTO omni2.flow_keys SELECT flow_id, start_key FROM omni2.{name};
        ANALYZE omni2.{name};
        """,
    )
    return name


def activity(dsn: str, days: int) -> None:
    script(
        dsn,
        "INSERT INTO omni2.user_activities (activity_id, conversation_id, activity_type, created_at) "
        f"VALUES ('{days}', 'c{days}', 'user_message', now() - interval '{days} days')",
    )


def test_weeks_that_are_wholly_too_old_go_with_their_keys(postgres_dsn: str) -> None:
    gone = old_week(postgres_dsn, 14)
    old_week(postgres_dsn, 12)
    report = retain(postgres_dsn)
    assert [(week.partition, week.estimated_rows) for week in report.weeks] == [(gone, 3)]
    assert (report.flow_keys, report.activities, report.poison_records, report.postponed) == (3, 0, 0, None)
    first_day, last_day = (date.fromisoformat(day) for day in (report.weeks[0].first_day, report.weeks[0].last_day))
    assert (first_day.weekday(), last_day - first_day) == (0, timedelta(days=6))
    left = query(postgres_dsn, "SELECT flow_id FROM omni2.interaction_flows ORDER BY 1")
    assert left == query(postgres_dsn, "SELECT flow_id FROM omni2.flow_keys ORDER BY 1")
    assert [row["flow_id"] for row in left] == snapshot(["12-1", "12-2", "12-3"])


def test_activities_and_poison_records_go_by_the_row(postgres_dsn: str) -> None:
    for days in (1, 364, 366, 1000):
        activity(postgres_dsn, days)
    for days in (1, 91):
        script(
            postgres_dsn,
            "INSERT INTO omni2.poison_records (kind, error, payload, at) "
            f"VALUES ('flow', 'why', '', now() - interval '{days} days')",
        )
    report = retain(postgres_dsn)
    assert (report.activities, report.poison_records) == (2, 1)
    assert [row["activity_id"] for row in query(postgres_dsn, "SELECT activity_id FROM omni2.user_activities")] == [
        "1",
        "364",
    ]
    kept = query(postgres_dsn, "SELECT conversation_id FROM omni2.conversations ORDER BY 1")
    assert [row["conversation_id"] for row in kept] == ["c1", "c364"]


def test_a_dry_run_says_what_would_go_and_changes_nothing(postgres_dsn: str) -> None:
    old_week(postgres_dsn, 20)
    activity(postgres_dsn, 400)
    dry = retain(postgres_dsn, dry_run=True)
    assert (len(dry.weeks), dry.flow_keys, dry.activities) == (1, 3, 1)
    assert retain(postgres_dsn, dry_run=True) == dry
    wet = retain(postgres_dsn)
    assert (wet.weeks, wet.flow_keys, wet.activities) == (dry.weeks, dry.flow_keys, dry.activities)


def test_a_second_run_finds_nothing_to_do(postgres_dsn: str) -> None:
    old_week(postgres_dsn, 20)
    retain(postgres_dsn)
    again = retain(postgres_dsn)
    assert (again.partitions_made, again.weeks, again.flow_keys, again.activities) == (0, (), 0, 0)


def test_the_job_makes_the_weeks_to_come(postgres_dsn: str) -> None:
    ahead = query(postgres_dsn, "SELECT name FROM omni2.flow_partitions() ORDER BY lower_key DESC LIMIT 2")
    for row in ahead:
        script(postgres_dsn, f"DROP TABLE omni2.{row['name']}")
    assert retain(postgres_dsn).partitions_made == 2


def test_what_was_adopted_stays_its_time_however_old_it_is(postgres_dsn: str) -> None:
    old_week(postgres_dsn, 30)
    activity(postgres_dsn, 500)
    script(
        postgres_dsn,
        "INSERT INTO omni2.adoptions VALUES ('interaction_flows', now(), 3, now() + interval '90 days'), "
        "('user_activities', now(), 1, now() + interval '90 days')",
    )
    kept = retain(postgres_dsn)
    assert (kept.weeks, kept.activities) == ((), 0)
    script(postgres_dsn, "UPDATE omni2.adoptions SET keep_until = now() - interval '1 second'")
    gone = retain(postgres_dsn)
    assert (len(gone.weeks), gone.activities) == (1, 1)


def test_a_long_query_postpones_the_drop_instead_of_stopping_everybody(postgres_dsn: str) -> None:
    old_week(postgres_dsn, 20)
    report = retain(postgres_dsn, lock="SELECT count(*) FROM omni2.interaction_flows")
    assert (report.weeks, report.postponed) == ((), "the table of flows was in use for too long")
    assert len(retain(postgres_dsn).weeks) == 1


@pytest.mark.parametrize("days", [0, -1])
def test_less_than_a_day_is_refused(postgres_dsn: str, days: int) -> None:
    with pytest.raises(asyncpg.RaiseError, match="kept for one day at least"):
        retain(postgres_dsn, flow_days=days)
    with pytest.raises(asyncpg.RaiseError, match="kept for one day at least"):
        retain(postgres_dsn, activity_days=days)


def test_the_audit_log_stays_unless_its_age_is_set(postgres_dsn: str) -> None:
    for days in (400, 40, 0):
        script(
            postgres_dsn,
            f"INSERT INTO omni2.audit_log (at, actor, action) VALUES (now() - interval '{days} days', 'ann', 'read')",
        )
    assert retain(postgres_dsn).audit_entries == 0
    assert retain(postgres_dsn, audit_days=365, dry_run=True).audit_entries == 1
    assert retain(postgres_dsn, audit_days=365).audit_entries == 1
    assert retain(postgres_dsn, audit_days=30).audit_entries == 1
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.audit_log") == 1
