"""The viewer below a folder of a reverse proxy: page, sign-in, API, socket and event stream."""

import asyncio
import re
from pathlib import Path
from urllib.parse import urljoin

import httpx
import orjson
import pytest
import websockets

from tests.support.poll import eventually
from tests.support.reverse_proxy import nginx, reverse_proxy
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer

FOLDER = "/tools/spanflow"
without_nginx = pytest.mark.skipif(nginx() is None, reason="nginx is not installed")
KINDS = ["ours", pytest.param("nginx", marks=without_nginx)]


@pytest.fixture
def dashboard(tmp_path: Path) -> Path:
    folder = tmp_path / "dashboard"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text('<!doctype html><head></head><script src="./assets/page.js"></script>')
    (folder / "assets" / "page.js").write_text("ready")
    return folder


@pytest.fixture(params=[True, False], ids=["stripped", "whole"])
def strips(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def sign_in(browser: httpx.Client, viewer: RunningViewer, base: str) -> None:
    code = viewer.post("/api/v1/session/codes")["code"]
    origin = {"Origin": base.removesuffix(FOLDER)}
    answer = browser.post(f"{base}/api/v1/session", json={"code": code}, headers=origin)
    assert answer.status_code == 200, answer.text


def script_of(address: str) -> str:
    """What a browser gets for the script of this page."""
    page = httpx.get(address).text
    script = re.search(r'src="([^"]+)"', page)
    assert script is not None
    return httpx.get(urljoin(address, script[1])).text


def look_around(browser: httpx.Client, base: str) -> None:
    assert browser.get(f"{base}/api/v1/session").json()["via"] == "session"
    assert browser.get(f"{base}/api/v1/openapi.json").json()["servers"] == [{"url": FOLDER}]


def stream(browser: httpx.Client, base: str) -> None:
    watched = {"X-Spanflow-Reason": "a test"}
    with browser.stream("GET", f"{base}/api/v1/live?user_id=7", headers=watched) as events:
        assert any("root" in line for line in events.iter_lines() if line.startswith("data:"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.anyio
async def test_everything_works_below_a_folder(
    kind: str, strips: bool, make_viewer: MakeViewer, make_flow: MakeFlow, dashboard: Path, tmp_path: Path
) -> None:
    viewer = make_viewer(viewer_root_path=FOLDER, dashboard=dashboard)
    flow = make_flow()
    folder = tmp_path / "proxy"
    folder.mkdir()
    with reverse_proxy(kind, viewer.address, FOLDER, folder, strips=strips) as base:
        assert script_of(f"{base}/") == "ready"
        with httpx.Client() as browser:
            sign_in(browser, viewer, base)
            (cookie,) = browser.cookies.jar
            assert cookie.path == FOLDER
            await asyncio.to_thread(look_around, browser, base)
            flow.start("root")
            headers = {"Cookie": f"{cookie.name}={cookie.value}", "Origin": base.removesuffix(FOLDER)}
            address = f"{base.replace('http', 'ws', 1)}/api/v1/live"
            async with websockets.connect(address, additional_headers=headers) as socket:
                await socket.send('{"type": "subscribe", "user_id": 7, "reason": "a test"}')
                while "events" not in (message := orjson.loads(await socket.recv())) or not message["events"]:
                    pass
                assert message["events"][0]["node_id"] == "root"
            await asyncio.to_thread(stream, browser, base)


def test_the_folder_without_its_slash_leads_to_the_page(make_viewer: MakeViewer, dashboard: Path) -> None:
    viewer = make_viewer(viewer_root_path=FOLDER, dashboard=dashboard)
    answer = viewer.stranger.get(FOLDER)
    assert (answer.status_code, answer.headers["location"]) == (308, f"{FOLDER}/")
    assert "page.js" in viewer.stranger.get(f"{FOLDER}/").text
    # Beside the proxy, for health checks and Prometheus, it answers as if there was no folder.
    eventually(lambda: viewer.stranger.get("/readyz").status_code == 200)
    assert viewer.stranger.get(f"{FOLDER}/healthz").json() == {"status": "ok"}


def test_the_public_address_says_the_folder(make_viewer: MakeViewer, dashboard: Path) -> None:
    viewer = make_viewer(viewer_public_url=f"https://example.com{FOLDER}", dashboard=dashboard)
    assert viewer.stranger.get(f"{FOLDER}/healthz").json() == {"status": "ok"}
