"""The machine's clock is put an hour back or a day forward while a gateway runs: nothing that waits is disturbed."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from spanflow.span_processors import names
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.traced_gateway import MS, NOON, TracedGateway, flow_id_of

HOUR = 3600.0
DAY = 24 * HOUR
STEPS = pytest.mark.parametrize("step", [-HOUR, DAY], ids=["an hour back", "a day forward"])


class WallClock:
    """The machine's clocks, of which the one on the wall can be put back and forward."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.ahead = 0.0

    def time_ns(self) -> int:
        return time.time_ns() + int(self.ahead * 1e9)

    def shows(self, seconds: float | bytes | None) -> bool:
        """Whether that is a time of the last moments by this clock."""
        return seconds is not None and -10 < float(seconds) - self.time_ns() / 1e9 < 2


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def gateway(redis_url: str, postgres_dsn: str, tmp_path: Path, clock: WallClock) -> Iterator[TracedGateway]:
    settings: dict[str, Any] = {
        "archive_enabled": True,
        "postgres_dsn": postgres_dsn,
        "data_dir": str(tmp_path),
        "spool_reserve_bytes": 0,
        "watched_refresh": 0.1,
    }
    with TracedGateway(redis_url, counted_ids=False, wall_clock=clock, **settings) as running:
        yield running


@STEPS
def test_flows_are_completed_stored_and_indexed_as_if_nothing_had_happened(
    step: float, gateway: TracedGateway, clock: WallClock, redis_client: "redis.Redis", postgres_dsn: str
) -> None:
    over = gateway.start("POST /over", attributes={"user.id": "7"})
    assert gateway.pipeline.force_flush(5)
    clock.ahead = step
    with gateway.span("POST /after", attributes={"user.id": "7"}) as after:
        pass
    begun = time.monotonic()
    # By its grace alone, without a flush.
    eventually(lambda: len(stored(postgres_dsn)) == 1)
    assert time.monotonic() - begun < 3
    assert gateway.pipeline.counters.open_flows == 1, "the one that runs is neither idle nor too old"
    still_open = gateway.start("POST /still-open")
    assert gateway.pipeline.force_flush(5)
    # By the clock of Redis, which nobody has put anywhere: a step of a gateway's clock neither reaps nor keeps a flow.
    score: Any = redis_client.zscore(names.OPEN_FLOWS, flow_id_of(still_open))
    assert WallClock().shows(score)
    gateway.end(over)
    eventually(lambda: len(stored(postgres_dsn)) == 2)
    rows = stored(postgres_dsn)
    assert [(row["name"], row["complete_why"], row["duration_ms"]) for row in rows] == [
        ("POST /over", "root_ended", 4.0),
        ("POST /after", "root_ended", 1.0),
    ]
    assert [round(row["started_at"].timestamp() * 1000) for row in rows] == [
        (NOON + number * MS) // MS for number in (1, 2)
    ]
    eventually(lambda: redis_client.zcard(names.OPEN_FLOWS) == 1)
    assert redis_client.zscore(names.OPEN_FLOWS, flow_id_of(after)) is None
    gateway.end(still_open)


def stored(dsn: str) -> list[dict[str, Any]]:
    columns = "name, complete_why, duration_ms, started_at"
    return query(dsn, f"SELECT {columns} FROM omni2.interaction_flows ORDER BY started_at")


def test_the_heartbeat_goes_on(redis_url: str, redis_client: "redis.Redis") -> None:
    stepped = {-HOUR: WallClock(), DAY: WallClock()}
    with ExitStack() as stack:
        gateways = {
            step: stack.enter_context(TracedGateway(redis_url, wall_clock=clock)) for step, clock in stepped.items()
        }
        keys = {step: names.process_heartbeat(gateway.pipeline.instance_id) for step, gateway in gateways.items()}

        def beats_in_time() -> bool:
            beats: dict[float, Any] = {step: redis_client.get(key) for step, key in keys.items()}
            return all(clock.shows(beats[step]) for step, clock in stepped.items())

        for gateway in gateways.values():
            with gateway.span("POST /ask"):
                pass
        eventually(beats_in_time)
        for step, clock in stepped.items():
            clock.ahead = step
        # Nothing comes in meanwhile: the next one is due after five seconds, whatever the clock on the wall says.
        eventually(beats_in_time, within=8)
        for key in keys.values():
            lives: Any = redis_client.ttl(key)
            assert 0 < lives <= 20


def test_watching_ends_by_the_clock_on_the_wall_and_goes_on_when_that_is_put_right(
    gateway: TracedGateway, clock: WallClock, redis_client: "redis.Redis"
) -> None:
    redis_client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 2 * HOUR})
    redis_client.sadd(names.MONITORED_USERS, "7")
    with gateway.span("POST /ask", attributes={"user.id": "7"}):
        pass

    def watched() -> bool:
        return gateway.pipeline.is_watched("7")

    eventually(watched)
    clock.ahead = -HOUR
    assert watched()
    clock.ahead = DAY
    assert not watched()
    # Read again while it was wrong, and forgotten.
    known: Any = gateway.pipeline._watched
    eventually(lambda: not known.any_watched())
    clock.ahead = 0
    eventually(watched)
    clock.ahead = 2 * HOUR + 1
    assert not watched()
