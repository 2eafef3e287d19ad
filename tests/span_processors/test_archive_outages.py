"""Postgres away, silent, slow, restarted; the disk full: no finished flow is missing afterwards, counts are exact."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from spanflow.span_processors.archive.archive import DISK_FULL, SPOOL_FULL
from spanflow.span_processors.archive.replay import PATIENCE
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.stages.breaker import Breaker
from spanflow.span_processors.stages.sink import Aside, Receipt, SinkLimits
from spanflow.span_processors.stages.sink_runner import SinkRunner
from tests.support.archives import Archives, archives_in, deliver, replay
from tests.support.flow_parts import part, span
from tests.support.poll import eventually
from tests.support.postgres_server import PostgresServer
from tests.support.proxy import TcpProxy
from tests.support.query import query, value
from tests.support.stepped_clock import SteppedClock

MakeProxy = Callable[[str], TcpProxy]
Runner = SinkRunner[FlowPart]


@pytest.fixture
def archives(postgres_dsn: str, tmp_path: Path) -> Iterator[Archives]:
    with archives_in(postgres_dsn, tmp_path) as made:
        yield made


class Gateway:
    """A process that finishes a flow every now and then."""

    def __init__(self, archives: Archives, dsn: str, **more: Any) -> None:
        self.archive = archives.make(postgres_dsn=dsn, **more)
        limits = SinkLimits(batch_items=50, timeout=0.5)
        self.runner: Runner = SinkRunner(self.archive, limits=limits, breaker=Breaker(longest_pause=0.2))
        self.finished = 0

    def finishes(self, flows: int) -> None:
        parts = [part(self.finished + number, [span(1), span(2, 1)]) for number in range(flows)]
        self.finished += flows
        assert self.runner.offer(parts) == [], "a request never waits and nothing is refused"

    def settled(self) -> bool:
        counts = self.runner.counts()
        assert counts.balanced
        return counts.waiting == 0

    def has_spooled(self, flows: int) -> bool:
        return self.archive.state.spooled >= flows

    def ends(self) -> bool:
        return self.runner.shutdown(time.monotonic() + 10)


def stored(dsn: str) -> int:
    found: int = value(dsn, "SELECT count(*) FROM omni2.interaction_flows")
    return found


def holds(dsn: str, flows: int) -> bool:
    return stored(dsn) == flows


@pytest.mark.parametrize("how", ["cut", "half_open", "drip"])
def test_no_finished_flow_is_missing_after_an_outage(
    archives: Archives, proxy: MakeProxy, postgres_dsn: str, how: str
) -> None:
    line = proxy(postgres_dsn)
    gateway = Gateway(archives, line.url)
    gateway.finishes(20)
    eventually(lambda: stored(postgres_dsn) == 20)
    for spooled in (50, 100):
        line.drip(20) if how == "drip" else getattr(line, how)()
        for _ in range(5):
            gateway.finishes(10)
        eventually(partial(gateway.has_spooled, spooled), within=10)
        line.restore()
        gateway.finishes(5)
        eventually(partial(holds, postgres_dsn, gateway.finished), within=15)
    eventually(gateway.settled)
    assert gateway.ends()
    counts = gateway.runner.counts()
    assert (counts.accepted, counts.delivered, counts.lost) == (130, 130, 0)
    assert sorted(set(archives.safe)) == [f"{flow:032x}" for flow in range(130)]
    assert gateway.archive.state.spool_bytes == 0


def test_a_server_that_crashes_and_comes_back_has_everything(postgres_server: PostgresServer, tmp_path: Path) -> None:
    from spanflow.migrations.run import upgrade

    upgrade(postgres_server.dsn())
    with archives_in(postgres_server.dsn(), tmp_path) as archives:
        gateway = Gateway(archives, postgres_server.dsn())
        for _ in range(2):
            gateway.finishes(30)
            postgres_server.kill()
            gateway.finishes(30)
            eventually(gateway.settled, within=10)
            postgres_server.start()
            gateway.finishes(30)
            eventually(partial(holds, postgres_server.dsn(), gateway.finished), within=20)
        assert gateway.ends()
        assert gateway.runner.counts().lost == 0


def test_before_the_first_migration_flows_wait_for_their_tables(empty_postgres_dsn: str, tmp_path: Path) -> None:
    from spanflow.migrations.run import upgrade

    with archives_in(empty_postgres_dsn, tmp_path) as archives:
        gateway = Gateway(archives, empty_postgres_dsn)
        gateway.finishes(10)
        eventually(lambda: gateway.archive.state.spooled == 10)
        # However long it takes: that there is no schema yet is no fault of what is to be stored.
        eventually(lambda: gateway.archive._replay._failures > PATIENCE + 1, within=10)
        upgrade(empty_postgres_dsn)
        eventually(lambda: stored(empty_postgres_dsn) == 10, within=10)
        assert gateway.archive.state.poisoned == 0
        assert gateway.ends()
        assert value(empty_postgres_dsn, "SELECT count(*) FROM omni2.poison_records") == 0


def test_a_row_that_another_transaction_holds_costs_a_detour_over_the_spool_and_nothing_else(
    archives: Archives, postgres_dsn: str
) -> None:
    deliver(archives.make(), part(0, [span(1)]))

    async def hold() -> None:
        connection = await asyncpg.connect(postgres_dsn)
        try:
            async with connection.transaction():
                await connection.execute("SELECT FROM omni2.interaction_flows FOR UPDATE")
                gateway = Gateway(archives, postgres_dsn, postgres_timeout=0.4)
                await asyncio.to_thread(gateway.runner.offer, [part(0, [span(5, 1)])])
                await asyncio.to_thread(gateway.finishes, 3)
                await asyncio.to_thread(eventually, lambda: gateway.archive.state.spooled >= 1)
        finally:
            await connection.close()
        await asyncio.to_thread(eventually, lambda: gateway.archive.state.spool_bytes == 0, 10)
        assert await asyncio.to_thread(gateway.ends)

    asyncio.run(hold())
    counts = query(postgres_dsn, "SELECT span_count FROM omni2.interaction_flows ORDER BY flow_id")
    assert [row["span_count"] for row in counts] == [3, 2, 2]


def test_a_connection_that_was_closed_while_idle_is_renewed_without_an_outage(
    archives: Archives, proxy: MakeProxy, postgres_dsn: str
) -> None:
    line = proxy(postgres_dsn)
    archive = archives.make(postgres_dsn=line.url)
    deliver(archive, part(1, [span(1)]))
    line.drop_connections()
    assert deliver(archive, part(2, [span(1)])) == Receipt(1)
    assert archive.state.spooled == 0


def test_a_full_spool_is_counted_by_reason_and_the_rest_is_replayed(archives: Archives, postgres_dsn: str) -> None:
    archive = archives.make(spool_max_bytes=20_000)
    flows = [part(flow, [span(1)]) for flow in range(40)]
    first = archive.set_aside(flows)
    assert 0 < first.kept < 40, "as much of a batch as there is room for"
    assert first.reason == SPOOL_FULL
    assert archive.set_aside(flows[first.kept :]) == Aside(0, SPOOL_FULL)
    replay(archive)
    assert stored(postgres_dsn) == first.kept
    assert archive.set_aside(flows[-1:]) == Aside(1)


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.support.archives import Archives
from tests.support.flow_parts import part, span

resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
archive = Archives("postgresql://127.0.0.1:1/none", Path(sys.argv[1])).make()
for flow in range(20):
    aside = archive.set_aside([part(flow, [span(1)])])
    sys.stdout.write(f"{aside.kept} {aside.reason}\\n")
archive.close(0)
"""


def test_a_full_disk_is_counted_and_said_once(archives: Archives, tmp_path: Path, postgres_dsn: str) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    lines = done.stdout.splitlines()
    taken = lines.count("1 ")
    assert 0 < taken < 20
    assert lines.count(f"0 {DISK_FULL}") == 20 - taken
    assert done.stderr.count("cannot be spooled (disk_full)") == 1
    replay(archives.make("heir"))
    assert stored(postgres_dsn) == taken


def test_what_is_left_at_the_end_is_spooled_and_delivered_by_the_next_process(
    archives: Archives, proxy: MakeProxy, postgres_dsn: str
) -> None:
    line = proxy(postgres_dsn)
    line.half_open()
    gateway = Gateway(archives, line.url)
    gateway.finishes(30)
    begun = time.monotonic()
    gateway.ends()
    assert time.monotonic() - begun < 10
    counts = gateway.runner.counts()
    assert (counts.accepted, counts.delivered, counts.lost) == (30, 30, 0)
    assert stored(postgres_dsn) == 0
    replay(archives.make("next"))
    assert stored(postgres_dsn) == 30


@pytest.mark.parametrize("unusable", ["no room", "no directory"])
def test_without_a_usable_spool_flows_wait_in_memory_through_every_outage(
    archives: Archives,
    proxy: MakeProxy,
    postgres_dsn: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    unusable: str,
) -> None:
    line = proxy(postgres_dsn)
    if unusable == "no directory":
        (tmp_path / "spool").write_text("a file stands where the folder should be")
    gateway = Gateway(archives, line.url, **({"spool_max_bytes": 0} if unusable == "no room" else {}))
    gateway.finishes(20)
    eventually(partial(holds, postgres_dsn, 20))
    for _ in range(3):
        line.cut()
        gateway.finishes(20)
        eventually(lambda: gateway.runner._breaker._failures > 3)
        line.restore()
        eventually(partial(holds, postgres_dsn, gateway.finished), within=15)
    assert gateway.ends()
    assert gateway.runner.counts().dropped == {}
    said = [record.message for record in caplog.records if "cannot be spooled" in record.message]
    assert len(said) == 3, "once for each outage"


def test_an_unusable_spool_is_said_before_it_is_needed_and_again_when_it_can_be_used(
    archives: Archives, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "spool"
    in_the_way.write_text("a file stands where the folder should be")
    archive = archives.make()
    archive.idle(time.monotonic() + 20)
    assert archive.state.spool_problem == f"{in_the_way} is not a directory"
    in_the_way.unlink()
    archive.idle(time.monotonic() + 20)
    assert archive.state.spool_problem == ""
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the spool cannot be used; without Postgres, flows would wait in memory only",
        "the spool can be used again",
    ]
    assert not in_the_way.exists(), "to look leaves no trace"


def test_one_segment_that_cannot_be_read_holds_up_no_other_and_is_come_back_to(
    postgres_dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SteppedClock()
    with archives_in(postgres_dsn, tmp_path) as archives:
        for number in range(4):
            archives.make(f"gone-{number}").set_aside([part(number, [span(1)])])
        archives.close()
        # Reading a directory fails for every user, whereas root reads every file.
        unreadable = tmp_path / "spool" / "gone-1" / "000000000001.seg"
        hidden = unreadable.rename(tmp_path / "hidden")
        unreadable.mkdir()
        own = archives.make("own", clock=clock)
        own.set_aside([part(9, [span(1)])])
        replay(own)
        assert stored(postgres_dsn) == 4
        assert own.state.unreadable == 1
        clock.step(9)
        replay(own)
        unreadable.rmdir()
        hidden.rename(unreadable)
        replay(own)
        assert stored(postgres_dsn) == 4, "not tried again before its time"
        clock.step(2)
        replay(own)
        assert stored(postgres_dsn) == 5
        assert own.state.unreadable == 0
    said = [record.message for record in caplog.records if "part of the spool" in record.message]
    assert [message.partition(":")[0] for message in said] == [
        "a part of the spool is left out for now, the others are replayed",
        "a part of the spool that was left out has been replayed",
    ]


def test_a_folder_that_cannot_be_listed_holds_up_no_other(
    archives: Archives, tmp_path: Path, postgres_dsn: str
) -> None:
    for number in range(2):
        archives.make(f"gone-{number}").set_aside([part(number, [span(1)])])
    archives.close()
    own = archives.make("own")
    assert own._spool.take_over() == 2
    first = tmp_path / "spool" / "gone-0"
    first.rename(tmp_path / "moved")
    replay(own)
    assert stored(postgres_dsn) == 1
    (tmp_path / "moved").rename(first)


def test_what_is_stored_and_cannot_be_removed_holds_up_nothing(
    archives: Archives, tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archives.make()
    spool = archive._spool
    archive.set_aside([part(1, [span(1)])])
    replayed = spool.replayed

    def refuse_once(segment: Path) -> None:
        monkeypatch.setattr(spool, "replayed", replayed)
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(spool, "replayed", refuse_once)
    archive.idle(time.monotonic() + 20)
    archive.set_aside([part(2, [span(1)])])
    replay(archive)
    assert stored(postgres_dsn) == 2
    assert archive.state.unreadable == 1
