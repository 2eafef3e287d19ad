"""Weeks, and the key that keeps a flow one row."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.postgres_server import PostgresServer
from tests.support.query import query, script, value

NOW = "SELECT now()"
CLAIM = "SELECT flow_id, start_key FROM omni2.claim_flow_keys($1::text[], $2::timestamptz[]) ORDER BY flow_id"


def bounds(dsn: str) -> list[tuple[datetime, datetime]]:
    rows = query(dsn, "SELECT lower_key, upper_key FROM omni2.flow_partitions() WHERE weekly")
    return [(row["lower_key"], row["upper_key"]) for row in rows]


def test_weeks_run_from_last_week_to_four_weeks_ahead_without_a_gap(postgres_dsn: str) -> None:
    now: datetime = value(postgres_dsn, NOW)
    weeks = bounds(postgres_dsn)
    assert len(weeks) == 6
    assert [upper for _, upper in weeks[:-1]] == [lower for lower, _ in weeks[1:]]
    assert all(lower.weekday() == 0 and lower.hour == 0 for lower, _ in weeks)
    assert weeks[1][0] <= now < weeks[1][1]


def test_partitions_are_made_once(postgres_dsn: str) -> None:
    assert value(postgres_dsn, "SELECT omni2.ensure_flow_partitions(4)") == 0
    assert value(postgres_dsn, "SELECT omni2.ensure_flow_partitions(6)") == 2
    assert value(postgres_dsn, "SELECT omni2.ensure_flow_partitions(6)") == 0
    weeks = bounds(postgres_dsn)
    assert [upper for _, upper in weeks[:-1]] == [lower for lower, _ in weeks[1:]]


def test_many_who_make_partitions_at_once_make_each_once(postgres_dsn: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: value(postgres_dsn, "SELECT omni2.ensure_flow_partitions(20)"), range(4)))
    assert sorted(made) == [0, 0, 0, 16]


def test_after_a_long_stop_the_weeks_between_are_filled_in(postgres_dsn: str) -> None:
    """As a stack does that was off for five weeks: the newest partitions it finds are the old ones."""
    this_week = value(postgres_dsn, "SELECT date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'")
    for lower, _ in bounds(postgres_dsn):
        script(postgres_dsn, f"DROP TABLE omni2.interaction_flows_w{lower:%Y%m%d}")
    old = this_week - timedelta(weeks=5)
    script(
        postgres_dsn,
        f"CREATE TABLE omni2.interaction_flows_w{old:%Y%m%d} PARTITION OF omni2.interaction_flows "
        f"FOR VALUES FROM ('{old}') TO ('{old + timedelta(weeks=1)}')",
    )
    assert value(postgres_dsn, "SELECT omni2.ensure_flow_partitions()") == 9
    weeks = bounds(postgres_dsn)
    assert weeks[0][0] == old
    assert [upper for _, upper in weeks[:-1]] == [lower for lower, _ in weeks[1:]]


def test_every_partition_has_every_index(postgres_dsn: str) -> None:
    per_partition = query(
        postgres_dsn,
        "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid "
        "WHERE relispartition AND relkind = 'r' GROUP BY indrelid",
    )
    assert per_partition == [{"count": 13}] * 6


def test_the_key_of_a_flow_is_chosen_once(postgres_dsn: str) -> None:
    now: datetime = value(postgres_dsn, NOW)
    first = query(postgres_dsn, CLAIM, ["b", "a"], [now, now - timedelta(hours=1)])
    assert first == [
        {"flow_id": "a", "start_key": now - timedelta(hours=1)},
        {"flow_id": "b", "start_key": now},
    ]
    again = query(postgres_dsn, CLAIM, ["b", "a", "c"], [now - timedelta(days=1)] * 3)
    assert again == [*first, {"flow_id": "c", "start_key": now - timedelta(days=1)}]


def test_an_id_named_twice_gets_the_earlier_time(postgres_dsn: str) -> None:
    now: datetime = value(postgres_dsn, NOW)
    earlier = now - timedelta(seconds=1)
    assert query(postgres_dsn, CLAIM, ["a", "a"], [now, earlier]) == [{"flow_id": "a", "start_key": earlier}]


def test_a_time_outside_the_partitions_is_moved_into_them(postgres_dsn: str) -> None:
    weeks = bounds(postgres_dsn)
    ancient, future = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
    assert query(postgres_dsn, CLAIM, ["ancient", "future"], [ancient, future]) == [
        {"flow_id": "ancient", "start_key": weeks[0][0]},
        {"flow_id": "future", "start_key": weeks[-1][1] - timedelta(microseconds=1)},
    ]


def test_a_time_in_a_gap_goes_to_the_week_before(postgres_dsn: str) -> None:
    lower, upper = bounds(postgres_dsn)[2]
    script(postgres_dsn, f"DROP TABLE omni2.interaction_flows_w{lower:%Y%m%d}")
    [row] = query(postgres_dsn, CLAIM, ["a"], [upper - timedelta(days=1)])
    assert row["start_key"] == lower - timedelta(microseconds=1)


def test_the_key_of_a_dropped_partition_is_chosen_anew(postgres_dsn: str) -> None:
    first, second = bounds(postgres_dsn)[:2]
    query(postgres_dsn, CLAIM, ["a"], [first[0]])
    script(postgres_dsn, f"DROP TABLE omni2.interaction_flows_w{first[0]:%Y%m%d}")
    assert query(postgres_dsn, CLAIM, ["a"], [first[0]]) == [{"flow_id": "a", "start_key": second[0]}]


def test_without_any_partition_they_are_made_first(postgres_dsn: str) -> None:
    for lower, _ in bounds(postgres_dsn):
        script(postgres_dsn, f"DROP TABLE omni2.interaction_flows_w{lower:%Y%m%d}")
    now: datetime = value(postgres_dsn, NOW)
    assert query(postgres_dsn, CLAIM, ["a"], [now]) == [{"flow_id": "a", "start_key": now}]


def test_processes_that_claim_the_same_flows_in_any_order_agree(postgres_dsn: str) -> None:
    now: datetime = value(postgres_dsn, NOW)
    ids = [f"{number:032x}" for number in range(200)]

    def claim(shift: int) -> list[dict[str, object]]:
        order = ids[shift:] + ids[:shift] if shift % 2 else ids[::-1]
        return query(postgres_dsn, CLAIM, order, [now - timedelta(minutes=shift)] * len(order))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(claim, range(4)))
    assert answers[1:] == answers[:1] * 3


@pytest.fixture(scope="module")
def one_database(shared_postgres: PostgresServer, migrated_template: str) -> Iterator[str]:
    """For all examples together; keys are claimed under ever new names."""
    shared_postgres.execute(f"CREATE DATABASE claimed TEMPLATE {migrated_template}")
    yield shared_postgres.dsn("claimed")
    shared_postgres.execute("DROP DATABASE claimed WITH (FORCE)")


_numbers = count(1)


@settings(max_examples=40, deadline=None)
@given(
    offsets=st.lists(
        st.timedeltas(min_value=timedelta(days=-40_000), max_value=timedelta(days=40_000)), min_size=1, max_size=20
    )
)
def test_every_claimed_key_has_a_partition(one_database: str, offsets: list[timedelta]) -> None:
    """Whatever a clock says, the flow can be stored."""
    origin = datetime(2126, 1, 1, tzinfo=UTC)
    rows = query(
        one_database,
        "SELECT count(*) FILTER (WHERE part.name IS NULL) AS homeless "
        "FROM omni2.claim_flow_keys($1::text[], $2::timestamptz[]) AS key "
        "LEFT JOIN omni2.flow_partitions() AS part ON key.start_key >= lower_key AND key.start_key < upper_key",
        [str(next(_numbers)) for _ in offsets],
        [origin + offset for offset in offsets],
    )
    assert rows == [{"homeless": 0}]
