"""The dashboard below a folder of a reverse proxy: a flow with all of its parts, and the live wall with its socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from spanflow.instrumentation import checkpoint, flow, start_checkpoint
from spanflow.span_processors.pipeline import Pipeline
from tests.support.poll import eventually
from tests.support.reverse_proxy import nginx, reverse_proxy
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser


@pytest.fixture(params=[("ours", True), ("nginx", True)], ids=["ours", "nginx"])
def base(request: pytest.FixtureRequest, viewer: RunningViewer, tmp_path: Path) -> Iterator[str]:
    kind, strips = request.param
    if kind == "nginx" and nginx() is None:
        pytest.skip("there is no nginx on this machine")
    folder = tmp_path / "proxy"
    folder.mkdir()
    with reverse_proxy(kind, viewer.address, "/tools/spanflow", folder, strips=strips) as address:
        yield address


def test_a_flow_is_opened_read_and_followed_below_a_folder(
    page: Page, base: str, gateway: Pipeline, viewer: RunningViewer
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with flow("POST /ask", user_id=42, email="neo@example.com") as past, checkpoint("auth_check"):
        pass
    gateway.force_flush(10)
    eventually(lambda: viewer.get(f"/api/v1/flows/{past.flow_id}")["open"] is False, within=10)
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [42], "reason": "ticket"})
    page.goto(f"{base}/#code={viewer.post('/api/v1/session/codes')['code']}")
    expect(page.get_by_test_id("sign-out")).to_be_attached()
    page.get_by_test_id("flow-row").get_by_role("link", name="POST /ask").click()
    page.get_by_role("row", name="auth_check").click()
    expect(page.get_by_test_id("details")).to_be_visible()
    for view, sign in (("Graph", "graph-node"), ("Table", "table-row"), ("JSON", "json")):
        page.get_by_role("tab", name=view).click()
        expect(page.get_by_test_id(sign).first).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_test_id("save-json").click()
    assert saved.value.failure() is None
    page.reload()
    expect(page.get_by_test_id("json")).to_be_visible()
    page.get_by_role("link", name="Live").click()
    expect(page.locator("[data-testid=panel-state][data-state=live]")).to_be_visible()
    with flow("chat turn", user_id=42) as running:
        tool = start_checkpoint("tool_call", parent=running, tool="list_snapshots")
        expect(page.get_by_role("row", name="tool_call · list_snapshots")).to_contain_text("running")
        tool.end()
    expect(page.locator(f"[data-testid=flow][data-flow-id='{running.flow_id}']")).to_have_attribute(
        "data-open", "false"
    )
    assert [url for url in asked if not url.startswith((base, "blob:", "data:"))] == []
    page.close()
