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
from tests.support.query import query, script

FLOW = f"{1:032x}"


class Hours:
    """A clock that is put forward by hand. Redis keeps its own time, so what is in its index ages instead."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._now = 1000.0

    @property
    def now(self) -> float:
        return self._now

    @now.setter
    def now(self, now: float) -> None:
        members: Any = self._client.zrange(names.OPEN_FLOWS, 0, -1)
        for flow_id in members:
            self._client.zincrby(names.OPEN_FLOWS, self._now - now, flow_id)
        self._now = now

    def monotonic(self) -> float:
        return self._now

    def time_ns(self) -> int:
        # Far from the time that Redis keeps.
        return NOON + int((self._now - 1000.0) * 1e9)

    def of_redis(self) -> float:
        seconds, microseconds = self._client.time()
        return float(seconds) + float(microseconds) / 1e6


class Gateway:
    """A gateway's process as Redis sees it."""

    def __init__(self, client: "redis.Redis", clock: Hours, name: str = "p1", *, ahead: float = 0.0) -> None:
        self.client, self.clock, self.name, self.ahead = client, clock, name, ahead
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
        self.client.zadd(names.OPEN_FLOWS, {flow_id: self.clock.of_redis() + self.ahead})


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def clock(client: "redis.Redis") -> Hours:
    return Hours(client)


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


async def scans_until_gone(reaper: Reaper, clock: Hours) -> int:
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
    assert await scans_until_gone(make_reaper(), clock) == 1
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
    assert await scans_until_gone(make_reaper(), clock) == 1
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
    assert await scans_until_gone(make_reaper(), clock) == 1
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
    assert await scans_until_gone(reaper, clock) == 1
    assert await stored(postgres_dsn) == [("interrupted", True, "reaped", 2, None, ["dead"])]
    assert client.zcard(names.OPEN_FLOWS) == 1, "the living process has still to hand over its share"
    clock.now += 100
    assert await reaper.scan() == 0
    alive.dies()
    assert await scans_until_gone(reaper, clock) == 1
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
    client.zadd(names.OPEN_FLOWS, {FLOW: clock.of_redis()})
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


def numbered(flow: int) -> str:
    return f"{flow:032x}"


def refuse_flow(dsn: str, flow_id: str, state: str) -> None:
    """Let Postgres refuse one flow with an error of this class, as a trigger or a constraint of an operator may."""
    script(
        dsn,
        f"""
        CREATE FUNCTION omni2.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.flow_id = '{flow_id}' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '{state}'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON omni2.interaction_flows FOR EACH ROW EXECUTE FUNCTION omni2.refuse();
        """,
    )


async def kept_aside(dsn: str) -> list[tuple[Any, ...]]:
    found = await asyncio.to_thread(query, dsn, "SELECT flow_id, sqlstate FROM omni2.poison_records ORDER BY id")
    return [tuple(row.values()) for row in found]


# A value, a constraint, an exception, a right that a trigger lacks, a statement that takes too long.
@pytest.mark.parametrize("state", ["22003", "23514", "P0001", "42501", "57014"])
async def test_a_flow_that_postgres_refuses_stops_no_other(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str, state: str
) -> None:
    gateway = Gateway(client, clock)
    for flow in range(21):
        gateway.writes(span(1, ended=False), flow_id=numbered(flow))
    gateway.dies()
    await asyncio.to_thread(refuse_flow, postgres_dsn, numbered(0), state)
    reaper = make_reaper()
    await scans_until_gone(reaper, clock)
    clock.now += 10
    await reaper.scan()
    assert len(await stored(postgres_dsn)) == 20
    # The others have shown that it is this flow: it is tried ever more rarely, and nobody is said to be away.
    for _ in range(60):
        clock.now += 10
        await reaper.scan()
    assert reaper.problem is None
    assert reaper.counts.reaped + reaper.counts.refused == 21 - reaper.waiting
    assert reaper.counts.failed < 10
    if state == "42501":
        # A right may be given yet, and then the flow is stored.
        assert (client.zcard(names.OPEN_FLOWS), reaper.waiting) == (1, 1)
    else:
        assert await kept_aside(postgres_dsn) == [(numbered(0), state)]
        assert (client.zcard(names.OPEN_FLOWS), reaper.waiting) == (0, 0)


async def test_a_flow_that_waited_is_archived_when_postgres_takes_it(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    gateway = Gateway(client, clock)
    gateway.writes(span(1, ended=False), flow_id=numbered(1))
    gateway.writes(span(1, ended=False), flow_id=numbered(2))
    gateway.dies()
    await asyncio.to_thread(refuse_flow, postgres_dsn, numbered(1), "42501")
    reaper = make_reaper()
    await scans_until_gone(reaper, clock)
    assert (len(await stored(postgres_dsn)), reaper.waiting) == (1, 1)
    await asyncio.to_thread(script, postgres_dsn, "DROP TRIGGER refuse ON omni2.interaction_flows")
    clock.now += 60
    assert await reaper.scan() == 1
    assert (len(await stored(postgres_dsn)), reaper.waiting, client.zcard(names.OPEN_FLOWS)) == (2, 0, 0)


async def test_what_is_no_flow_leaves_the_index_and_stops_no_flow(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    gateway = Gateway(client, clock)
    for foreign in (b"\xff\xfebad", b"", b"a/b", b"{x}", b"x" * 200, b"a\x00b"):
        client.zadd(names.OPEN_FLOWS, {foreign: 1.0})
    client.zadd(names.OPEN_FLOWS, {"text": 2.0, "hash": 2.0})
    client.set(names.flow_stream("text"), "no stream")
    client.hset(names.flow_stream("hash"), "no", "stream")
    gateway.writes(span(1, ended=False))
    client.xadd(names.flow_stream(FLOW), {names.STREAM_FIELD: b"\xff\xfe"})
    client.xadd(names.flow_stream(FLOW), {b"\xff": b"\xff"})
    # What stands beside the flow may be foreign as well.
    client.set(names.flow_key(FLOW, "reaped"), "no set")
    client.set(names.flow_activities(FLOW), "no stream")
    client.delete(names.process_description("p1"))
    client.hset(names.process_description("p1"), "no", "text")
    gateway.dies()
    reaper = make_reaper()
    assert await scans_until_gone(reaper, clock) == 1
    assert await stored(postgres_dsn) == [("interrupted", True, "reaped", 1, None, ["p1"])]
    assert client.zrange(names.OPEN_FLOWS, 0, -1) == []
    assert (reaper.counts.foreign, reaper.problem) == (8, None)


async def test_an_index_that_is_none_is_a_problem_that_is_told(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours
) -> None:
    reaper = make_reaper()
    client.set(names.OPEN_FLOWS, "no index")
    assert await reaper.scan() == 0
    assert reaper.problem == "Redis refuses: WRONGTYPE Operation against a key holding the wrong kind of value"
    assert reaper.failing
    client.delete(names.OPEN_FLOWS)
    await reaper.scan()
    after: tuple[str | None, bool] = (reaper.problem, reaper.failing)
    assert after == (None, False)


async def test_a_spool_that_cannot_be_replayed_does_not_stop_reaping(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str, tmp_path: Path
) -> None:
    spooled = build_archive(Settings(data_dir=str(tmp_path), spool_reserve_bytes=0), lambda: "p2")
    spooled.set_aside([part(7, [span(1)])])
    spooled.close(0)
    await asyncio.to_thread(refuse_flow, postgres_dsn, numbered(7), "42501")
    gateway = Gateway(client, clock)
    gateway.writes(span(1, ended=False))
    gateway.dies()
    reaper = make_reaper()
    assert await scans_until_gone(reaper, clock) == 1
    assert await stored(postgres_dsn) == [("interrupted", True, "reaped", 1, None, ["p1"])]
    assert reaper.problem is not None and "spool" in reaper.problem


async def test_an_index_entry_from_the_future_is_looked_at_as_well(
    make_reaper: MakeReaper, client: "redis.Redis", clock: Hours, postgres_dsn: str
) -> None:
    """Gateways before this release wrote the time of their own clock."""
    gateway = Gateway(client, clock, ahead=7200)
    gateway.writes(span(1), span(2, 1))
    reaper = make_reaper()
    assert await scans_until_gone(reaper, clock) == 0, "it lives"
    gateway.dies()
    assert await scans_until_gone(reaper, clock) == 1
    assert await stored(postgres_dsn) == [("ok", True, "reaped", 2, None, ["p1"])]
