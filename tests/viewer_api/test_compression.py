"""What is large is sent compressed to who takes it; credentials and endless answers never are."""

import gzip
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def site(make_viewer: MakeViewer, tmp_path: Path) -> RunningViewer:
    folder = tmp_path / "dashboard"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>" + " " * 2000)
    (folder / "assets" / "index-abc.js").write_text("const a = 1;" * 20_000)
    (folder / "assets" / "small.js").write_text("1")
    (folder / "assets" / "font.woff2").write_bytes(b"0" * 5000)
    return make_viewer(dashboard=folder)


def got(viewer: RunningViewer, path: str, encoding: str | None = "gzip, br", **options: Any) -> httpx.Response:
    """As it came over the line."""
    headers = {**BEARER, "Accept-Encoding": encoding or "identity"}
    with httpx.Client(base_url=viewer.origin, headers=headers) as client:
        with client.stream("GET", path, **options) as response:
            response._content = b"".join(response.iter_raw())
        return response


def test_a_large_flow_is_a_tenth_of_its_size(site: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    for number in range(1000):
        flow.start(f"span {number}")
    path = f"/api/v1/flows/{flow.flow_id}"
    plain, small = got(site, path, None), got(site, path)
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in small.headers["vary"].lower()
    assert len(plain.content) > 200_000 > 10 * len(small.content)
    assert gzip.decompress(small.content) == plain.content


def test_files_of_the_page_are_compressed(site: RunningViewer) -> None:
    for _ in range(2):
        script = got(site, "/assets/index-abc.js")
        assert script.headers["content-encoding"] == "gzip"
        assert gzip.decompress(script.content) == b"const a = 1;" * 20_000
        assert script.headers["etag"].startswith("W/")
        assert int(script.headers["content-length"]) == len(script.content)
    assert got(site, "/").headers["content-encoding"] == "gzip"
    for path in ("/assets/small.js", "/assets/font.woff2"):
        assert "content-encoding" not in got(site, path).headers, path


@pytest.mark.parametrize("encoding", ["identity", "br", "gzip;q=0", "gzip; q=0.0", "x-gzip"])
def test_who_does_not_take_it_gets_it_plain(site: RunningViewer, encoding: str) -> None:
    assert "content-encoding" not in got(site, "/assets/index-abc.js", encoding).headers


def test_credentials_and_parts_of_files_are_not_compressed(site: RunningViewer) -> None:
    for path in ("/api/v1/session", "/api/v1/session/methods"):
        assert "content-encoding" not in got(site, path).headers
    part = got(site, "/assets/index-abc.js", headers={"Range": "bytes=0-4999"})
    assert (part.status_code, len(part.content)) == (206, 5000)


def test_an_event_stream_comes_at_once(site: RunningViewer, make_flow: MakeFlow) -> None:
    make_flow().start("root")
    headers = {**BEARER, "X-Spanflow-Reason": "ticket", "Accept-Encoding": "gzip"}
    with httpx.Client(base_url=site.origin, headers=headers) as client:
        with client.stream("GET", "/api/v1/live?user_id=7") as events:
            assert "content-encoding" not in events.headers
            assert any("root" in line for line in events.iter_lines())
