"""Searches under names, on the page of flows."""

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from spanflow.viewer_api.flows.flow_query import KNOWN
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


#: Every parameter of the list, as the API has them.
EVERYTHING = {
    "checkpoint": "tool_call",
    "conversation_id": "c 1",
    "gate": "block_check",
    "id": "abcdef12",
    "max_cost": "2.5",
    "max_duration_ms": "9000",
    "max_tokens": "1000",
    "mcp_server": "qa_mcp",
    "min_cost": "0.0001",
    "min_duration_ms": "1.5",
    "min_tokens": "1",
    "model": "big & small",
    "outcome": "denied",
    "outcome_reason": "forbidden",
    "q": "über 100% +1",
    "session_id": "s#1",
    "since": "2026-01-05T00:00:00Z",
    "sort": "cost",
    "source": "web",
    "started_since": "2026-01-05T01:00:00Z",
    "started_until": "2026-01-07T00:00:00Z",
    "step": "tool_call:drop, then list",
    "stopped_at": "block_check",
    "team": "ops",
    "tool": "drop=all?",
    "until": "2026-01-08T00:00:00Z",
    "user": "ada",
    "user_id": "7",
    "verdict": "needs_look",
}


def test_the_dashboard_opens_a_view_as_it_was_saved_whatever_is_in_it(
    page: Page, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    assert EVERYTHING.keys() == KNOWN - {"cursor", "limit", "count", "stepless"}
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD) as viewer:
        saved = viewer.post(FILTERS, {"name": "Everything", "filter": urlencode({**EVERYTHING, "stepless": "show"})})
        assert dict(parse_qsl(saved["query"])) == EVERYTHING
        sign_in(page, viewer)
        page.get_by_test_id("open-views").click()
        with page.expect_request(lambda request: "/api/v1/flows?" in request.url) as asked:
            page.get_by_test_id("view").get_by_role("button", name="Everything").first.click()
        wanted = dict(parse_qsl(urlsplit(asked.value.url).query))
        assert {name: wanted.get(name) for name in EVERYTHING} == EVERYTHING
        assert "stepless" not in wanted
        expect(page.get_by_test_id("open-views")).to_have_text("Everything")
        # What the page shows is saved as the same.
        page.get_by_test_id("view-name").fill("Again")
        page.get_by_test_id("view-name").press("Enter")
        expect(page.get_by_test_id("view")).to_have_count(2)
        again, first = viewer.get(FILTERS)["filters"]
        assert (again["name"], again["filter"]) == ("Again", first["filter"])
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
