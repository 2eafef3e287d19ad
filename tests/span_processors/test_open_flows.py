"""Open flows hold a bounded number of bytes: each of them, and all together."""

from pathlib import Path
from typing import Any

import pytest
import redis

from spanflow.span_processors import names
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.traced_gateway import TracedGateway, flow_id_of

TEXT = "x" * 4000


@pytest.fixture
def with_archive(postgres_dsn: str, tmp_path: Path) -> dict[str, Any]:
    given = {"archive_enabled": True, "postgres_dsn": postgres_dsn, "data_dir": str(tmp_path), "spool_reserve_bytes": 0}
    return {**given, "flow_grace": 3600.0, "counted_ids": False}


def flows(dsn: str, columns: str) -> list[dict[str, Any]]:
    return query(dsn, f"SELECT {columns} FROM omni2.interaction_flows ORDER BY started_at")


def test_too_many_bytes_push_out_the_quietest_flows(
    redis_url: str, postgres_dsn: str, with_archive: dict[str, Any]
) -> None:
    with TracedGateway(redis_url, open_flows_bytes=100_000, **with_archive) as gateway:
        roots = []
        for number in range(60):
            roots.append(gateway.start(f"POST /{number}", attributes={"text": TEXT}))
            assert gateway.pipeline.force_flush(5)
            assert gateway.pipeline.counters.open_bytes <= 100_000
        still_open = gateway.pipeline.counters.open_flows
        assert 10 < still_open < 30
        pushed_out = [(f"POST /{number}", False, "pressure") for number in range(60 - still_open)]
        eventually(lambda: len(flows(postgres_dsn, "name")) == len(pushed_out))
        rows = flows(postgres_dsn, "name, complete, complete_why")
        assert [tuple(row.values()) for row in rows] == pushed_out
        for root in roots:
            gateway.end(root)
        assert gateway.pipeline.force_flush(10)
        # The rest of them has come, and nothing was lost.
        rows = flows(postgres_dsn, "complete, complete_why, span_count")
        assert [tuple(row.values()) for row in rows] == [(True, "root_ended", 1)] * 60
        assert gateway.pipeline.counters.open_bytes == 0


def test_the_bytes_of_one_flow_are_bounded_and_what_was_cut_is_said(
    redis_url: str, postgres_dsn: str, with_archive: dict[str, Any]
) -> None:
    with TracedGateway(redis_url, max_flow_bytes=50_000, **with_archive) as gateway:
        root = gateway.start("POST /ask")
        for _ in range(40):
            with gateway.span("tool_call", root, attributes={"text": TEXT}):
                pass
            assert gateway.pipeline.force_flush(5)
            assert gateway.pipeline.counters.open_bytes <= 50_000
        gateway.end(root)
        assert gateway.pipeline.force_flush(10)
    (row,) = flows(postgres_dsn, "span_count, cut_spans, cut_bytes, complete")
    assert row["span_count"] + row["cut_spans"] == 41
    assert 10 < row["span_count"] < 15 and row["cut_bytes"] > 100_000


def test_a_flow_is_complete_although_a_span_of_it_never_ends(
    redis_url: str, postgres_dsn: str, redis_client: "redis.Redis", with_archive: dict[str, Any]
) -> None:
    with TracedGateway(redis_url, flow_unfinished=0.2, **with_archive) as gateway:
        root = gateway.start("POST /ask")
        foreign = gateway.start("Received Proxy Server Request", root)
        waiting = gateway.start("POST /wait")
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        eventually(lambda: flows(postgres_dsn, "name"), within=10)
        # As long as its process lives, its spans may be in the stream, but it is over.
        eventually(lambda: redis_client.zrange(names.OPEN_FLOWS, 0, -1) == [flow_id_of(waiting).encode()])
        rows = flows(postgres_dsn, "name, outcome, complete, complete_why, span_count")
        assert [tuple(row.values()) for row in rows] == [("POST /ask", "ok", True, "root_ended", 2)]
        gateway.end(foreign)
        assert gateway.pipeline.force_flush(5)
        ended = "SELECT flow_data->'events'->1->>'phase' AS phase FROM omni2.interaction_flows"
        eventually(lambda: query(postgres_dsn, ended) == [{"phase": "end"}])
        eventually(lambda: redis_client.zrange(names.OPEN_FLOWS, 0, -1) == [flow_id_of(waiting).encode()])
        gateway.end(waiting)


def test_without_an_archive_an_idle_flow_stays_in_the_index_until_it_is_over(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    with TracedGateway(redis_url, flow_idle=0.1) as gateway:
        root = gateway.start("POST /ask")
        assert gateway.pipeline.force_flush(5)
        eventually(lambda: gateway.pipeline.counters.open_flows == 0)
        assert gateway.pipeline.force_flush(5)
        assert redis_client.zcard(names.OPEN_FLOWS) == 1
        gateway.end(root)
        eventually(lambda: redis_client.zcard(names.OPEN_FLOWS) == 0)
