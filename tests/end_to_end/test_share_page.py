"""A flow is shared by a link in the browser, and a stranger opens it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from spanflow.span_processors.identity import Identity
from tests.support.axe import violations
from tests.support.browser import new_context
from tests.support.dashboard import DASHBOARD, sign_in, store_flows
from tests.support.flow_parts import MS, part, span
from tests.support.page_layout import too_wide
from tests.support.page_problems import PageProblems
from tests.support.viewer_server import RunningViewer, running_viewer

pytestmark = pytest.mark.browser

FLOW = f"{1:032x}"
SECRET = "the secret question"
BEGAN = int(datetime.now(UTC).timestamp()) * 1_000_000_000 - 60_000 * MS


@pytest.fixture
def viewer(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[RunningViewer]:
    tool = {"flow.data.tool": "list_snapshots", "gen_ai.tool.call.arguments": SECRET}
    flow = part(
        1,
        [
            span(1, start_ns=BEGAN, end_ns=BEGAN + 200 * MS, name="POST /ask"),
            span(2, 1, start_ns=BEGAN + MS, end_ns=BEGAN + 90 * MS, event_type="tool_call", attributes=tool),
        ],
        identity=Identity(user_id="7", source="web"),
    )
    store_flows(postgres_dsn, tmp_path / "archive", flow)
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD) as running:
        yield running


def make_link(page: Page, *, contents: bool) -> str:
    """By the dialog at the head of the flow."""
    page.get_by_test_id("share-flow").click()
    if contents:
        page.get_by_test_id("share-contents").click()
    page.get_by_test_id("make-share").click()
    address = page.get_by_test_id("share-link").input_value()
    base, _, token = address.partition("#/shared/")
    assert (base, len(token)) == (page.url.split("#")[0], 43)
    return address


def test_a_stranger_sees_one_flow_and_nothing_else_until_the_link_is_revoked(
    page: Page, browser: Browser, viewer: RunningViewer
) -> None:
    sign_in(page, viewer)
    page.goto(f"{viewer.origin}/#/flow/{FLOW}")
    address = make_link(page, contents=False)
    row = page.get_by_test_id("share")
    expect(row).to_contain_text("never")
    assert violations(page) == []
    with new_context(browser) as (stranger, problems):
        asked: list[str] = []

        def note(request: Request) -> None:
            asked.append(request.url.removeprefix(viewer.origin))

        stranger.on("request", note)
        other = stranger.new_page()
        other.goto(address)
        step = other.get_by_test_id("node").filter(has_text="tool_call")
        step.click()
        details = other.get_by_test_id("details")
        expect(details).to_contain_text("list_snapshots")
        expect(details).to_contain_text("not part of this link")
        expect(other.get_by_test_id("flow-duration")).to_have_text("200 ms")
        assert SECRET not in other.content()
        assert violations(other) == []
        for view in ("Graph", "Table", "JSON"):
            other.get_by_role("tab", name=view).click()
            expect(other.get_by_role("tabpanel")).to_contain_text("POST /ask")
        expect(other.get_by_role("tab", name="Transcript")).to_have_count(0)
        # What is chosen stands in the address, and the page needs nothing but the flow.
        other.reload()
        expect(other.get_by_test_id("details")).to_be_visible()
        calls = {path.partition("?")[0] for path in asked if path.startswith("/api")}
        assert calls == {"/api/v1/shared/flow"}
        assert not any(address.rpartition("/")[2] in path for path in asked)
        other.set_viewport_size({"width": 390, "height": 800})
        assert not too_wide(other)
        problems.expect("404")
        page.get_by_test_id("revoke-share").click()
        expect(row).to_contain_text("revoked")
        expect(row).to_contain_text("1×")
        other.reload()
        expect(other.get_by_test_id("not-shared")).to_contain_text("This link does not work")
        other.close()
    page.goto("about:blank")


def test_a_link_with_contents_shows_them_and_is_listed_in_the_settings(
    page: Page, browser: Browser, viewer: RunningViewer
) -> None:
    sign_in(page, viewer)
    page.goto(f"{viewer.origin}/#/flow/{FLOW}")
    address = make_link(page, contents=True)
    with new_context(browser) as (stranger, _):
        other = stranger.new_page()
        other.goto(address)
        other.get_by_test_id("node").filter(has_text="tool_call").click()
        expect(other.get_by_test_id("details")).to_contain_text(SECRET)
        other.close()
    page.keyboard.press("Escape")
    page.goto(f"{viewer.origin}/#/settings")
    row = page.get_by_test_id("share-links").get_by_test_id("share")
    expect(row).to_contain_text(FLOW[:8])
    expect(row).to_contain_text("yes")
    expect(row).to_contain_text("1×")
    page.goto("about:blank")


def test_an_incomplete_link_says_so(page: Page, problems: PageProblems, viewer: RunningViewer) -> None:
    problems.expect("404")
    for address in ("#/shared/", "#/shared/wrong"):
        page.goto(f"{viewer.origin}/{address}")
        page.reload()
        expect(page.get_by_test_id("not-shared")).to_contain_text("incomplete, expired or revoked")
    page.goto("about:blank")
