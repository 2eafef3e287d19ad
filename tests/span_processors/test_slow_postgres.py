"""Postgres is there and slow: finished flows go to the spool before any of them is dropped."""

import logging
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.archives import archives_in, replay
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.query import query
from tests.support.traced_gateway import TracedGateway, flow_id_of

MakeProxy = Callable[[str], TcpProxy]
#: Seconds by which each piece of an answer is late; a transaction has about six.
SPEEDS = st.sampled_from([0.0, 0.02, 0.1, 0.3])


class SlowlyStored:
    """A gateway whose Postgres answers through a line that a test makes slow, with little room in memory."""

    def __init__(self, dsn: str, data_dir: Path, **more: Any) -> None:
        room = {"open_flows": 20, "postgres_timeout": 5.0, "spool_reserve_bytes": 0, **more}
        self.gateway = TracedGateway(
            "redis://127.0.0.1:1",
            mirror_enabled=False,
            archive_enabled=True,
            postgres_dsn=dsn,
            data_dir=str(data_dir),
            counted_ids=False,
            **room,
        )
        self.flows: list[str] = []

    def finishes(self, flows: int) -> None:
        for _ in range(flows):
            with self.gateway.span("POST /ask", attributes={"user.id": "7"}) as root:
                pass
            self.flows.append(flow_id_of(root))

    def settled(self) -> bool:
        counts = self.gateway.pipeline.counters
        archive = counts.sinks["postgres"]
        assert archive.balanced
        return counts.intake.waiting == counts.open_flows == archive.waiting == 0

    def stored(self, dsn: str) -> int:
        rows = query(dsn, "SELECT flow_id FROM omni2.interaction_flows WHERE flow_id = ANY($1)", self.flows)
        return len(rows)


@settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(turns=st.lists(st.tuples(SPEEDS, st.integers(1, 60)), min_size=3, max_size=8))
def test_a_completed_flow_is_not_dropped_while_there_is_spool_left(
    turns: list[tuple[float, int]], proxy: MakeProxy, postgres_dsn: str, tmp_path: Path
) -> None:
    random.seed()  # Hypothesis begins every example with one seed, and with it the SDK's ids would start over
    line = proxy(postgres_dsn)
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    process = SlowlyStored(line.url, folder)
    with process.gateway:
        for delay, flows in turns:
            line.delay(delay)
            process.finishes(flows)
            process.gateway.pipeline.force_flush(0.05)
        line.restore()
        eventually(process.settled, within=30)
        assert process.gateway.counts("postgres").dropped == {}
    with archives_in(postgres_dsn, folder) as archives:
        replay(archives.make("heir"))
    assert process.stored(postgres_dsn) == len(process.flows)


def test_when_the_spool_is_full_too_flows_are_dropped_by_that_reason_and_it_is_logged_once(
    proxy: MakeProxy, postgres_dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = proxy(postgres_dsn)
    process = SlowlyStored(line.url, tmp_path, spool_max_bytes=20_000)
    with caplog.at_level(logging.WARNING), process.gateway:
        line.delay(0.4)
        for _ in range(4):
            process.finishes(100)
            process.gateway.pipeline.force_flush(0.05)
        line.restore()
        eventually(process.settled, within=30)
        counts = process.gateway.counts("postgres")
        assert set(counts.dropped) == {"spool_full"}
        assert [record.message for record in caplog.records if "cannot be spooled (spool_full)" in record.message]
    with archives_in(postgres_dsn, tmp_path) as archives:
        replay(archives.make("heir"))
    assert process.stored(postgres_dsn) == len(process.flows) - counts.lost
