"""The dashboard in a frame of another page."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Page, expect

from spanflow.viewer_api.settings.parsers import origins
from tests.support.checkout import ROOT
from tests.support.flow_writer import FlowWriter
from tests.support.viewer_server import running_viewer

pytestmark = pytest.mark.browser

_DASHBOARD = ROOT / "viewer_api" / "spanflow" / "viewer_api" / "dashboard"


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Another page's origin, and the folder that it is served from."""
    folder = tmp_path / "portal"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_wall_is_shown_in_a_frame_of_a_page_that_is_named(
    page: Page, postgres_dsn: str, redis_url: str, tmp_path: Path, portal: tuple[str, Path]
) -> None:
    origin, folder = portal
    with (
        running_viewer(
            postgres_dsn, redis_url, tmp_path / "viewer", dashboard=_DASHBOARD, viewer_frame_ancestors=(origin,)
        ) as viewer,
        FlowWriter(redis_url, "7") as writer,
    ):
        viewer.post("/api/v1/monitoring/enable", {"user_ids": ["7"], "reason": "ticket"})
        code = viewer.post("/api/v1/session/codes")["code"]
        page.goto(f"{viewer.origin}/#code={code}")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        wall = f"{viewer.origin}/#/live?user=7&embed=1"
        framed = f'<link rel="icon" href="data:,"><iframe src="{wall}" width="900" height="600">'
        (folder / "index.html").write_text(framed)
        page.goto(f"{origin}/")
        frame = page.frame_locator("iframe")
        expect(frame.get_by_test_id("panel")).to_be_visible()
        writer.start("root", name="chat")
        expect(frame.get_by_test_id("node")).to_have_count(1)
        expect(frame.get_by_role("button", name="Sign out")).to_have_count(0)
        expect(frame.get_by_role("navigation")).to_have_count(0)
        headers = viewer.stranger.get("/").headers
        assert f"frame-ancestors {origin}" in headers["content-security-policy"]
        assert "x-frame-options" not in headers
        page.goto("about:blank")


@pytest.mark.parametrize("wrong", ["portal.example.com", "https://a b", "https://x/path", "'none'; script-src *"])
def test_what_is_no_origin_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        origins(wrong)
