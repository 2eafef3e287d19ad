"""The dashboard's own files, and what every answer tells a browser."""

import os
from pathlib import Path

import pytest

from spanflow.viewer_api.asgi.security_headers import content_security_policy
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer


@pytest.fixture
def site(make_viewer: MakeViewer, tmp_path: Path) -> RunningViewer:
    folder = tmp_path / "dashboard"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><html><head><title>S</title></head></html>")
    (folder / "assets" / "index-abc.js").write_text("1")
    (folder / "icon.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("secret")
    os.symlink(tmp_path / "secret.txt", folder / "assets" / "link.txt")
    return make_viewer(dashboard=folder)


def test_the_page_is_at_its_address_and_nowhere_else(site: RunningViewer) -> None:
    response = site.stranger.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["cache-control"] == "no-cache"
    assert response.text == "<!doctype html><html><head><title>S</title></head></html>"
    # A wrong probe must not be green.
    for path in ("/health", "/livez", "/ready", "/status", "/flows", "/flows/abc", "/a/b/", "/api", "/api/v2/flows"):
        missing = site.stranger.get(path)
        assert missing.status_code in {401, 404}, path
        assert missing.headers["content-type"] == "application/problem+json", path
    assert site.http.get("/api/v2/flows").status_code == 404


def test_files_are_served_with_their_types_and_hashed_ones_are_kept(site: RunningViewer) -> None:
    script = site.stranger.get("/assets/index-abc.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert site.stranger.get("/icon.svg").headers["content-type"] == "image/svg+xml"
    assert site.stranger.head("/").status_code == 200


def test_nothing_outside_the_folder_is_served(site: RunningViewer) -> None:
    paths = ("/../secret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt", "/assets/link.txt", "/%00", "/assets")
    for path in (*paths, "/assets/missing.js", "/missing.txt"):
        response = site.stranger.get(path)
        assert "secret" not in response.text, path
        assert response.status_code in {200, 404}, path
    assert site.stranger.get("/assets/missing.js").status_code == 404


def test_every_answer_forbids_guessing_and_foreign_code(site: RunningViewer) -> None:
    for path in ("/", "/assets/index-abc.js", "/healthz", "/api/v1/flows", "/api/v1/nothing"):
        headers = site.stranger.get(path).headers
        assert headers["content-security-policy"] == content_security_policy()
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers or headers["server"] == "uvicorn"
    assert "unsafe" not in content_security_policy()


def test_a_checkout_without_a_dashboard_says_what_to_do(make_viewer: MakeViewer, tmp_path: Path) -> None:
    viewer = make_viewer(dashboard=tmp_path / "nothing")
    response = viewer.stranger.get("/")
    assert response.status_code == 503
    assert "make web" in response.text
    assert viewer.stranger.get("/healthz").status_code == 200


def test_a_name_that_no_file_can_have_is_not_there(viewer: RunningViewer, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a" * 256, "a" * 5000, "a/" * 3000 + "b", "%00", "a%00.js", "..%2f..%2fetc%2fpasswd"):
        response = viewer.stranger.get(f"/{name}.js")
        assert (response.status_code, response.json()["code"]) == (404, "route_not_found"), name
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
