"""What the dashboard offers to whom: nothing that the server would refuse."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.archives import archives_in, deliver
from tests.support.checkout import ROOT
from tests.support.flow_writer import FlowWriter
from tests.support.people import (
    ADMIN,
    PEOPLE,
    VIEWER_7,
    WATCHES_7,
    Person,
    ask,
    what_two_users_did,
    write_tokens,
)
from tests.support.viewer_server import RunningViewer, running_viewer

pytestmark = pytest.mark.browser

_DASHBOARD = ROOT / "viewer_api" / "spanflow" / "viewer_api" / "dashboard"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return write_tokens(tmp_path / "tokens.toml", *PEOPLE)


@pytest.fixture
def viewer(postgres_dsn: str, redis_url: str, tmp_path: Path, tokens: Path) -> Iterator[RunningViewer]:
    def store() -> None:
        with archives_in(postgres_dsn, tmp_path / "archive") as archives:
            parts = what_two_users_did()
            assert deliver(archives.make(), *parts).delivered == len(parts)

    with ThreadPoolExecutor(1) as thread:  # the browser's event loop has this one
        thread.submit(store).result()
    with running_viewer(
        postgres_dsn, redis_url, tmp_path / "viewer", dashboard=_DASHBOARD, viewer_tokens_file=str(tokens)
    ) as running:
        yield running


@pytest.fixture
def left(page: Page, viewer: RunningViewer) -> Iterator[Page]:
    yield page
    page.goto("about:blank")  # the viewer goes first, and a page that misses it would say so


def enter(page: Page, viewer: RunningViewer, person: Person, view: str = "") -> list[httpx.URL]:
    """Open the page as somebody, at a view; what the server refuses is noted."""
    refused: list[httpx.URL] = []
    page.on("response", lambda answer: refused.append(httpx.URL(answer.url)) if answer.status == 403 else None)
    code = ask(viewer, person, "POST", "/api/v1/session/codes").json()["code"]
    page.goto(f"{viewer.origin}/#code={code}")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    if view:
        page.goto(f"{viewer.origin}/{view}")
    return refused


def test_a_viewer_lands_on_their_own_flows(left: Page, viewer: RunningViewer, redis_url: str) -> None:
    refused = enter(left, viewer, VIEWER_7, "#/flows?range=all")
    rows = left.get_by_test_id("flow-row")
    expect(rows).to_have_count(2)
    expect(left.get_by_test_id("user-search")).to_have_count(0)
    left.get_by_role("link", name="Live").click()
    panel = left.get_by_test_id("panel")
    expect(panel).to_have_count(1)
    expect(panel).to_have_attribute("data-user-id", "7")
    expect(left.get_by_text("Watch a user")).to_have_count(0)
    expect(left.get_by_test_id("watched-list")).to_have_count(0)
    with FlowWriter(redis_url, "7") as flow:
        flow.start("00000000000000aa", event_type="auth_check", name="auth_check")
        expect(panel.get_by_test_id("node").get_by_text("auth_check")).to_be_visible()
    assert refused == []


def test_a_link_to_somebody_else_shows_a_viewer_their_own(left: Page, viewer: RunningViewer) -> None:
    enter(left, viewer, VIEWER_7, "#/live?user=8")
    expect(left.get_by_test_id("panel")).to_have_attribute("data-user-id", "7")
    left.goto("about:blank")
    left.goto(f"{viewer.origin}/#/flows?range=all&user_id=8")
    expect(left.get_by_test_id("flow-row")).to_have_count(2)
    expect(left.locator("main")).not_to_contain_text("ask 2")


def test_a_monitor_finds_and_watches_whom_they_may_see(left: Page, viewer: RunningViewer) -> None:
    assert ask(viewer, ADMIN, "POST", "/api/v1/monitoring/enable", json={"user_ids": [7, 8], "reason": "x"}).is_success
    refused = enter(left, viewer, WATCHES_7, "#/live")
    expect(left.get_by_text("Watch a user")).to_be_visible()
    expect(left.get_by_test_id("watched-user")).to_have_count(1)
    expect(left.get_by_test_id("watched-user")).to_have_attribute("data-user-id", "7")
    assert refused == []


def test_only_who_may_erase_is_offered_it(left: Page, viewer: RunningViewer) -> None:
    enter(left, viewer, WATCHES_7, "#/users/7")
    expect(left.get_by_test_id("user-facts")).to_be_visible()
    expect(left.get_by_test_id("erase-user")).to_have_count(0)
    enter(left, viewer, ADMIN, "#/users/7")
    expect(left.get_by_test_id("erase-user")).to_be_visible()


def test_the_page_starts_anew_when_rights_change(left: Page, viewer: RunningViewer, tokens: Path) -> None:
    enter(left, viewer, WATCHES_7, "#/live?user=7")
    expect(left.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    now = Person(WATCHES_7.name, VIEWER_7.role, user_id="7")
    write_tokens(tokens, ADMIN, now)
    expect(left.get_by_text("Watch a user")).to_have_count(0, timeout=10_000)
    expect(left.get_by_test_id("panel")).to_have_attribute("data-user-id", "7")
