"""Random traffic while the lines misbehave at random and processes fork: every event and flow is accounted for."""

import random
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from spanflow.span_processors import names
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.pipeline_counts import PipelineCounts
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.archives import archives_in, replay
from tests.support.forked import in_child
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.query import query
from tests.support.refusing import postgres_refuses, redis_refuses
from tests.support.traced_gateway import TracedGateway, flow_id_of

MakeProxy = Callable[[str], TcpProxy]
#: A run takes seconds and is decided by its dice alone: a failing one is told, not made smaller.
few_runs = settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def redis_takes_writes_again(redis_url: str) -> Iterator[None]:
    """The server is the whole run's."""
    yield
    redis_refuses(redis_url, False)


dices = st.integers(0, 2**32 - 1).map(random.Random)


def mischief(line: TcpProxy, refuses: Callable[[bool], None]) -> list[Callable[[], Any]]:
    """`refuses` has the server behind the line refuse every write, or take them again."""
    return [
        line.cut,
        line.half_open,
        line.drop_connections,
        line.restore,
        line.restore,
        lambda: line.delay(0.02),
        lambda: line.delay(0.5),  # longer than anybody waits
        lambda: line.drip(200_000),
        lambda: refuses(True),
        lambda: refuses(False),
        lambda: refuses(False),
    ]


def check_balance(counts: PipelineCounts) -> None:
    for stage in (counts.intake, *counts.sinks.values()):
        assert stage.balanced, counts


def settled(gateway: TracedGateway) -> bool:
    counts = gateway.pipeline.counters
    waiting = sum(stage.waiting for stage in (counts.intake, *counts.sinks.values()))
    return (waiting, counts.open_flows, counts.spool_bytes) == (0, 0, 0)


class Traffic:
    """Requests of random size."""

    def __init__(self, gateway: TracedGateway, dice: random.Random) -> None:
        # Hypothesis begins every run with the same seed, and with it the SDK's ids would start over.
        random.seed()
        self._gateway, self._dice = gateway, dice
        #: The flows that were made, and how many spans each has.
        self.flows: dict[str, int] = {}

    def some(self) -> None:
        for _ in range(self._dice.randrange(12)):
            self.request(self._dice.randrange(4))

    def request(self, checkpoints: int) -> None:
        root = self._gateway.start("POST /ask", attributes={"user.id": "7"})
        steps = [self._gateway.start("tool_call", root) for _ in range(checkpoints)]
        for span in [*steps, root]:
            self._gateway.end(span)
        self.flows[flow_id_of(root)] = checkpoints + 1

    @property
    def events(self) -> int:
        return 2 * sum(self.flows.values())


def life_of_a_child(gateway: TracedGateway) -> dict[str, int]:
    """Start with nothing, work a little, end: its own flows and how many spans they have."""
    counts = gateway.pipeline.counters
    stages = (counts.intake, *counts.sinks.values())
    assert [(stage.accepted, stage.lost, stage.waiting) for stage in stages] == [(0, 0, 0)] * len(stages)
    assert (counts.open_flows, counts.open_bytes) == (0, 0)
    traffic = Traffic(gateway, random.Random())
    for _ in range(3):
        traffic.request(1)
    gateway.pipeline.shutdown(10.0)
    counts = gateway.pipeline.counters
    check_balance(counts)
    assert [stage.waiting for stage in (counts.intake, *counts.sinks.values())] == [0] * len(stages)
    assert counts.intake.accepted == traffic.events
    archive = counts.sinks.get("postgres")
    # What Postgres does not take in time is in the spool.
    assert archive is None or (archive.accepted, archive.lost) == (3, 0)
    return traffic.flows


@few_runs
@given(dice=dices, scarce=st.booleans())
def test_accepted_is_delivered_or_dropped_under_random_load_faults_and_forks(
    dice: random.Random, scarce: bool, proxy: MakeProxy, redis_url: str, redis_client: "redis.Redis"
) -> None:
    line = proxy(redis_url)
    refuses = partial(redis_refuses, redis_url)
    # In some of the runs memory is scarce, in the others nothing may be lost.
    room: dict[str, Any] = {"queue_spans": 64} if scarce else {}
    with TracedGateway(line.url, redis_timeout=0.1, counted_ids=False, **room) as gateway:
        traffic = Traffic(gateway, dice)
        fork_at = dice.randrange(25)
        for turn in range(25):
            dice.choice(mischief(line, refuses))()
            traffic.some()
            if turn == fork_at:
                in_child(lambda: life_of_a_child(gateway))
            gateway.pipeline.force_flush(dice.choice([0.001, 0.02]))
            check_balance(gateway.pipeline.counters)
        line.restore()
        refuses(False)
        eventually(lambda: settled(gateway), within=20)
        counts = gateway.pipeline.counters
        check_balance(counts)
        assert counts.intake.accepted == traffic.events
        if scarce:
            assert set(counts.intake.dropped) <= {"queue_full", "start_dropped"}
            assert set(counts.sinks["mirror"].dropped) <= {"queue_full", "unavailable"}
            return
        assert (counts.intake.dropped, counts.sinks["mirror"].dropped) == ({}, {})
        for flow_id in traffic.flows:
            found: Any = redis_client.xrange(names.flow_stream(flow_id))
            tree = FlowReducer(decode(entry[b"e"]) for _, entry in found).tree()
            assert tree.nodes and all(node.ended and not node.placeholder for node in tree.walk())


@few_runs
@given(dice=dices)
def test_every_flow_of_every_process_is_stored_once_under_random_faults_of_both_lines(
    dice: random.Random, proxy: MakeProxy, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    redis_line, postgres_line = proxy(redis_url), proxy(postgres_dsn)
    refuse_redis, refuse_postgres = partial(redis_refuses, redis_url), partial(postgres_refuses, postgres_dsn)
    faults = [*mischief(redis_line, refuse_redis), *mischief(postgres_line, refuse_postgres)]
    with_archive: dict[str, Any] = {
        "archive_enabled": True,
        "postgres_dsn": postgres_line.url,
        "postgres_timeout": 0.3,
        "data_dir": tempfile.mkdtemp(dir=tmp_path),
        "spool_reserve_bytes": 0,
    }
    with TracedGateway(redis_line.url, redis_timeout=0.1, counted_ids=False, **with_archive) as gateway:
        traffic = Traffic(gateway, dice)
        children: dict[str, int] = {}
        fork_at = dice.randrange(20)
        for turn in range(20):
            dice.choice(faults)()
            traffic.some()
            if turn == fork_at:
                children |= in_child(lambda: life_of_a_child(gateway))
            gateway.pipeline.force_flush(dice.choice([0.001, 0.02]))
            check_balance(gateway.pipeline.counters)
        redis_line.restore()
        postgres_line.restore()
        refuse_redis(False)
        refuse_postgres(False)
        eventually(lambda: settled(gateway), within=20)
        counts = gateway.pipeline.counters
        check_balance(counts)
        assert counts.intake.accepted == traffic.events
        assert [stage.dropped for stage in (counts.intake, *counts.sinks.values())] == [{}, {}, {}]
        assert counts.sinks["postgres"].delivered >= len(traffic.flows)
        made = traffic.flows | children
        # What a child has left in its spool is delivered by whoever finds it.
        with archives_in(postgres_dsn, Path(with_archive["data_dir"])) as archives:
            replay(archives.make("heir"))
        assert stored(postgres_dsn, made) == made


def stored(dsn: str, wanted: dict[str, int]) -> dict[str, int]:
    rows = query(
        dsn,
        "SELECT flow_id, span_count FROM omni2.interaction_flows WHERE flow_id = ANY($1)",
        list(wanted),
    )
    assert len({row["flow_id"] for row in rows}) == len(rows)
    return {row["flow_id"]: row["span_count"] for row in rows}
