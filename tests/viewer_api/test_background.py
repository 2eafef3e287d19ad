"""What a viewer does beside its requests, and that it does not depend on any of it."""

import asyncio
import logging
import time
from collections.abc import Callable

import pytest
import redis
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spanflow.span_processors import names
from spanflow.viewer_api.background.maintenance import keep_tables
from spanflow.viewer_api.background.supervisor import every, running
from tests.support.poll import eventually, eventually_async
from tests.support.proxy import TcpProxy
from tests.support.query import script, value
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer


@pytest.mark.anyio
async def test_a_job_that_fails_is_started_again_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    runs = 0

    async def job() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("once")

    async with running("test", every(0.01, job)):
        await eventually_async(lambda: runs > 3)
    assert "spanflow test" not in {task.get_name() for task in asyncio.all_tasks()}
    assert [record.getMessage() for record in caplog.records] == [
        "The background job 'test' failed and is restarted in 1 s"
    ]


@pytest.mark.anyio
async def test_a_job_that_loses_its_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def job() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    async with running("test", job):
        await asyncio.sleep(0)
    assert lost == 2


@pytest.mark.anyio
async def test_old_weeks_go_and_new_ones_are_made(
    viewer: RunningViewer, postgres_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await asyncio.to_thread(
        script,
        postgres_dsn,
        "CREATE TABLE omni2.interaction_flows_w20200106 PARTITION OF omni2.interaction_flows "
        "FOR VALUES FROM ('2020-01-06 00:00Z') TO ('2020-01-13 00:00Z')",
    )
    await keep_tables(viewer.settings)
    there = "SELECT to_regclass('omni2.interaction_flows_w20200106') IS NOT NULL"
    assert await asyncio.to_thread(value, postgres_dsn, there) is False
    assert "interaction_flows_w20200106" in caplog.text


def test_it_starts_without_any_server_and_stops_as_quickly(
    make_viewer: MakeViewer, proxy: Callable[[str], TcpProxy], postgres_dsn: str, redis_url: str
) -> None:
    postgres, server = proxy(postgres_dsn), proxy(redis_url)
    postgres.cut()
    server.cut()
    viewer = make_viewer(dsn=postgres.url, url=server.url)
    ready = viewer.stranger.get("/readyz")
    away = {"postgres": "down", "schema": "unknown", "reads": "down", "redis": "down", "jobs": "ok"}
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable", **away})
    postgres.restore()
    server.restore()
    eventually(lambda: viewer.stranger.get("/readyz").json()["status"] == "ok", within=15)
    viewer.post("/api/v1/monitoring/enable/7")
    with redis.Redis.from_url(redis_url) as client:
        assert client.sismember(names.MONITORED_USERS, "7")


def test_a_viewer_does_not_trace_itself(make_viewer: MakeViewer) -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    trace.set_tracer_provider(provider)
    viewer = make_viewer()
    viewer.get("/api/v1/monitoring/list")
    viewer.post("/api/v1/monitoring/enable/7")
    assert memory.get_finished_spans() == ()


@pytest.mark.long
def test_a_flow_of_a_dead_gateway_is_archived_and_leaves_the_running_ones(
    viewer: RunningViewer, make_flow: MakeFlow, redis_url: str
) -> None:
    flow = make_flow()
    flow.start("root", name="POST /ask")
    assert viewer.get("/api/v1/flows?user_id=7")["flows"][0]["open"] is True
    with redis.Redis.from_url(redis_url) as client:
        client.zadd(names.OPEN_FLOWS, {flow.flow_id: time.time() - 100})

    def outcome() -> object:
        (listed,) = viewer.get("/api/v1/flows?user_id=7")["flows"]
        return listed["outcome"]

    eventually(lambda: outcome() == "interrupted", within=90)
    (stored,) = viewer.get("/api/v1/monitoring/flows/7")["flows"]
    assert stored["flow_id"] == flow.flow_id
