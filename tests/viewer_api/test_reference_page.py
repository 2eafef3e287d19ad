"""`/docs`: the API's reference for people, as a browser under the page's policy shows it."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from spanflow.viewer_api import openapi
from spanflow.viewer_api.app import create_app
from spanflow.viewer_api.asgi.security_headers import content_security_policy
from spanflow.viewer_api.routes.reference_page import page as rendered
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer


@pytest.mark.parametrize("folder", ["", "/spanflow"])
def test_a_browser_shows_every_operation_and_asks_no_other_host(
    make_viewer: MakeViewer, page: Page, folder: str
) -> None:
    viewer = make_viewer(viewer_root_path=folder)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    code = viewer.post("/api/v1/session/codes")["code"]
    base = f"{viewer.origin}{folder}"
    signed_in = page.request.post(f"{base}/api/v1/session", data={"code": code}, headers={"Origin": viewer.origin})
    assert signed_in.ok, signed_in.text()
    shown = page.goto(f"{base}/docs")
    assert shown is not None and shown.headers["content-security-policy"] == content_security_policy()
    described = viewer.get("/api/v1/openapi.json")
    operations = [name for name, _ in openapi.operations(described)]
    assert len(operations) > 40
    assert sorted(page.locator("section h3").all_inner_texts()) == sorted(operations)
    link = page.get_by_role("link", name="GET /api/v1/flows/{flow_id}/tree")
    link.click()
    target = page.locator("section#get-api-v1-flows-flow-id-tree")
    expect(target).to_contain_text("One flow as a tree of its spans")
    expect(target).to_contain_text("flow_idpath, required")
    expect(target.locator("details", has_text="200").first).to_be_attached()
    # The style has come: it is `system-ui` and not the browser's own font.
    assert "system-ui" in page.evaluate("getComputedStyle(document.body).fontFamily")
    assert asked and {urlsplit(url).netloc for url in asked} == {urlsplit(viewer.origin).netloc}
    document = page.request.get(f"{base}/{page.get_by_role('link', name='openapi.json').get_attribute('href')}")
    assert document.json()["paths"].keys() == described["paths"].keys()


def test_a_stranger_gets_its_style_and_nothing_else(viewer: RunningViewer) -> None:
    refused = viewer.stranger.get("/docs")
    assert (refused.status_code, refused.json()["code"]) == (401, "not_signed_in")
    style = viewer.stranger.get("/docs/style.css")
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    for outside in ("http:", "https:", "//", "@import", "url("):
        assert outside not in style.text


def test_every_operation_has_an_anchor_of_its_own() -> None:
    described: dict[str, Any] = create_app(ViewerSettings()).openapi()
    html = rendered(described)
    sections = html.count("<section id=")
    assert len({part.partition('"')[0] for part in html.split('<section id="')[1:]}) == sections
    assert sections == len(list(openapi.operations(described)))


def test_markup_in_a_document_is_shown_and_not_run() -> None:
    """Examples are real answers, and those hold what strangers wrote."""
    hostile = '</pre><script>alert("`x`")</script>'
    html = rendered(
        {
            "info": {"title": hostile, "description": hostile},
            "paths": {
                f"/{hostile}": {
                    "get": {
                        "tags": [hostile],
                        "description": hostile,
                        "parameters": [{"name": hostile, "in": hostile, "description": hostile}],
                        "requestBody": {"content": {hostile: {"schema": {"title": hostile}}}},
                        "responses": {
                            hostile: {
                                "description": hostile,
                                "content": {hostile: {"examples": {"1": {"summary": hostile, "value": hostile}}}},
                            }
                        },
                    }
                }
            },
        }
    )
    assert "<script" not in html and html.count("</pre>") == html.count("<pre>")
