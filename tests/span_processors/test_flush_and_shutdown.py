"""What `force_flush` and `shutdown` promise with both servers behind them, and whatever state these are in."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from spanflow.span_processors import names
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.settings import Settings
from tests.support.archives import archives_in, replay
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.query import query
from tests.support.traced_gateway import TracedGateway, flow_id_of

MakeProxy = Callable[[str], TcpProxy]


def both(postgres_dsn: str, data_dir: Path, **more: Any) -> dict[str, Any]:
    """Settings of a gateway that archives, and waits for late spans longer than any test does."""
    given = {"archive_enabled": True, "postgres_dsn": postgres_dsn, "data_dir": str(data_dir), "spool_reserve_bytes": 0}
    return {**given, "flow_grace": 3600.0, **more}


def request(gateway: TracedGateway) -> str:
    with gateway.span("POST /ask", attributes={"user.id": "7"}) as root, gateway.span("tool_call", root):
        pass
    return flow_id_of(root)


def stored(dsn: str) -> set[str]:
    return {row["flow_id"] for row in query(dsn, "SELECT flow_id FROM omni2.interaction_flows WHERE span_count = 2")}


def test_a_flush_brings_finished_flows_into_postgres_without_waiting_for_their_grace(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    with TracedGateway(redis_url, counted_ids=False, **both(postgres_dsn, tmp_path)) as gateway:
        made = {request(gateway) for _ in range(10)}
        assert gateway.pipeline.force_flush(10)
        assert stored(postgres_dsn) == made


def test_a_flush_keeps_its_time_while_postgres_is_silent_and_says_that_not_all_has_left(
    redis_url: str, postgres_dsn: str, tmp_path: Path, proxy: MakeProxy
) -> None:
    line = proxy(postgres_dsn)
    line.half_open()
    with TracedGateway(redis_url, counted_ids=False, **both(line.url, tmp_path)) as gateway:
        made = {request(gateway)}
        begun = time.monotonic()
        assert gateway.pipeline.force_flush(0.3) is False
        assert time.monotonic() - begun < 0.8
        line.restore()
        assert gateway.pipeline.force_flush(20)
        # On the way it may have gone over the disk.
        eventually(lambda: stored(postgres_dsn) == made, within=20)


def test_a_silent_postgres_leaves_the_mirror_its_time_at_the_end(
    redis_url: str, redis_client: "redis.Redis", postgres_dsn: str, tmp_path: Path, proxy: MakeProxy
) -> None:
    line = proxy(postgres_dsn)
    line.half_open()
    gateway = TracedGateway(redis_url, counted_ids=False, **both(line.url, tmp_path))
    made = {request(gateway) for _ in range(10)}
    begun = time.monotonic()
    gateway.pipeline.shutdown(1.0)
    assert time.monotonic() - begun < 1.5
    assert [(gateway.counts(sink).lost, gateway.counts(sink).waiting) for sink in ("postgres", "mirror")] == [
        (0, 0)
    ] * 2
    # They are safe on disk, and Redis has been told so.
    assert redis_client.zcard(names.OPEN_FLOWS) == 0
    assert redis_client.get(names.process_heartbeat(gateway.pipeline.instance_id)) is None
    with archives_in(postgres_dsn, tmp_path) as archives:
        replay(archives.make("heir"))
    assert stored(postgres_dsn) == made


def test_what_a_silent_postgres_has_in_hand_at_the_end_is_spooled_too(
    redis_url: str, postgres_dsn: str, tmp_path: Path, proxy: MakeProxy
) -> None:
    line = proxy(postgres_dsn)
    # Asked for a whole minute, and stopped in the middle of it.
    settings = both(line.url, tmp_path, flow_grace=0.01, postgres_timeout=60.0, postgres_connect_timeout=60.0)
    gateway = TracedGateway(redis_url, counted_ids=False, **settings)
    made = {request(gateway)}
    assert gateway.pipeline.force_flush(10)
    line.half_open()
    made |= {request(gateway) for _ in range(10)}
    runner: Any = gateway.pipeline._archive
    eventually(lambda: runner._queue._in_hand == 10)
    begun = time.monotonic()
    gateway.pipeline.shutdown(1.0)
    assert time.monotonic() - begun < 1.5
    assert (gateway.counts("postgres").lost, gateway.counts("postgres").waiting) == (0, 0)
    line.cut()  # nothing that was held back on the way may help
    with archives_in(postgres_dsn, tmp_path) as archives:
        replay(archives.make("heir"))
    assert stored(postgres_dsn) == made


ENDS_WITHOUT_A_WORD = """
import sys
from opentelemetry.sdk.trace import TracerProvider
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

settings = Settings(redis_url=sys.argv[1], postgres_dsn=sys.argv[2], data_dir=sys.argv[3], flow_grace=3600)
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(FlowSpanProcessor(build_pipeline(settings)))
with provider.get_tracer("gateway").start_as_current_span("POST /ask", attributes={"user.id": "7"}):
    with provider.get_tracer("gateway").start_as_current_span("auth_check"):
        pass
"""


def test_a_process_that_ends_without_a_word_delivers_all_the_same(
    redis_url: str, redis_client: "redis.Redis", postgres_dsn: str, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-c", ENDS_WITHOUT_A_WORD, redis_url, postgres_dsn, str(tmp_path)], check=True)
    (flow_id,) = stored(postgres_dsn)
    assert redis_client.zrange(names.user_flows("7"), 0, -1) == [flow_id.encode()]
    assert redis_client.zcard(names.OPEN_FLOWS) == 0


def test_all_threads_start_with_the_first_span(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    with TracedGateway(redis_url, **both(postgres_dsn, tmp_path)) as gateway:
        before = set(threading.enumerate())
        with gateway.span("POST /ask"):
            # From Python 3.12 on a process that ends cannot start any more.
            started = {thread.name for thread in set(threading.enumerate()) - before}
            assert started == {f"spanflow-{name}" for name in ("encoder", "mirror", "postgres", "watched")}


@pytest.mark.parametrize("used", [False, True])
def test_hooks_for_forks_and_for_the_end_of_the_process_keep_no_pipeline_alive(used: bool, redis_url: str) -> None:
    if used:
        with TracedGateway(redis_url) as gateway:
            request(gateway)
        reference = weakref.ref(gateway.pipeline)
        del gateway
    else:
        reference = weakref.ref(build_pipeline(Settings(redis_url=redis_url)))
    gc.collect()
    assert reference() is None


def test_everything_that_ends_a_process_shares_one_time_limit(
    redis_url: str, postgres_dsn: str, tmp_path: Path, proxy: MakeProxy
) -> None:
    redis_line, postgres_line = proxy(redis_url), proxy(postgres_dsn)
    patient = {"redis_timeout": 30.0, "postgres_timeout": 30.0, "postgres_connect_timeout": 30.0}
    gateway = TracedGateway(redis_line.url, counted_ids=False, **both(postgres_line.url, tmp_path, **patient))
    made = {request(gateway)}
    assert gateway.pipeline.force_flush(10)
    redis_line.half_open()
    postgres_line.half_open()
    made |= {request(gateway) for _ in range(10)}
    begun = time.monotonic()
    assert not gateway.pipeline.prepare_to_end(2.0), "Redis has not taken it"
    assert time.monotonic() - begun < 1.7
    counts = gateway.counts("postgres")
    assert (counts.delivered, counts.waiting) == (11, 0), "on the disk, should the process end now without a word"
    gateway.processor.shutdown()
    assert time.monotonic() - begun < 2.6
    redis_line.cut()
    postgres_line.cut()
    with archives_in(postgres_dsn, tmp_path) as archives:
        replay(archives.make("heir"))
    assert stored(postgres_dsn) == made


def test_a_process_that_goes_on_after_it_was_about_to_end_loses_nothing(
    redis_url: str, postgres_dsn: str, tmp_path: Path, proxy: MakeProxy
) -> None:
    line = proxy(postgres_dsn)
    with TracedGateway(redis_url, counted_ids=False, **both(line.url, tmp_path)) as gateway:
        made = {request(gateway)}
        assert gateway.pipeline.force_flush(10)
        line.half_open()
        made |= {request(gateway) for _ in range(5)}
        assert gateway.pipeline.prepare_to_end(1.0)
        line.restore()
        made |= {request(gateway) for _ in range(5)}
        assert gateway.pipeline.force_flush(10)
        eventually(lambda: stored(postgres_dsn) == made, within=15)
        assert gateway.counts("postgres").lost == 0
