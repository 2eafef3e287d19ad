"""Random traffic while the line to Redis misbehaves at random: every event is accounted for."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import redis

from spanflow.span_processors import names
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.traced_gateway import TracedGateway, flow_id_of


@pytest.mark.parametrize("seed", range(4))
def test_accepted_is_delivered_or_dropped_under_random_load_and_faults(
    seed: int, proxy: Callable[[str], TcpProxy], redis_url: str, redis_client: "redis.Redis"
) -> None:
    dice = random.Random(seed)
    line = proxy(redis_url)
    trouble: list[Callable[[], Any]] = [
        line.cut,
        line.half_open,
        line.drop_connections,
        line.restore,
        line.restore,
        lambda: line.delay(0.02),
        lambda: line.drip(200_000),
    ]
    made = 0
    flows: list[str] = []
    # In one half of the runs memory is scarce, in the other nothing may be lost.
    scarce = seed % 2 == 1
    room = {"queue_spans": 64} if scarce else {}
    with TracedGateway(line.url, redis_timeout=0.1, counted_ids=False, **room) as gateway:
        for _ in range(25):
            dice.choice(trouble)()
            for _ in range(dice.randrange(12)):
                root = gateway.start("POST /ask", attributes={"user.id": "7"})
                steps = [gateway.start("tool_call", root) for _ in range(dice.randrange(4))]
                for span in [*steps, root]:
                    gateway.end(span)
                made += 2 * (len(steps) + 1)
                flows.append(flow_id_of(root))
            gateway.pipeline.force_flush(dice.choice([0.001, 0.02]))
            counts = gateway.pipeline.counters
            assert counts.intake.balanced and counts.sinks["mirror"].balanced
        line.restore()
        eventually(lambda: gateway.pipeline.counters.open_flows == 0, within=10)
        eventually(lambda: gateway.counts().waiting == 0, within=20)
        counts = gateway.pipeline.counters
        assert counts.intake.accepted == made
        assert counts.intake.balanced and counts.sinks["mirror"].balanced
        if scarce:
            assert set(counts.intake.dropped) <= {"queue_full", "start_dropped"}
            assert set(counts.sinks["mirror"].dropped) <= {"queue_full", "unavailable"}
            return
        assert (counts.intake.dropped, counts.sinks["mirror"].dropped) == ({}, {})
        for flow_id in flows:
            found: Any = redis_client.xrange(names.flow_stream(flow_id))
            tree = FlowReducer(decode(entry[b"e"]) for _, entry in found).tree()
            assert tree.nodes and all(node.ended and not node.placeholder for node in tree.walk())
