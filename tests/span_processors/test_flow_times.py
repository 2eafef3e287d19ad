"""Clocks that are wrong: a flow begins and ends with its root, whatever a span within it says."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from opentelemetry.context import Context
from opentelemetry.trace import set_span_in_context

from spanflow.span_processors import names
from tests.support.archives import Archives, archives_in, deliver
from tests.support.flow_parts import part, span
from tests.support.query import query, value
from tests.support.traced_gateway import MS, NOON, TracedGateway, flow_id_of

S = 1000 * MS
HOUR = 3600 * S


@pytest.fixture
def archives(postgres_dsn: str, tmp_path: Path) -> Iterator[Archives]:
    with archives_in(postgres_dsn, tmp_path) as made:
        yield made


def flows(archives: Archives, columns: str) -> list[dict[str, Any]]:
    return query(archives.dsn, f"SELECT {columns} FROM omni2.interaction_flows ORDER BY flow_id")


def _database_now(archives: Archives) -> int:
    return int(value(archives.dsn, "SELECT extract(epoch FROM now())::bigint")) * S


def times(archives: Archives) -> dict[str, Any]:
    [row] = flows(archives, "started_at, duration_ms, start_key")
    return row


def moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)


def test_one_span_of_1970_does_not_move_its_flow_there(archives: Archives) -> None:
    at = _database_now(archives)
    deliver(archives.make(), part(1, [span(2, 1, start_ns=1), span(1, start_ns=at, end_ns=at + 80 * MS)]))
    assert times(archives) == {"started_at": moment(at), "duration_ms": 80.0, "start_key": moment(at)}
    assert flows(archives, "flow_data -> 'outside_flow' AS outside") == [{"outside": "1"}]


def test_a_callee_whose_clock_is_behind_does_not_make_the_flow_longer(archives: Archives) -> None:
    at = _database_now(archives)
    archive = archives.make()
    deliver(archive, part(1, [span(2, 1, start_ns=at - 30 * S, end_ns=at - 30 * S + 5 * MS)]))
    deliver(archive, part(1, [span(1, start_ns=at, end_ns=at + 80 * MS)]))
    assert {**times(archives), "start_key": None} == {
        "started_at": moment(at),
        "duration_ms": 80.0,
        "start_key": None,
    }


def test_a_flow_whose_root_comes_late_leaves_the_week_of_a_wrong_clock(archives: Archives) -> None:
    at = _database_now(archives)
    archive = archives.make()
    deliver(archive, part(1, [span(2, 1, start_ns=1, end_ns=5 * MS)]))
    assert times(archives)["start_key"] < moment(at - 24 * HOUR)
    deliver(archive, part(1, [span(1, start_ns=at, end_ns=at + 80 * MS)]))
    assert times(archives) == {"started_at": moment(at), "duration_ms": 80.0, "start_key": moment(at)}
    keys = query(archives.dsn, "SELECT start_key FROM omni2.flow_keys")
    assert [row["start_key"] for row in keys] == [moment(at)]
    deliver(archive, part(1, [span(3, 1, start_ns=at, end_ns=at + 80 * MS)]))
    assert flows(archives, "span_count") == [{"span_count": 3}]


def test_without_a_root_most_spans_are_believed(archives: Archives) -> None:
    at = _database_now(archives)
    spans = [span(2, 1, start_ns=1), span(3, 1, start_ns=at), span(4, 1, start_ns=at + S)]
    deliver(archives.make(), part(1, spans))
    assert times(archives)["started_at"] == moment(at)


def test_a_flow_that_never_ended_does_not_last_until_a_wrong_clocks_future(archives: Archives) -> None:
    at = _database_now(archives)
    future = at + 20 * 365 * 24 * HOUR
    spans = [span(1, ended=False, start_ns=at), span(2, 1, start_ns=at, end_ns=at + S), span(3, 1, start_ns=future)]
    deliver(archives.make(), part(1, spans, reason="shutdown"))
    assert times(archives)["duration_ms"] == 1000.0


def test_the_index_of_a_user_has_the_roots_time(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /chat", attributes={"user.id": "7"})
        wrong = gateway.tracer.start_span("step", set_span_in_context(root, Context()), start_time=1)
        gateway.end(gateway.start("step", root))
        early = gateway.start("early", root)
        gateway.end(early)
        wrong.end(2)
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
    score = redis_client.zscore(names.user_flows("7"), flow_id_of(root))
    assert score is not None and abs(float(score) - NOON / 1e9) < 1
