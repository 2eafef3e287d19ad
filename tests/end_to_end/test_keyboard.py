"""A tour of the dashboard by keyboard alone: nothing is clicked, and the focus is where one expects it."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from spanflow.span_processors.pipeline import Pipeline
from tests.end_to_end.test_dashboard import past_request
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser

#: More presses of Tab than any page needs to reach what is looked for.
MOST_TABS = 60


def tab_to(page: Page, wanted: Locator) -> None:
    expect(wanted).to_be_visible()
    for _ in range(MOST_TABS):
        if wanted.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} was not reached by Tab")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_a_flow_is_found_opened_and_read(signed_in: Page, gateway: Pipeline, viewer: RunningViewer) -> None:
    past_request(gateway, viewer)
    # The first stop leads past the menu.
    signed_in.goto(f"{viewer.origin}/#/flows")
    expect(signed_in.get_by_test_id("flow-row")).to_have_count(1, timeout=10_000)
    press(signed_in, "/")
    signed_in.keyboard.type("ask")
    expect(signed_in).to_have_url(re.compile("q=ask"))
    expect(signed_in.get_by_test_id("flow-search")).to_be_focused()
    tab_to(signed_in, signed_in.get_by_test_id("flow-link"))
    press(signed_in, "Enter")
    tree = signed_in.get_by_role("treegrid")
    expect(tree).to_be_visible()
    tab_to(signed_in, tree)
    press(signed_in, "ArrowDown", "ArrowDown", "Enter")
    details = signed_in.get_by_test_id("details")
    expect(details.get_by_role("heading", name="block_check")).to_be_visible()
    press(signed_in, "Escape")
    expect(details).to_have_count(0)
    # Fold the root, and unfold it.
    press(signed_in, "Home", "ArrowLeft")
    expect(signed_in.get_by_test_id("node")).to_have_count(1)
    press(signed_in, "ArrowRight")
    expect(signed_in.get_by_test_id("node")).to_have_count(3)
    # Every view is one arrow from the next.
    tab_to(signed_in, signed_in.get_by_role("tab", name="Tree"))
    for name in ("Graph", "Transcript", "Table", "JSON"):
        press(signed_in, "ArrowRight")
        expect(signed_in.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
    # A menu gives the focus back.
    copy = signed_in.get_by_role("button", name="Copy", exact=True).first
    tab_to_backwards(signed_in, copy)
    press(signed_in, "Enter")
    expect(signed_in.get_by_role("menuitem").first).to_be_focused()
    press(signed_in, "Escape")
    expect(copy).to_be_focused()


def tab_to_backwards(page: Page, wanted: Locator) -> None:
    for _ in range(MOST_TABS):
        page.keyboard.press("Shift+Tab")
        if wanted.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"{wanted} was not reached by Shift+Tab")


def test_a_user_is_watched_paused_and_left(signed_in: Page, gateway: Pipeline, viewer: RunningViewer) -> None:
    past_request(gateway, viewer)
    press(signed_in, "g", "l")
    search = signed_in.get_by_test_id("user-search")
    tab_to(signed_in, search)
    signed_in.keyboard.type("neo@")
    expect(signed_in.get_by_role("option", name="neo@example.com")).to_be_visible()
    press(signed_in, "ArrowDown", "Enter")
    reason = signed_in.get_by_test_id("watch-reason")
    tab_to(signed_in, reason)
    signed_in.keyboard.type("ticket 4711")
    press(signed_in, "Enter")
    panel = signed_in.get_by_test_id("panel")
    expect(panel.get_by_test_id("panel-state")).to_have_attribute("data-state", "live")
    pause = panel.get_by_test_id("panel-pause")
    tab_to(signed_in, pause)
    press(signed_in, "Enter")
    expect(panel.get_by_test_id("panel-paused")).to_be_visible()
    tab_to(signed_in, panel.get_by_test_id("panel-live"))
    press(signed_in, "Enter")
    expect(panel.get_by_test_id("panel-paused")).to_have_count(0)
    # What has gone takes the focus with it to no place from which one could not go on.
    tab_to(signed_in, panel.get_by_test_id("panel-stop"))
    press(signed_in, "Enter")
    expect(panel.get_by_test_id("panel-ended")).to_be_visible()
    tab_to(signed_in, panel.get_by_role("button", name="Close the panel"))
    press(signed_in, "Enter")
    expect(panel).to_have_count(0)
    press(signed_in, "g", "f")
    expect(signed_in.get_by_role("heading", name="Flows", level=1)).to_be_visible()


def test_dialogs_hold_the_focus_and_give_it_back(signed_in: Page, gateway: Pipeline, viewer: RunningViewer) -> None:
    past_request(gateway, viewer)
    signed_in.goto(f"{viewer.origin}/#/flows")
    filters = signed_in.get_by_test_id("more-filters")
    tab_to(signed_in, filters)
    press(signed_in, "Enter")
    dialog = signed_in.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for _ in range(MOST_TABS):
        press(signed_in, "Tab")
        assert dialog.evaluate("each => each.contains(document.activeElement)")
    tab_to(signed_in, signed_in.get_by_test_id("filter-gate"))
    signed_in.keyboard.type("block_check")
    press(signed_in, "Enter")
    expect(dialog).to_have_count(0)
    expect(filters).to_be_focused()
    expect(signed_in).to_have_url(re.compile("gate=block_check"))
    expect(signed_in.get_by_test_id("filter-chip")).to_contain_text("block_check")
    # The palette, from anywhere, and back to where one was.
    press(signed_in, "Control+k")
    expect(signed_in.get_by_test_id("palette-input")).to_be_focused()
    press(signed_in, "Escape")
    expect(filters).to_be_focused()
    press(signed_in, "Control+k")
    signed_in.keyboard.type("statis")
    expect(signed_in.get_by_role("option", name="Statistics")).to_be_visible()
    press(signed_in, "ArrowDown", "Enter")
    expect(signed_in.get_by_role("heading", name="Statistics", level=1)).to_be_visible()
    # A choice of one among several.
    press(signed_in, "g", "s")
    theme = signed_in.get_by_role("radio", name="Follow the system")
    tab_to(signed_in, theme)
    press(signed_in, "ArrowDown", "ArrowDown")
    expect(signed_in.locator("html")).to_have_attribute("data-theme", "dark")
