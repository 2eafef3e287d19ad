"""Fork: the child starts clean and does not send again what was its parent's; the parent does not notice."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from spanflow.span_processors import names
from tests.support.forked import in_child
from tests.support.query import query
from tests.support.traced_gateway import TracedGateway, flow_id_of


def forked(redis_url: str, when: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.support.forking_gateway", redis_url, when],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    told: dict[str, Any] = orjson.loads(done.stdout)
    return told


def events_of(client: "redis.Redis", flow_id: str) -> list[Any]:
    found: Any = client.xrange(names.flow_stream(flow_id))
    return [orjson.loads(entry[b"e"]) for _, entry in found]


@pytest.mark.parametrize("when", ["busy", "before"])
def test_a_child_starts_clean_and_works_on_its_own(when: str, redis_url: str, redis_client: "redis.Redis") -> None:
    told = forked(redis_url, when)
    child, parent = told["child"], told["parent"]
    assert told["child_status"] == 0
    assert (child["at_birth"]["accepted"], child["at_birth"]["waiting"]) == (0, 0)
    assert child["threads_at_birth"] == []
    assert child["flushed"] and child["shut_down"] and child["after"]["balanced"]
    assert child["after"]["instance"] != parent["instance"]
    assert [event["phase"] for event in events_of(redis_client, child["flow"])] == ["start", "end"]
    assert {event.get("process", child["after"]["instance"]) for event in events_of(redis_client, child["flow"])} == {
        child["after"]["instance"]
    }
    assert told["flushed"] and told["shut_down"] and parent["balanced"]
    assert (parent["waiting"], parent["dropped"]) == (0, {})
    # Of a short span under load there may be its end alone, which says all.
    assert [event["phase"] for event in events_of(redis_client, told["own"])][-1:] == ["end"]


def test_what_waited_at_the_fork_is_sent_once(redis_url: str, redis_client: "redis.Redis") -> None:
    told = forked(redis_url, "busy")
    assert len(told["flows"]) >= 60
    for flow_id in told["flows"]:
        seen = Counter((event["node_id"], event["phase"]) for event in events_of(redis_client, flow_id))
        # Of a short span under load there may be its end alone, which says all.
        assert set(seen.values()) == {1} and sum(phase == "end" for _, phase in seen) == 2


def test_a_span_that_is_open_at_the_fork_is_ended_by_both_and_is_one_span(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    told = forked(redis_url, "busy")
    events = events_of(redis_client, told["open"])
    assert sorted(event["phase"] for event in events) == ["end", "end", "start"]
    assert len({event["node_id"] for event in events}) == 1


def test_what_is_open_at_the_fork_stays_the_parents(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url, counted_ids=False) as gateway:
        root = gateway.start("POST /ask")
        assert gateway.pipeline.force_flush(5)

        def life() -> dict[str, Any]:
            counts = gateway.pipeline.counters
            with gateway.span("in the child"):
                pass
            assert gateway.pipeline.force_flush(5)
            own = gateway.pipeline.instance_id
            # Now, and not when the parent's next one would have been due.
            beats = redis.Redis.from_url(redis_url).exists(names.process_heartbeat(own), names.process_description(own))
            gateway.pipeline.shutdown(5)
            return {"open": [counts.open_flows, counts.open_bytes], "beats": beats}

        assert in_child(life) == {"open": [0, 0], "beats": 2}
        assert redis_client.zrange(names.OPEN_FLOWS, 0, -1) == [flow_id_of(root).encode()]
        assert redis_client.exists(names.process_heartbeat(gateway.pipeline.instance_id))
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert [event["phase"] for event in events_of(redis_client, flow_id_of(root))] == ["start", "end"]


ENDS_AT_ONCE = """
import multiprocessing, sys
from opentelemetry.sdk.trace import TracerProvider
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

settings = Settings(redis_url=sys.argv[1], postgres_dsn=sys.argv[2], data_dir=sys.argv[3])
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(FlowSpanProcessor(build_pipeline(settings)))

def work(number=0):
    with provider.get_tracer("gateway").start_as_current_span("in a child", attributes={"user.id": "7"}):
        pass

if __name__ == "__main__":
    work()
    children = [multiprocessing.get_context(sys.argv[4]).Process(target=work) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    with multiprocessing.get_context(sys.argv[4]).Pool(1) as pool:
        pool.map(work, range(2))
        pool.close()
        pool.join()
"""


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_child_of_multiprocessing_that_ends_at_once_delivers_its_flows(
    how: str, redis_url: str, redis_client: "redis.Redis", postgres_dsn: str, tmp_path: Path
) -> None:
    program = tmp_path / "ends_at_once.py"
    program.write_text(ENDS_AT_ONCE)
    subprocess.run([sys.executable, program, redis_url, postgres_dsn, str(tmp_path), how], check=True, timeout=60)
    assert redis_client.zcard(names.user_flows("7")) == 6
    assert len(query(postgres_dsn, "SELECT FROM omni2.interaction_flows")) == 6


CHILD_USES_TLS = """
import os, ssl, sys, threading
from opentelemetry.sdk.trace import TracerProvider
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

settings = Settings(redis_url=sys.argv[1], postgres_dsn=sys.argv[2], data_dir=sys.argv[3])
provider = TracerProvider(shutdown_on_exit=False)
pipeline = build_pipeline(settings)
provider.add_span_processor(FlowSpanProcessor(pipeline))
begun, may_go_on = threading.Event(), threading.Event()

def note(frame, event, argument):
    # OpenSSL may hold a lock in there.
    if event == "call" and frame.f_code.co_qualname == "SSLContext.__new__":
        begun.set()
        may_go_on.wait(20)

threading.setprofile(note)
with provider.get_tracer("gateway").start_as_current_span("in the parent"):
    pass
threading.setprofile(None)
assert begun.wait(20), "asyncpg makes a context, whether the server has TLS or not"
threading.Timer(0.1, may_go_on.set).start()
child = os.fork()
if child == 0:
    os._exit(0 if may_go_on.is_set() and ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) else 1)
print(os.waitpid(child, 0)[1])
pipeline.shutdown(5)
"""


def test_a_fork_waits_while_openssl_is_at_work_for_us(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    program = tmp_path / "child_uses_tls.py"
    program.write_text(CHILD_USES_TLS)
    done = subprocess.run(
        [sys.executable, program, redis_url, postgres_dsn, str(tmp_path)], check=True, timeout=60, capture_output=True
    )
    assert done.stdout == b"0\n"
