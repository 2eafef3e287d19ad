"""What a process leaves open when it is killed is archived by whoever looks, once, and put right when it comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from spanflow.span_processors import flow_part, names
from spanflow.span_processors.archive.archive import build_archive
from spanflow.span_processors.archive.reaper import Patience, Reaper
from spanflow.span_processors.event.event import Event, encode
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.settings import Settings
from tests.support.flow_parts import NOON, part, span
from tests.support.proxy import TcpProxy
from tests.support.query import query

FLOW = f"{1:032x}"


class Hours:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return NOON + int((self.now - 1000.0) * 1e9)


class Gateway:
    """A gateway's process as Redis sees it."""

    def __init__(self, client: "redis.Redis", clock: Hours, name: str = "p1") -> None:
        self.client, self.clock, self.name = client, clock, name
        self.beat()
        client.set(names.process_description(name), b'{"resource":{"attributes":{"host":"a"}}}')

    def beat(self) -> None:
        self.client.set(names.process_heartbeat(self.name), "1")

    def dies(self) -> None:
        self.client.delete(names.process_heartbeat(self.name))

    def writes(self, *events: Event, flow_id: str = FLOW) -> None:
        for event in events:
            written = encode({**event, "process": self.name})
            self.client.xadd(names.flow_stream(flow_id), {names.STREAM_FIELD: written})
        self.client.zadd(names.OPEN_FLOWS, {flow_id: self.clock.time_ns() / 1e9})


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def clock() -> Hours:
    return Hours()


MakeReaper = Callable[..., Reaper]


@pytest.fixture
async def make_reaper(redis_url: str, postgres_dsn: str, tmp_path: Path, clock: Hours) -> AsyncIterator[MakeReaper]:
    made: list[Reaper] = []

    def make(**more: Any) -> Reaper:
        given = {"redis_url": redis_url, "postgres_dsn": postgres_dsn, "data_dir": str(tmp_path), **more}
        settings = Settings(spool_reserve_bytes=0, **given)
        made.append(Reaper(settings, clock=clock, patience=Patience(quiet=20, missing=15)))
        return made[-1]

    yield make
    for reaper in made:
        await reaper.close()


async def looks_until_gone(reaper: Reaper, clock: Hours) -> int:
    """Look, wait long enough for a missing heartbeat to count, and look again."""
    clock.now += 21
    found = await reaper.scan()
    clock.now += 16
    return found + await reaper.scan()


async def stored(dsn: str) -> list[tuple[Any, ...]]:
    columns = "outcome, complete, complete_why, span_count, user_id, processes"
    found = await asyncio.to_thread(query, dsn, f"SELECT {columns} FROM omni2.interaction_flows")
    return [tuple(row.values()) for row in found]


pytestmark = pytest.mark.anyio


async def test_a_killed_process_s_flow_is_archived_as_interrupted(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    gateway = Gateway(client, clock)
    gateway.writes(span(1, ended=False, attributes={"user.id": "7"}), span(2, 1), span(3, 1, ended=False))
    gateway.dies()
    assert await looks_until_gone(make_reaper(), clock) == 1
    assert await stored(postgres_dsn) == [("interrupted", True, "reaped", 3, "7", ["p1"])]
    [row] = await asyncio.to_thread(query, postgres_dsn, "SELECT flow_data FROM omni2.interaction_flows")
    assert orjson.loads(row["flow_data"])["processes"]["p1"]["resource"] == {"attributes": {"host": "a"}}
    assert client.zcard(names.OPEN_FLOWS) == 0
    assert 0 < client.ttl(names.flow_stream(FLOW)) <= Settings().stream_ttl_archived


async def test_a_flow_whose_root_had_ended_is_what_it_was(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    gateway = Gateway(client, clock)
    gateway.writes(span(1, outcome="denied"), span(2, 1))
    gateway.dies()
    assert await looks_until_gone(make_reaper(), clock) == 1
    assert await stored(postgres_dsn) == [("denied", True, "reaped", 2, None, ["p1"])]


async def test_a_long_quiet_call_of_a_living_process_is_left_alone(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    Gateway(client, clock).writes(span(1, ended=False))
    reaper = make_reaper()
    for _ in range(100):
        clock.now += 900
        assert await reaper.scan() == 0
    assert await stored(postgres_dsn) == []
    assert client.zcard(names.OPEN_FLOWS) == 1


async def test_a_heartbeat_that_was_missed_for_a_moment_is_no_death(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    gateway = Gateway(client, clock)
    gateway.writes(span(1, ended=False))
    reaper = make_reaper()
    clock.now += 21
    for _ in range(5):
        gateway.dies()
        assert await reaper.scan() == 0
        clock.now += 10
        gateway.beat()
        assert await reaper.scan() == 0
        clock.now += 10
    assert await stored(postgres_dsn) == []


async def test_two_viewers_archive_a_flow_once(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    gateway = Gateway(client, clock)
    for flow in range(30):
        gateway.writes(span(1, ended=False), flow_id=f"{flow:032x}")
    gateway.dies()
    one, two = make_reaper(), make_reaper()
    clock.now += 21
    assert sum(await asyncio.gather(one.scan(), two.scan())) == 0
    clock.now += 16
    found = await asyncio.gather(one.scan(), two.scan())
    assert sum(found) == 30
    revisions = await asyncio.to_thread(query, postgres_dsn, "SELECT revision FROM omni2.interaction_flows")
    assert [row["revision"] for row in revisions] == [1] * 30


async def test_a_process_that_comes_back_makes_its_flow_a_normal_one(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str, tmp_path: Path
) -> None:
    gateway = Gateway(client, clock)
    gateway.writes(span(1, ended=False), span(2, 1))
    gateway.dies()
    assert await looks_until_gone(make_reaper(), clock) == 1
    reborn: FlowPart = part(1, [span(1), span(2, 1), span(3, 1)], reason=flow_part.ROOT_ENDED)
    settings = Settings(postgres_dsn=postgres_dsn, data_dir=str(tmp_path))

    def hand_over() -> None:
        archive = build_archive(settings, lambda: "p1")
        archive.deliver([reborn], 1e12)
        archive.close(1e12)

    await asyncio.to_thread(hand_over)
    assert await stored(postgres_dsn) == [("ok", True, "root_ended", 3, "7", ["p1"])]


async def test_the_share_of_a_dead_process_is_archived_while_another_goes_on(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    dead, alive = Gateway(client, clock, "dead"), Gateway(client, clock, "alive")
    dead.writes(span(1, ended=False), span(2, 1, ended=False))
    alive.writes(span(3, 2, ended=False))
    dead.dies()
    reaper = make_reaper()
    assert await looks_until_gone(reaper, clock) == 1
    assert await stored(postgres_dsn) == [("interrupted", True, "reaped", 2, None, ["dead"])]
    assert client.zcard(names.OPEN_FLOWS) == 1, "the living process has still to hand over its share"
    clock.now += 100
    assert await reaper.scan() == 0
    alive.dies()
    assert await looks_until_gone(reaper, clock) == 1
    assert await stored(postgres_dsn) == [("interrupted", True, "reaped", 3, None, ["alive", "dead"])]
    assert client.zcard(names.OPEN_FLOWS) == 0


async def test_a_finished_flow_that_its_living_process_could_not_archive_is_archived_in_the_end(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    Gateway(client, clock).writes(span(1), span(2, 1))
    reaper = make_reaper()
    clock.now += 500
    assert await reaper.scan() == 0
    clock.now += 200
    assert await reaper.scan() == 1
    assert await stored(postgres_dsn) == [("ok", True, "reaped", 2, None, ["p1"])]
    assert client.zcard(names.OPEN_FLOWS) == 0


async def test_an_index_entry_without_a_stream_goes_in_the_end(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    client.zadd(names.OPEN_FLOWS, {FLOW: clock.time_ns() / 1e9})
    reaper = make_reaper()
    clock.now += 60
    await reaper.scan()
    assert client.zcard(names.OPEN_FLOWS) == 1
    clock.now += 3600
    reaper = make_reaper()
    await reaper.scan()
    assert client.zcard(names.OPEN_FLOWS) == 0


async def test_while_a_server_is_away_nothing_is_lost_and_nobody_is_declared_dead(
    make_reaper: MakeReaper,
    client: "redis.Redis",
    clock: Hours,
    redis_url: str,
    postgres_dsn: str,
    proxy: Callable[[str], TcpProxy],
) -> None:
    gateway = Gateway(client, clock)
    gateway.writes(span(1, ended=False))
    gateway.dies()
    to_redis, to_postgres = proxy(redis_url), proxy(postgres_dsn)
    reaper = make_reaper(redis_url=to_redis.url, postgres_dsn=to_postgres.url)
    clock.now += 21
    assert await reaper.scan() == 0
    to_redis.cut()
    clock.now += 100
    assert await reaper.scan() == 0
    to_redis.restore()
    assert await reaper.scan() == 0, "the heartbeat was not seen missing all that time"
    clock.now += 16
    to_postgres.cut()
    assert await reaper.scan() == 0
    assert client.zcard(names.OPEN_FLOWS) == 1
    to_postgres.restore()
    assert await reaper.scan() == 1
    assert await stored(postgres_dsn) == [("interrupted", True, "reaped", 1, None, ["p1"])]


async def test_what_a_dead_process_has_spooled_is_replayed(
    make_reaper: MakeReaper, postgres_dsn: str, tmp_path: Path
) -> None:
    settings = Settings(data_dir=str(tmp_path), spool_reserve_bytes=0)
    gateway = build_archive(settings, lambda: "p1")
    gateway.set_aside([part(1, [span(1)]), part(2, [span(1)])])
    gateway.close(0)
    await make_reaper().scan()
    assert len(await stored(postgres_dsn)) == 2
