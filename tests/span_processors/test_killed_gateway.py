"""A gateway's process is killed at the worst moments; what Redis has seen of its flows is archived all the same."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from spanflow.span_processors import names
from spanflow.span_processors.archive.reaper import Patience, Reaper
from spanflow.span_processors.settings import Settings
from tests.support.poll import eventually, eventually_async
from tests.support.query import query

GATEWAY = """
import sys, threading, time
from opentelemetry.sdk.trace import TracerProvider
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

settings = Settings(redis_url=sys.argv[1], postgres_dsn=sys.argv[2], data_dir=sys.argv[3], flow_grace=3600)
pipeline = build_pipeline(settings)
provider = TracerProvider()
provider.add_span_processor(FlowSpanProcessor(pipeline))
tracer = provider.get_tracer("gateway")
with tracer.start_as_current_span("in its grace") as span:
    span.set_attribute("user.id", "7")
    asked = Activity("user_message", time.time_ns(), {"message": "how far is X?"}, "c1")
    pipeline.record_activity(span.get_span_context().trace_id, asked)
    with tracer.start_as_current_span("auth_check"):
        pass
with tracer.start_as_current_span("in the middle"):
    with tracer.start_as_current_span("auth_check"):
        pass
    with tracer.start_as_current_span("llm_thinking"):
        sys.stdout.write("thinking\\n")
        sys.stdout.flush()
        threading.Event().wait()
"""


def test_flows_of_a_killed_process_are_archived_as_what_they_were(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", GATEWAY, redis_url, postgres_dsn, str(tmp_path)]
    client: Any = redis.Redis.from_url(redis_url)
    with running(command) as gateway, client:
        assert gateway.stdout is not None
        assert gateway.stdout.readline() == "thinking\n"
        eventually(lambda: _events(client) == [4, 4], within=10)
        eventually(lambda: client.keys("flow:*:activities"))
        gateway.kill()
        gateway.wait()
        for heartbeat in client.keys("flows:process:*"):
            if not heartbeat.endswith(b":about"):
                client.delete(heartbeat)  # instead of waiting until it has expired
        asyncio.run(_reap(Settings(redis_url=redis_url, postgres_dsn=postgres_dsn, data_dir=str(tmp_path))))
        assert client.zcard(names.OPEN_FLOWS) == 0
        assert client.keys("flow:*:activities") == []
    columns = "name, outcome, complete_why, span_count, user_id"
    rows = query(postgres_dsn, f"SELECT {columns} FROM omni2.interaction_flows ORDER BY name")
    assert [tuple(row.values()) for row in rows] == [
        ("in its grace", "ok", "reaped", 2, "7"),
        ("in the middle", "interrupted", "reaped", 3, None),
    ]
    said = query(postgres_dsn, "SELECT user_id, activity_data->>'message' AS message FROM omni2.user_activities")
    assert said == [{"user_id": "7", "message": "how far is X?"}]


def _is_written(dsn: str, times: int) -> bool:
    return bool(query(dsn, f"SELECT FROM omni2.interaction_flows WHERE revision >= {times}"))


@contextmanager
def running(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """Killed at the end of the block, if not before."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def _reap(settings: Settings) -> None:
    reaper = Reaper(settings, patience=Patience(quiet=0, missing=0))
    try:
        await eventually_async(reaper.scan, within=10)
        await reaper.scan()
    finally:
        await reaper.close()


def _events(client: Any) -> list[int]:
    """How many events every stream has: four of each flow have been written, the fifth never comes."""
    streams = [key for key in client.keys("flow:{*}") if client.type(key) == b"stream"]
    return sorted(min(4, client.xlen(key)) for key in streams)


QUIET_GATEWAY = """
import sys, threading, time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

settings = Settings(redis_url=sys.argv[1], postgres_dsn=sys.argv[2], data_dir=sys.argv[3])
pipeline = build_pipeline(settings)
provider = TracerProvider()
provider.add_span_processor(FlowSpanProcessor(pipeline))
tracer = provider.get_tracer("gateway")
running = []
for name in ("one", "two", "three"):
    root = tracer.start_span(name, attributes={"user.id": "7"})
    with trace.use_span(root):
        asked = Activity("user_message", time.time_ns(), {"message": f"ask {name}"}, name)
        pipeline.record_activity(root.get_span_context().trace_id, asked)
        with tracer.start_as_current_span("auth_check"):
            pass
        running.append((root, tracer.start_span("llm_thinking")))
        root.update_name(f"POST /{name}")
        pipeline.span_updated(root)
pipeline.force_flush()
sys.stdout.write("quiet\\n")
sys.stdout.flush()
threading.Event().wait()
"""


def test_quiet_open_flows_survive_a_flush_of_redis_and_the_death_of_their_gateway(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", QUIET_GATEWAY, redis_url, postgres_dsn, str(tmp_path)]
    client: Any = redis.Redis.from_url(redis_url)
    with running(command) as gateway, client:
        assert gateway.stdout is not None
        assert gateway.stdout.readline() == "quiet\n"
        eventually(lambda: client.zcard(names.OPEN_FLOWS) == 3 and client.keys("flows:process:*:about"))
        client.flushall()
        # Nothing happens in them any more: the next heartbeat notices.
        eventually(lambda: client.zcard(names.OPEN_FLOWS) == 3, within=15)
        eventually(lambda: len(client.keys("flow:*:activities")) == 3)
        eventually(lambda: _events(client) == [4, 4, 4])
        eventually(lambda: client.zcard(names.user_flows("7")) == 3)
        gateway.kill()
        gateway.wait()
        for heartbeat in client.keys("flows:process:*"):
            if not heartbeat.endswith(b":about"):
                client.delete(heartbeat)  # instead of waiting until it has expired
        asyncio.run(_reap(Settings(redis_url=redis_url, postgres_dsn=postgres_dsn, data_dir=str(tmp_path))))
    columns = "name, outcome, complete_why, span_count, user_id"
    rows = query(postgres_dsn, f"SELECT {columns} FROM omni2.interaction_flows ORDER BY name")
    assert [tuple(row.values()) for row in rows] == [
        ("POST /one", "interrupted", "reaped", 3, "7"),
        ("POST /three", "interrupted", "reaped", 3, "7"),
        ("POST /two", "interrupted", "reaped", 3, "7"),
    ]
    said = query(postgres_dsn, "SELECT activity_data->>'message' AS message FROM omni2.user_activities ORDER BY 1")
    assert [row["message"] for row in said] == ["ask one", "ask three", "ask two"]


IDLE_GATEWAY = """
import os, sys, threading, time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

settings = Settings(
    redis_url=sys.argv[1], postgres_dsn=sys.argv[2], data_dir=sys.argv[3], flow_idle=0.3, flow_grace=0.05
)
pipeline = build_pipeline(settings)
provider = TracerProvider()
provider.add_span_processor(FlowSpanProcessor(pipeline))
tracer = provider.get_tracer("gateway")
root = tracer.start_span("POST /ask")
with trace.use_span(root, end_on_exit=False):
    thinking = tracer.start_span("llm_thinking")
    tracer.start_span("auth_check").end()

def say(word):
    pipeline.force_flush()
    sys.stdout.write(word + "\\n")
    sys.stdout.flush()

say("started")
for line in sys.stdin:
    word = line.strip()
    if word == "child ends":
        thinking.end()
    elif word == "child begins":
        with trace.use_span(root, end_on_exit=False):
            tracer.start_span("tool_call").end()
    elif word == "fork":
        if os.fork() == 0:
            # As a worker of a pool does: it ends a span inside the one that its parent has open, and goes on living.
            with trace.use_span(root, end_on_exit=False):
                tracer.start_span("in the child").end()
            pipeline.shutdown(5)
            os._exit(0)
        os.wait()
    elif word == "root ends":
        root.end()
    say(word)
"""
STORED = "SELECT outcome, complete, complete_why, span_count FROM omni2.interaction_flows"


@pytest.mark.parametrize(
    ("happening", "spans"),
    [([], 3), (["child ends"], 3), (["child begins"], 4), (["child ends", "child begins"], 4), (["fork"], 4)],
    ids=["nothing", "child ends", "child begins", "both", "fork"],
)
def test_a_flow_that_was_handed_over_while_it_was_idle_is_archived_when_its_process_is_killed(
    redis_url: str, postgres_dsn: str, tmp_path: Path, happening: list[str], spans: int
) -> None:
    command = [sys.executable, "-c", IDLE_GATEWAY, redis_url, postgres_dsn, str(tmp_path)]
    client: Any = redis.Redis.from_url(redis_url)
    with running(command) as gateway, client:
        assert gateway.stdout is not None and gateway.stdin is not None
        assert gateway.stdout.readline() == "started\n"
        eventually(lambda: query(postgres_dsn, STORED), within=10)
        assert [tuple(row.values()) for row in query(postgres_dsn, STORED)] == [(None, False, "idle", 3)]
        for number, word in enumerate(happening, 2):
            gateway.stdin.write(word + "\n")
            gateway.stdin.flush()
            assert gateway.stdout.readline() == word + "\n"
            # What has happened is handed over as well.
            eventually(partial(_is_written, postgres_dsn, number), within=10)
        assert client.zcard(names.OPEN_FLOWS) == 1, "its root is open"
        gateway.kill()
        gateway.wait()
        for heartbeat in client.keys("flows:process:*"):
            if not heartbeat.endswith(b":about"):
                client.delete(heartbeat)
        asyncio.run(_reap(Settings(redis_url=redis_url, postgres_dsn=postgres_dsn, data_dir=str(tmp_path))))
        assert client.zcard(names.OPEN_FLOWS) == 0
    (row,) = query(postgres_dsn, STORED)
    assert (row["outcome"], row["complete"], row["span_count"]) == ("interrupted", True, spans)


def test_a_flow_that_was_handed_over_while_it_was_idle_is_complete_when_its_root_has_ended(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", IDLE_GATEWAY, redis_url, postgres_dsn, str(tmp_path)]
    client: Any = redis.Redis.from_url(redis_url)
    with running(command) as gateway, client:
        assert gateway.stdout is not None and gateway.stdin is not None
        assert gateway.stdout.readline() == "started\n"
        eventually(lambda: query(postgres_dsn, STORED), within=10)
        for word in ("child ends", "root ends"):
            gateway.stdin.write(word + "\n")
            gateway.stdin.flush()
            assert gateway.stdout.readline() == word + "\n"
        eventually(lambda: client.zcard(names.OPEN_FLOWS) == 0, within=10)
        (row,) = query(postgres_dsn, STORED)
    assert (row["outcome"], row["complete"], row["span_count"]) == ("ok", True, 3)
