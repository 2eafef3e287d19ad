"""How unusual a step was, in the tree of its flow."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard import DASHBOARD, sign_in, store_flows
from tests.support.flow_parts import MS, part, span
from tests.support.poll import eventually
from tests.support.viewer_server import running_viewer
from tests.viewer_api.test_statistics_counting import count_all

pytestmark = pytest.mark.browser

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
BEGAN = int(NOW.timestamp()) * 1_000_000_000 - 1800 * 1000 * MS


def test_a_step_that_took_unusually_long_has_a_badge(
    page: Page, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    flows = [
        part(
            took,
            [
                span(1, start_ns=BEGAN, end_ns=BEGAN + 200 * MS, name="POST /ask"),
                span(2, 1, start_ns=BEGAN, end_ns=BEGAN + took * MS, event_type="tool_call", name="tools/call list"),
            ],
        )
        for took in range(1, 101)
    ]
    store_flows(postgres_dsn, tmp_path / "archive", *flows)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(count_all, postgres_dsn, NOW).result()
    # Of what is usual a viewer reads when it starts, and every few minutes.
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD) as viewer:
        sign_in(page, viewer)
        flat = f"/api/v1/flows/{98:032x}/flat"
        eventually(lambda: "percentile" in viewer.get(flat)["spans"][1])
        for took, badge in ((98, "p9"), (50, None)):
            page.goto(f"{viewer.origin}/#/flow/{took:032x}")
            step = page.get_by_test_id("node").filter(has_text="tool_call")
            step.click()
            details = page.get_by_test_id("details")
            expect(details).to_contain_text(" of its kind, last 24 h")
            if badge is None:
                expect(step.get_by_test_id("percentile")).to_have_count(0)
            else:
                expect(step.get_by_test_id("percentile")).to_contain_text(badge)
        page.goto("about:blank")
