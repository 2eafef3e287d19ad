"""A tab that has been open for hours: thousands of events later, after sleep, and after an update of the viewer."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from playwright.sync_api import Page, expect

from benchmarks.dashboard_traffic import User, write
from tests.support.flow_writer import FlowWriter
from tests.support.page_problems import PageProblems
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser

#: Eight thousand events of one user.
FLOWS, SPANS, PARTS = 40, 100, 4
TWO_HOURS_MS = 2 * 3600 * 1000


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def heap_of(page: Page) -> float:
    """Bytes in use after everything that can go has gone."""
    session = page.context.new_cdp_session(page)
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    used = float(session.send("Runtime.getHeapUsage")["usedSize"])
    session.detach()
    return used


def live_through(page: Page, client: Any, user: User, flows: int) -> None:
    """So many flows, each seen while it runs and when it has ended."""
    for _ in range(flows):
        write(client, [user], SPANS)
        shown = page.locator(f"[data-testid=flow][data-flow-id='{user.flow_id}']")
        expect(shown).to_have_attribute("data-open", "true")
        write(client, [user], SPANS)
        expect(shown).to_have_attribute("data-open", "false")


def test_after_thousands_of_events_it_is_right_and_its_memory_has_not_grown(
    signed_in: Page, viewer: RunningViewer, client: Any
) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "reason": "ticket", "ttl_hours": 24})
    signed_in.goto(f"{viewer.origin}/#/live?user=7")
    state = signed_in.get_by_test_id("panel-state")
    expect(state).to_have_attribute("data-state", "live")
    user = User("7", SPANS)
    heaps = []
    for _ in range(PARTS):
        live_through(signed_in, client, user, FLOWS // PARTS)
        heaps.append(heap_of(signed_in))
    # After the first part, in which the browser learns its code.
    assert heaps[-1] < heaps[1] * 1.1, heaps
    # What is old has gone from the page, and what is new is whole.
    expect(signed_in.get_by_test_id("flow")).to_have_count(20)
    newest = signed_in.get_by_test_id("flow").first
    expect(newest).to_have_attribute("data-flow-id", user.flow_id)
    assert newest.get_by_role("treegrid").get_attribute("aria-rowcount") == str(SPANS)
    stored = viewer.get(f"/api/v1/flows/{user.flow_id}/flat")["spans"]
    assert len(stored) == SPANS
    # The computer sleeps for two hours: the clocks of the page have not ticked, and its line is dead.
    signed_in.clock.install()
    signed_in.clock.fast_forward(TWO_HOURS_MS)
    expect(state).to_have_attribute("data-state", "live", timeout=30_000)
    with FlowWriter(viewer.settings.redis_url, "7") as writer:
        writer.beat()
        writer.start("root", name="after the sleep")
        expect(signed_in.get_by_test_id("flow").first).to_contain_text("after the sleep")
        expect(signed_in.get_by_role("row", name="after the sleep")).to_contain_text("running")
    signed_in.get_by_role("link", name="Flows", exact=True).click()
    expect(signed_in.get_by_test_id("flow-search")).to_be_visible()


def test_a_page_that_the_updated_viewer_does_not_have_any_more_says_so_and_the_others_go_on(
    signed_in: Page, viewer: RunningViewer, problems: PageProblems
) -> None:
    problems.expect("AuditPage|404|Failed to fetch dynamically imported module")
    signed_in.route("**/assets/AuditPage-*.js", lambda route: route.fulfill(status=404))
    signed_in.get_by_role("link", name="Audit").click()
    failed = signed_in.get_by_test_id("page-failed")
    expect(failed).to_contain_text("reloading helps")
    signed_in.get_by_role("link", name="Health").click()
    expect(signed_in.get_by_test_id("health-status")).to_be_visible()
    signed_in.unroute_all()
    signed_in.get_by_role("link", name="Audit").click()
    signed_in.get_by_role("button", name="Reload").click()
    expect(signed_in.get_by_test_id("audit-row").first).to_be_visible()
    expect(failed).to_have_count(0)
