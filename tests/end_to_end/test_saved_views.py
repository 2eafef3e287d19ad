"""Searches under names, on the page of flows."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard import DASHBOARD, sign_in
from tests.support.page_problems import PageProblems
from tests.support.viewer_server import running_viewer

pytestmark = pytest.mark.browser

FILTERS = "/api/v1/filters"


def test_a_view_is_saved_for_everyone_shown_by_its_name_and_deleted(
    page: Page, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD) as viewer:
        sign_in(page, viewer)
        page.goto(f"{viewer.origin}/#/flows?outcome=denied&outcome=error&range=24h&embed=")
        menu = page.get_by_test_id("open-views")
        menu.click()
        page.get_by_test_id("view-name").fill("What went wrong")
        page.get_by_test_id("view-shared").click()
        page.get_by_test_id("view-name").press("Enter")
        expect(page.get_by_test_id("view")).to_contain_text("What went wrong for everyone")
        expect(menu).to_have_text("What went wrong")
        (saved,) = viewer.get(FILTERS)["filters"]
        assert (saved["filter"], saved["shared"]) == ("outcome=denied&outcome=error&range=24h", True)
        page.keyboard.press("Escape")
        page.goto(f"{viewer.origin}/#/flows")
        expect(menu).to_have_text("Views")
        menu.click()
        page.get_by_test_id("view").get_by_role("button", name="What went wrong").first.click()
        expect(menu).to_have_text("What went wrong")
        assert "outcome=denied" in page.url
        page.get_by_role("button", name="Delete the view What went wrong").click()
        expect(page.get_by_test_id("view")).to_have_count(0)
        assert viewer.get(FILTERS)["filters"] == []
        page.goto("about:blank")


def test_views_that_the_browser_held_move_to_the_viewer_once(
    page: Page, problems: PageProblems, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    problems.expect("422")
    held = [
        {"name": "Denied", "search": "outcome=denied&range=all"},
        {"name": "Of no use", "search": "outcome=unheard-of"},
        {"name": "Mine", "search": "outcome=ok"},
    ]
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD) as viewer:
        viewer.post(FILTERS, {"name": "Mine", "filter": "outcome=error"})
        sign_in(page, viewer)
        page.evaluate("views => localStorage.setItem('spanflow.views', views)", json.dumps(held))
        page.reload()
        page.get_by_test_id("open-views").click()
        expect(page.get_by_test_id("view")).to_have_count(2)
        kept = {each["name"]: each["filter"] for each in viewer.get(FILTERS)["filters"]}
        # What has the name already is newer than what a browser held.
        assert kept == {"Denied": "outcome=denied&range=all", "Mine": "outcome=error"}
        assert page.evaluate("localStorage.getItem('spanflow.views')") is None
        page.goto("about:blank")
