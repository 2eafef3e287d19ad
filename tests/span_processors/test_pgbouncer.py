"""Behind pgbouncer in transaction mode, where every transaction may run on another server connection."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.archive.postgres import make_pool
from tests.support.archives import Archives, archives_in, deliver, replay
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.pgbouncer import needs_pgbouncer, pgbouncer
from tests.support.query import query

pytestmark = [pytest.mark.long, needs_pgbouncer]


@pytest.fixture
def bouncer_dsn(postgres_dsn: str, new_server_directory: Callable[[], Path]) -> Iterator[str]:
    with pgbouncer(postgres_dsn, new_server_directory()) as dsn:
        yield dsn


@pytest.fixture
def archives(bouncer_dsn: str, tmp_path: Path) -> Iterator[Archives]:
    with archives_in(bouncer_dsn, tmp_path) as made:
        yield made


def test_several_processes_archive_through_two_server_connections(archives: Archives, postgres_dsn: str) -> None:
    def work(worker: int) -> None:
        archive = archives.make(f"p{worker}")
        for flow in range(0, 60, 6):
            said = Activity("user_message", NOON + (flow * 10 + worker) * MS, {"message": "hi"}, "c1")
            spans = [span(worker + 1, worker or None)]
            batch = [part(flow + step, spans, process=f"p{worker}") for step in range(6)]
            batch[0] = part(flow, spans, process=f"p{worker}", activities=(said.to_bytes(),))
            deliver(archive, *batch)
        archive.set_aside([part(99, [span(worker + 1, worker or None)], process=f"p{worker}")])
        replay(archive)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = query(postgres_dsn, "SELECT span_count, cardinality(processes) AS n FROM omni2.interaction_flows")
    assert {(row["span_count"], row["n"]) for row in rows} == {(4, 4)}
    assert len(rows) == 61
    numbers = query(postgres_dsn, "SELECT sequence_num FROM omni2.user_activities ORDER BY created_at")
    assert [row["sequence_num"] for row in numbers] == list(range(1, 41))


def test_the_viewers_pool_asks_many_things_at_once(archives: Archives) -> None:
    deliver(archives.make(), *(part(flow, [span(1)]) for flow in range(20)))

    async def ask() -> list[int]:
        async with make_pool(archives.settings(), "viewer", max_size=8) as pool:
            question = "SELECT count(*) FROM omni2.interaction_flows WHERE span_count = $1 AND $2"
            return list(await asyncio.gather(*(pool.fetchval(question, 1, True) for _ in range(200))))

    assert asyncio.run(ask()) == [20] * 200
