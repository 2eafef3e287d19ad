"""Operators say what they think of a flow, in the browser."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from spanflow.span_processors.identity import Identity
from tests.support.axe import violations
from tests.support.dashboard import DASHBOARD, sign_in, store_flows
from tests.support.flow_parts import MS, part, span
from tests.support.page_layout import too_wide
from tests.support.viewer_server import running_viewer

pytestmark = pytest.mark.browser

BEGAN = int(datetime.now(UTC).timestamp()) * 1_000_000_000 - 60_000 * MS


def test_a_verdict_is_given_shown_in_the_list_searched_changed_and_removed(
    page: Page, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    flows = [
        part(
            number,
            [span(number, start_ns=BEGAN, end_ns=BEGAN + MS, name=f"POST /ask/{number}", event_type="tool_call")],
            identity=Identity(user_id="7", source="web"),
        )
        for number in (1, 2)
    ]
    store_flows(postgres_dsn, tmp_path / "archive", *flows)
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD) as viewer:
        sign_in(page, viewer)
        page.goto(f"{viewer.origin}/#/flow/{1:032x}")
        page.get_by_test_id("open-notes").click()
        save = page.get_by_test_id("save-note")
        expect(save).to_be_disabled()
        page.get_by_test_id("verdict-bad").click()
        page.get_by_test_id("note-text").fill("<b>Asked twice.</b>\nThen it hung.")
        save.click()
        note = page.get_by_test_id("note")
        expect(note).to_contain_text("<b>Asked twice.</b>")
        expect(note).to_contain_text("You")
        expect(page.get_by_test_id("note-text")).to_have_value("")
        # A popover stands beside the landmarks of the page.
        assert [each for each in violations(page) if not each.startswith("region:")] == []
        page.set_viewport_size({"width": 390, "height": 800})
        assert not too_wide(page)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("open-notes")).to_have_text("Notes (1)")
        page.goto(f"{viewer.origin}/#/flows")
        rows = page.get_by_test_id("flow-row")
        expect(rows).to_have_count(2)
        expect(rows.get_by_test_id("verdict-chip")).to_have_text(["bad"])
        page.get_by_test_id("verdict-filter").click()
        page.get_by_role("option", name="bad").click()
        expect(rows).to_have_count(1)
        assert "verdict=bad" in page.url
        assert violations(page) == []
        page.get_by_test_id("flow-link").click()
        page.get_by_test_id("open-notes").click()
        page.get_by_test_id("change-note").click()
        expect(page.get_by_test_id("note-text")).to_have_value("<b>Asked twice.</b>\nThen it hung.")
        page.get_by_test_id("verdict-needs_look").click()
        save.click()
        expect(note).to_contain_text("needs a look")
        expect(note).to_contain_text("changed")
        page.get_by_test_id("delete-note").click()
        expect(note).to_have_count(0)
        expect(page.get_by_test_id("verdict-chip")).to_have_count(0)
        page.goto("about:blank")
