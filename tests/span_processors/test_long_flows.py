"""A flow that is longer than its stream: its root and what is open stay in it, and what is gone is said."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis

from spanflow.span_processors import names
from spanflow.span_processors.archive.reaper import Patience, Reaper
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.poll import eventually, eventually_async
from tests.support.query import query
from tests.support.traced_gateway import TracedGateway, flow_id_of

SPANS = 3000
GATEWAY = f"""
import sys, threading
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

settings = Settings(redis_url=sys.argv[1], postgres_dsn=sys.argv[2], data_dir=sys.argv[3], stream_maxlen=500)
pipeline = build_pipeline(settings)
provider = TracerProvider()
provider.add_span_processor(FlowSpanProcessor(pipeline))
tracer = provider.get_tracer("gateway")
root = tracer.start_span("POST /ask")
root.set_attribute("user.id", "7")
pipeline.span_updated(root)
with trace.use_span(root, end_on_exit=False):
    thinking = tracer.start_span("llm_thinking")
    for number in range({SPANS}):
        tracer.start_span("tool_call").end()
        if not number % 50:
            pipeline.force_flush()
pipeline.force_flush()
sys.stdout.write("long\\n")
sys.stdout.flush()
threading.Event().wait()
"""


def entries_of(client: Any, flow_id: str) -> list[Any]:
    return FlowReducer(decode(entry[b"e"]) for _, entry in client.xrange(names.flow_stream(flow_id))).entries()


def test_the_root_and_what_is_open_survive_trimming(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url, stream_maxlen=200, batch_interval=0) as gateway:
        root = gateway.start("POST /ask", attributes={"user.id": "7"})
        thinking = gateway.start("llm_thinking", root)
        thinking.set_attribute("flow.data.model", "m-1")
        gateway.pipeline.span_updated(thinking)
        for number in range(1000):
            with gateway.span("tool_call", root):
                pass
            if not number % 40:
                assert gateway.pipeline.force_flush(5)
        assert gateway.pipeline.force_flush(5)
        entries = entries_of(redis_client, flow_id_of(root))
        assert [entry["name"] for entry in entries if entry["phase"] != "end"] == ["POST /ask", "llm_thinking"]
        (_, open_span) = [entry for entry in entries if entry["phase"] != "end"]
        assert open_span["attributes"]["flow.data.model"] == "m-1"
        # Whatever was cut off at the beginning of the stream, no span is there in half.
        assert all("name" in entry and "start_ns" in entry for entry in entries)
        told = names.flow_told(flow_id_of(root), gateway.pipeline.instance_id)
        assert 800 <= int(redis_client.get(told) or 0) <= 1002
        gateway.end(thinking)
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert redis_client.xlen(names.flow_stream(flow_id_of(root))) < 500


def test_an_ordinary_flow_is_told_once(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url, stream_maxlen=200, batch_interval=0) as gateway:
        root = gateway.start("POST /ask")
        for _ in range(40):
            with gateway.span("tool_call", root):
                pass
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert redis_client.xlen(names.flow_stream(flow_id_of(root))) <= 82
        assert redis_client.keys("flow:*:told:*") == []


def test_a_long_flow_of_a_killed_process_keeps_its_root_and_says_what_is_missing(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", GATEWAY, redis_url, postgres_dsn, str(tmp_path)]
    client: Any = redis.Redis.from_url(redis_url)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway, client:
        try:
            assert gateway.stdout is not None
            assert gateway.stdout.readline() == "long\n"
            eventually(lambda: client.keys("flows:process:*:about"))
        finally:
            gateway.kill()
        gateway.wait()
        for heartbeat in client.keys("flows:process:*"):
            if not heartbeat.endswith(b":about"):
                client.delete(heartbeat)
        settings = Settings(redis_url=redis_url, postgres_dsn=postgres_dsn, data_dir=str(tmp_path))
        asyncio.run(_reap(settings))
    (row,) = query(postgres_dsn, "SELECT name, outcome, user_id, span_count, cut_spans FROM omni2.interaction_flows")
    assert (row["name"], row["outcome"], row["user_id"]) == ("POST /ask", "interrupted", "7")
    assert 200 < row["span_count"] < 800
    assert SPANS - 300 <= row["span_count"] + row["cut_spans"] <= SPANS + 2


async def _reap(settings: Settings) -> None:
    reaper = Reaper(settings, patience=Patience(quiet=0, missing=0))
    try:
        await eventually_async(reaper.scan, within=10)
    finally:
        await reaper.close()
