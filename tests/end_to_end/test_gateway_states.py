"""What a page says of a request that hangs, whose gateway was killed, or whose watch has ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard import DASHBOARD, sign_in, store_flows
from tests.support.flow_parts import MS, part, span
from tests.support.flow_writer import FlowWriter
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer, running_viewer
from tests.viewer_api.test_statistics_counting import count_all

pytestmark = pytest.mark.browser

GATEWAY = """
import sys, threading
from opentelemetry.sdk.trace import TracerProvider
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

settings = Settings(redis_url=sys.argv[1], postgres_dsn=sys.argv[2], data_dir=sys.argv[3])
pipeline = build_pipeline(settings)
provider = TracerProvider()
provider.add_span_processor(FlowSpanProcessor(pipeline))
tracer = provider.get_tracer("gateway")
kinds = {"flow.checkpoint.type": "tool_call", "flow.data.tool": "get_job_status", "user.id": "7"}
with tracer.start_as_current_span("POST /ask", attributes={"user.id": "7"}):
    with tracer.start_as_current_span("tools/call get_job_status", attributes=kinds):
        pipeline.force_flush()
        sys.stdout.write("hanging\\n")
        sys.stdout.flush()
        threading.Event().wait()
"""


@pytest.fixture
def viewer(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[RunningViewer]:
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD) as running:
        yield running


@contextmanager
def hanging_gateway(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", GATEWAY, *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "hanging\n"
            yield process
        finally:
            process.kill()


def watch(page: Page, viewer: RunningViewer, **terms: object) -> Page:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "reason": "ticket", **terms})
    sign_in(page, viewer)
    page.goto(f"{viewer.origin}/#/live?user=7")
    expect(page.locator("[data-testid=panel-state][data-state=live]")).to_be_visible()
    return page


def test_a_gateway_that_is_killed_leaves_a_flow_that_is_lost(
    page: Page, viewer: RunningViewer, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    with hanging_gateway(redis_url, postgres_dsn, str(tmp_path / "gateway")) as gateway:
        watch(page, viewer)
        nodes = page.get_by_test_id("node")
        expect(nodes).to_have_count(2)
        expect(page.get_by_role("row", name="get_job_status")).to_contain_text("running")
        os.kill(gateway.pid, signal.SIGKILL)
        gateway.wait()
        # As soon as its heartbeat is missing; nothing helps that along.
        expect(page.locator("[data-testid=node][data-look=lost]")).to_have_count(2, timeout=60_000)
        expect(page.get_by_role("row", name="get_job_status")).to_contain_text("lost")
        duration = page.get_by_test_id("node-duration").last.inner_text()
        page.wait_for_timeout(600)
        assert page.get_by_test_id("node-duration").last.inner_text() == duration
    page.close()


def test_a_tool_that_hangs_is_slow_and_then_stalled(
    page: Page, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    began = int(now.timestamp()) * 1_000_000_000 - 1800 * 1000 * MS
    call: dict[str, Any] = {"event_type": "tool_call", "name": "tools/call list"}
    flows = [
        part(
            number,
            [span(1, start_ns=began, end_ns=began + 900 * MS, name="POST /ask"), span(2, 1, start_ns=began, **call)],
        )
        for number in range(1, 60)
    ]
    store_flows(postgres_dsn, tmp_path / "archive", *flows)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(count_all, postgres_dsn, now).result()
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD) as viewer:
        eventually(lambda: "percentile" in viewer.get(f"/api/v1/flows/{1:032x}/flat")["spans"][1])
        # The last news of it are almost a minute old: what is usual here is a millisecond.
        with FlowWriter(redis_url, "7", start_ns=time.time_ns() - 54 * 1000 * MS) as writer:
            writer.beat()
            writer.start("root", name="POST /ask")
            writer.start("tool", "root", "tool_call", name="tools/call list", attributes={"flow.data.tool": "list"})
            watch(page, viewer)
            row = page.get_by_role("row", name="tool_call · list")
            expect(row).to_have_attribute("data-look", "slow")
            expect(row).to_contain_text("slow")
            expect(row).to_have_attribute("data-look", "stalled", timeout=30_000)
            expect(row).to_contain_text("stalled")
            # A duration of more than a minute is shown to its end.
            time_cell = row.get_by_test_id("node-duration")
            expect(time_cell).to_contain_text("1 min 0")
            assert time_cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth + 1")
            for width in (1280, 390):
                page.set_viewport_size({"width": width, "height": 800})
                box = time_cell.bounding_box()
                assert box is not None and box["width"] > 40
            # What has ended, and took longer than usual, says so while the flow runs on.
            quick: dict[str, Any] = {"name": "tools/call list", "attributes": {"flow.data.tool": "list"}}
            at = time.time_ns()
            writer.end("usual", "root", "tool_call", start_ns=str(at - MS // 2), end_ns=str(at), **quick)
            writer.end("long", "root", "tool_call", start_ns=str(at - 500 * MS), end_ns=str(at), **quick)
            expect(page.get_by_test_id("node")).to_have_count(4)
            expect(page.get_by_test_id("percentile")).to_have_count(1)
            # Its own page says beside the time that it runs for how long its like usually take.
            page.goto(f"{viewer.origin}/#/flow/{writer.flow_id}")
            expect(page.get_by_test_id("flow-usual")).to_contain_text("(p95)")
        page.close()


def test_a_watch_that_expires_freezes_its_panel(page: Page, viewer: RunningViewer, redis_url: str) -> None:
    with FlowWriter(redis_url, "7") as writer:
        writer.beat()
        writer.start("root", name="POST /ask")
        watch(page, viewer, ttl_hours=8 / 3600)
        expect(page.get_by_test_id("panel-left")).to_contain_text(" s left")
        panel = page.get_by_test_id("panel")
        expect(panel.get_by_test_id("panel-state")).to_have_attribute("data-state", "expired", timeout=30_000)
        expect(panel.get_by_test_id("panel-ended")).to_contain_text("The watch has expired")
        expect(panel.get_by_test_id("flow")).to_contain_text("last known")
        duration = panel.get_by_test_id("flow-duration")
        stands = duration.inner_text()
        writer.start("tool", "root", "tool_call", name="after the end")
        page.wait_for_timeout(700)
        assert duration.inner_text() == stands
        expect(panel).not_to_contain_text("after the end")
        # Watched again, it goes on with what happened meanwhile.
        viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "reason": "ticket"})
        expect(panel.get_by_role("row", name="after the end")).to_be_visible()
        expect(panel.get_by_test_id("panel-ended")).to_have_count(0)
    page.close()


def test_a_request_that_is_denied_while_it_is_watched_says_where_and_why(
    page: Page, viewer: RunningViewer, redis_url: str
) -> None:
    with FlowWriter(redis_url, "7") as writer:
        writer.beat()
        watch(page, viewer)
        writer.start("root", name="POST /ask")
        writer.end("gate", "root", "usage_check", outcome="denied", attributes={"flow.denied.reason": "quota used up"})
        expect(page.locator("[data-testid=node][data-look=denied]")).to_contain_text("quota used up")
        writer.end("root", name="POST /ask")
        writer.close()
        card = page.get_by_test_id("flow")
        expect(card).to_have_attribute("data-look", "denied")
        expect(card.get_by_test_id("node").first).to_have_attribute("data-look", "denied")
        expect(card.get_by_role("button").first).to_contain_text("usage_check")
    page.close()
