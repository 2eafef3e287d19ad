"""Statistics are what one would count by hand, however flows came and whatever became of the job that counts."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from spanflow.migrations.run import downgrade, upgrade
from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.statistics.counting import Counting
from spanflow.viewer_api.statistics.histogram import packed, percentiles, unpacked
from spanflow.viewer_api.statistics.periods import LENGTHS
from spanflow.viewer_api.store.database import Database
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.support.history import run_with
from tests.support.query import query, script, value

#: All flows of a test begin in the three hours before this; the minutes of these hours are kept.
NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
NOW_NS = int(NOW.timestamp()) * 1_000_000_000
MINUTE_NS = 60_000_000_000
TOOLS = ("list_snapshots", "drop", "read")
#: An example takes a second: what fails is shown as it was found.
WITHOUT_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
OUTCOMES = ("ok", "denied", "error")


def count_all(dsn: str, now: datetime = NOW, **options: Any) -> int:
    async def run(database: Database) -> int:
        return await Counting(database, **options).run(now)

    return run_with(dsn, run)


def steps_of(dsn: str, seconds: int) -> dict[tuple[str, ...], int]:
    rows = query(
        dsn,
        "SELECT event_type, tool, outcome, sum(count)::bigint AS count FROM omni2.step_statistics "
        "WHERE seconds = $1 AND event_type <> 'span' GROUP BY 1, 2, 3",
        seconds,
    )
    return {(row["event_type"], row["tool"], row["outcome"]): row["count"] for row in rows}


def flows_of(dsn: str, seconds: int, dimension: str) -> dict[tuple[str, ...], int]:
    rows = query(
        dsn,
        "SELECT value, outcome, sum(count)::bigint AS count FROM omni2.flow_statistics "
        "WHERE seconds = $1 AND dimension = $2 GROUP BY 1, 2",
        seconds,
        dimension,
    )
    return {(row["value"], row["outcome"]): row["count"] for row in rows}


calls = st.lists(st.tuples(st.sampled_from(TOOLS), st.sampled_from(OUTCOMES), st.integers(0, 10_000)), max_size=4)
flows = st.lists(st.tuples(st.integers(2, 180), calls, calls), min_size=1, max_size=6)


def call(number: int, start_ns: int, tool: str, outcome: str, took_ms: int) -> Event:
    said = {"flow.data.tool": tool, "flow.data.mcp": "qa_mcp"}
    end_ns = start_ns + took_ms * MS
    return span(number, 1, start_ns=start_ns, end_ns=end_ns, event_type="tool_call", outcome=outcome, attributes=said)


@contextmanager
def emptied(dsn: str) -> Iterator[None]:
    tables = "interaction_flows, flow_keys, step_statistics, flow_statistics, changed_periods"
    script(dsn, f"SET search_path = omni2; TRUNCATE {tables}")
    yield


@given(flows)
@settings(
    max_examples=15,
    deadline=None,
    phases=WITHOUT_SHRINKING,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_they_equal_a_count_by_hand_of_random_flows_with_late_parts(
    postgres_dsn: str, tmp_path: Path, made: list[tuple[int, list[Any], list[Any]]]
) -> None:
    with emptied(postgres_dsn), archives_in(postgres_dsn, tmp_path / "archive") as archives:
        archive = archives.make()
        expected: Counter[tuple[str, ...]] = Counter()
        durations: list[int] = []
        used: Counter[str] = Counter()
        late = []
        for number, (minutes_ago, first, more) in enumerate(made, start=1):
            start = NOW_NS - minutes_ago * MINUTE_NS
            root = span(1, start_ns=start, end_ns=start + 5 * MS, name="POST /ask")
            spans = [root, *(call(10 + at, start + MS, *each) for at, each in enumerate(first))]
            assert deliver(archive, part(number, spans)).delivered == 1
            # Another process tells of the rest, which began in a later minute, after the flow was counted.
            then = start + 2 * MINUTE_NS
            rest = [call(50 + at, then, *each) for at, each in enumerate(more)]
            if rest:
                late.append(part(number, rest, process="p2", root_ended=False))
            expected.update(("tool_call", tool, outcome) for tool, outcome, _ in [*first, *more])
            durations += [took * MS for _, _, took in [*first, *more]]
            used.update({tool for tool, _, _ in [*first, *more]})
        count_all(postgres_dsn)
        if late:
            assert deliver(archive, *late).delivered == len(late)
        count_all(postgres_dsn)
    for seconds in LENGTHS:
        assert steps_of(postgres_dsn, seconds) == expected
        by_tool: Counter[str] = Counter()
        for (tool, _), count in flows_of(postgres_dsn, seconds, "tool").items():
            by_tool[tool] += count
        assert by_tool == used
        assert sum(flows_of(postgres_dsn, seconds, "gates").values()) == len(made)
    if durations:
        number = value(
            postgres_dsn,
            "SELECT sum(buckets)::text FROM omni2.step_statistics WHERE seconds = 86400 AND event_type = 'tool_call'",
        )
        ordered = sorted(durations)
        for share, told in zip(
            (0.5, 0.9, 0.95, 0.99), percentiles(unpacked(number), (0.5, 0.9, 0.95, 0.99)), strict=True
        ):
            exact = ordered[-(-len(ordered) * round(share * 100) // 100) - 1]
            assert told == pytest.approx(exact, rel=0.022, abs=1)
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.changed_periods") == 0


def everything(dsn: str) -> list[dict[str, Any]]:
    return query(dsn, "SELECT * FROM omni2.step_statistics ORDER BY 1, 2, 3, 4, 5, 6, 7, 8") + query(
        dsn, "SELECT * FROM omni2.flow_statistics ORDER BY 1, 2, 3, 4, 5"
    )


def stored(dsn: str, tmp_path: Path, *minutes_ago: int) -> None:
    with archives_in(dsn, tmp_path / "archive") as archives:
        parts = []
        for number, ago in enumerate(minutes_ago, start=1):
            start = NOW_NS - ago * MINUTE_NS
            parts.append(part(number, [span(1, start_ns=start), call(2, start, "read", "ok", 7)]))
        assert deliver(archives.make(), *parts).delivered == len(parts)


def test_counting_again_changes_nothing(postgres_dsn: str, tmp_path: Path) -> None:
    stored(postgres_dsn, tmp_path, 5, 6, 60 * 24 * 5)
    assert count_all(postgres_dsn) > 0
    before = everything(postgres_dsn)
    assert {row["seconds"] for row in before} == {60, 3600, 21600, 86400, 604800}
    assert count_all(postgres_dsn) == 0
    script(
        postgres_dsn,
        "INSERT INTO omni2.changed_periods SELECT DISTINCT start, seconds FROM omni2.step_statistics "
        "WHERE seconds < 86400",
    )
    assert count_all(postgres_dsn) > 0
    assert everything(postgres_dsn) == before


@pytest.mark.parametrize(("options", "hours_kept"), [({"transaction_seconds": 0}, 1), ({}, 0)])
def test_a_job_that_is_killed_in_the_middle_leaves_nothing_half_done(
    postgres_dsn: str, tmp_path: Path, options: dict[str, Any], hours_kept: int
) -> None:
    # Three minutes of one hour, which is the first to be counted, and one of another.
    stored(postgres_dsn, tmp_path, 5, 6, 7, 70)
    # The job stumbles when both hours are there.
    script(
        postgres_dsn,
        """
        CREATE FUNCTION pg_temp_stop() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.seconds = 86400 AND (SELECT count(*) FROM omni2.step_statistics WHERE seconds = 3600) > 3 THEN
                PERFORM pg_terminate_backend(pg_backend_pid());
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER stop BEFORE INSERT ON omni2.step_statistics FOR EACH ROW EXECUTE FUNCTION pg_temp_stop();
        """,
    )
    with pytest.raises(Exception, match="storage|Postgres|database|terminat|closed"):
        count_all(postgres_dsn, **options)
    kept = {("tool_call", "read", "ok"): 3} if hours_kept else {}
    for seconds in LENGTHS:
        assert steps_of(postgres_dsn, seconds) == kept
    script(postgres_dsn, "DROP TRIGGER stop ON omni2.step_statistics; DROP FUNCTION pg_temp_stop()")
    count_all(postgres_dsn)
    for seconds in LENGTHS:
        assert steps_of(postgres_dsn, seconds) == {("tool_call", "read", "ok"): 4}


def test_hours_that_are_counted_together_are_rolled_up_once(postgres_dsn: str, tmp_path: Path) -> None:
    # In the hours of five days ago no minutes are kept, in those of yesterday they are.
    hours = [60 * hour for hour in (*range(120, 150), *range(24, 30))]
    stored(postgres_dsn, tmp_path, *hours)
    script(
        postgres_dsn,
        """
        CREATE TABLE rolled_up (seconds integer);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO public.rolled_up SELECT DISTINCT seconds FROM added; RETURN NULL; END';
        CREATE TRIGGER note AFTER INSERT ON omni2.flow_statistics REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION note();
        """,
    )
    mark_all = "INSERT INTO omni2.changed_periods SELECT DISTINCT start, 3600 FROM omni2.flow_statistics"
    times_of = "SELECT seconds, count(*) AS times FROM rolled_up WHERE seconds > 3600 GROUP BY 1 ORDER BY 1"
    assert count_all(postgres_dsn, transaction_seconds=600) == len(hours)
    assert [tuple(row.values()) for row in query(postgres_dsn, times_of)] == [(21600, 1), (86400, 1), (604800, 1)]
    together = everything(postgres_dsn)
    script(postgres_dsn, f"TRUNCATE rolled_up; {mark_all} WHERE seconds = 3600")
    assert count_all(postgres_dsn, transaction_seconds=0) == len(hours)
    each = len(hours)
    assert [tuple(row.values()) for row in query(postgres_dsn, times_of)] == [
        (21600, each),
        (86400, each),
        (604800, each),
    ]
    assert everything(postgres_dsn) == together
    for seconds in LENGTHS[1:]:
        assert steps_of(postgres_dsn, seconds) == {("tool_call", "read", "ok"): len(hours)}


def test_every_minute_of_an_hour_is_counted(postgres_dsn: str, tmp_path: Path) -> None:
    minutes = [minute for minute in range(31, 91) for _ in range(1 + minute % 3)]
    stored(postgres_dsn, tmp_path, *minutes)
    assert count_all(postgres_dsn) == 1
    counted = query(
        postgres_dsn,
        "SELECT start, count FROM omni2.step_statistics WHERE seconds = 60 AND tool = 'read' ORDER BY start DESC",
    )
    expected = Counter(NOW - timedelta(minutes=minute) for minute in minutes)
    assert {row["start"]: row["count"] for row in counted} == expected
    assert steps_of(postgres_dsn, 3600) == {("tool_call", "read", "ok"): len(minutes)}
    # One of them is counted again, and no other.
    script(
        postgres_dsn,
        "UPDATE omni2.step_statistics SET count = 1000 WHERE seconds = 60 AND tool = 'read';"
        f"DELETE FROM omni2.interaction_flows WHERE flow_id = '{1:032x}'",
    )
    count_all(postgres_dsn)
    assert steps_of(postgres_dsn, 60) == {
        ("tool_call", "read", "ok"): 59_000 + expected[NOW - timedelta(minutes=31)] - 1
    }


@given(st.dictionaries(st.integers(0, 1024), st.integers(1, 10**11), max_size=20))
def test_a_histogram_is_one_number(buckets: dict[int, int]) -> None:
    number = packed(buckets)
    assert number == ("".join(f"{buckets.get(at, 0):012d}" for at in range(max(buckets, default=-1), -1, -1)) or "0")
    assert unpacked(number) == buckets


def test_a_flow_that_is_removed_is_not_counted_any_more(postgres_dsn: str, tmp_path: Path) -> None:
    stored(postgres_dsn, tmp_path, 5, 6)
    count_all(postgres_dsn)
    script(postgres_dsn, f"DELETE FROM omni2.interaction_flows WHERE flow_id = '{1:032x}'")
    count_all(postgres_dsn)
    assert steps_of(postgres_dsn, 86400) == {("tool_call", "read", "ok"): 1}


def test_a_minute_waits_until_it_is_over(postgres_dsn: str, tmp_path: Path) -> None:
    stored(postgres_dsn, tmp_path, 1)
    assert count_all(postgres_dsn, NOW - timedelta(seconds=1)) == 0
    assert count_all(postgres_dsn, NOW + timedelta(seconds=20)) == 1


@pytest.mark.anyio
async def test_one_counts_at_a_time(postgres_dsn: str, tmp_path: Path) -> None:
    await asyncio.to_thread(stored, postgres_dsn, tmp_path, 5)
    other = await asyncpg.connect(postgres_dsn)
    try:
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('statistics of \"omni2\"', 0))")
            assert await asyncio.to_thread(count_all, postgres_dsn) == 0
        assert await asyncio.to_thread(count_all, postgres_dsn) == 1
    finally:
        await other.close()


def test_a_transaction_marks_a_minute_once(postgres_dsn: str, tmp_path: Path) -> None:
    script(postgres_dsn, "DELETE FROM omni2.changed_periods")
    stored(postgres_dsn, tmp_path, *[5] * 50)
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.changed_periods") == 1


def test_names_beyond_the_limit_are_counted_together(postgres_dsn: str, tmp_path: Path) -> None:
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        start = NOW_NS - 5 * MINUTE_NS
        spans = [span(1, start_ns=start), *(span(10 + at, 1, start_ns=start, name=f"GET /{at}") for at in range(600))]
        spans += [call(900, start, "read", "ok", 7)]
        assert deliver(archives.make(), part(1, spans)).delivered == 1
    count_all(postgres_dsn)
    assert steps_of(postgres_dsn, 86400) == {("tool_call", "read", "ok"): 1}
    rows = query(
        postgres_dsn,
        "SELECT seconds, count(*) AS kinds, sum(count)::bigint AS steps, "
        "(sum(count) FILTER (WHERE name = '(other)'))::bigint AS other FROM omni2.step_statistics "
        "WHERE event_type = 'span' GROUP BY 1 ORDER BY 1",
    )
    assert [(row["kinds"], row["steps"], row["other"]) for row in rows] == [(500, 601, 102)] * 5


def test_what_an_older_version_has_counted_is_grouped_by_the_migration(postgres_dsn: str, tmp_path: Path) -> None:
    start = NOW_NS - 10 * MINUTE_NS
    spans = [span(1, start_ns=start, end_ns=start + MINUTE_NS, name="POST /ask")]
    calls_made = [("read", "ok", 5), ("read", "error", 7), ("drop", "ok", 1)]
    spans += [call(number, start, *made) for number, made in enumerate(calls_made, start=2)]
    with emptied(postgres_dsn), archives_in(postgres_dsn, tmp_path) as archives:
        deliver(archives.make(), part(1, spans))
        count_all(postgres_dsn)
        everything = "SELECT * FROM omni2.flow_statistics ORDER BY seconds, start, dimension, value, outcome"
        counted = query(postgres_dsn, everything)
        assert {row["dimension"] for row in counted} >= {"steps:tool", "steps:mcp_server", "steps:checkpoint"}
        downgrade(postgres_dsn, to="0009")
        assert not [row for row in query(postgres_dsn, everything) if row["dimension"].startswith("steps:")]
        upgrade(postgres_dsn)
        assert query(postgres_dsn, everything) == counted
