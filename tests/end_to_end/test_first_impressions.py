"""What a new user stumbles over, each of it once."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Page, expect

from tests.support.dashboard import store_flows
from tests.support.flow_parts import MS, part, span
from tests.support.flow_writer import FlowWriter
from tests.support.page_problems import PageProblems
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser


def test_a_flow_that_is_opened_from_far_down_the_list_begins_at_its_top(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    now = time.time_ns()
    flows = [part(number, [span(1, start_ns=now - number * 1000 * MS, name="POST /ask")]) for number in range(1, 41)]
    store_flows(postgres_dsn, tmp_path / "archive", *flows)
    signed_in.goto(f"{viewer.origin}/#/flows?range=all&connections=show")
    row = signed_in.locator(f"[data-flow-id='{36:032x}']")
    signed_in.get_by_test_id("flow-row").first.hover()
    for _ in range(40):
        signed_in.mouse.wheel(0, 400)
        if row.count() and row.is_visible():
            break
        signed_in.wait_for_timeout(50)
    row.scroll_into_view_if_needed()
    row.get_by_role("link", name="POST /ask").click()
    expect(signed_in.get_by_test_id("flow-view").locator("h1").first).to_be_in_viewport()
    expect(signed_in.get_by_test_id("node").first).to_be_in_viewport()
    # And back again the list stands where it was.
    signed_in.go_back()
    expect(signed_in.get_by_test_id("flow-row").first).to_be_attached()


def test_a_session_that_is_lost_leads_to_the_sign_in_and_says_nothing_of_the_api(
    signed_in: Page, viewer: RunningViewer, problems: PageProblems
) -> None:
    problems.expect("401")
    signed_in.context.clear_cookies()
    signed_in.get_by_role("link", name="Users").click()
    expect(signed_in.get_by_test_id("sign-in")).to_be_visible()
    for prose in ("Bearer", "Authorization", "problem", "401"):
        expect(signed_in.locator("body")).not_to_contain_text(prose)


@pytest.mark.parametrize("view", ["flow/{id}", "flows?user_id={id}", "live?user={id}", "users/{id}"])
def test_an_id_that_none_can_have_is_said_to_be_one(
    signed_in: Page, viewer: RunningViewer, problems: PageProblems, view: str
) -> None:
    problems.expect("400|404|422")
    signed_in.goto(f"{viewer.origin}/#/{view.format(id='1' * 200)}")
    expect(signed_in.locator("main").get_by_text("128 characters")).to_be_visible()
    expect(signed_in.get_by_test_id("empty")).to_have_count(0)


def test_a_watch_says_the_same_time_left_everywhere(signed_in: Page, viewer: RunningViewer) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "reason": "ticket", "ttl_hours": 23.95})
    signed_in.goto(f"{viewer.origin}/#/live?user=7")
    left = signed_in.get_by_test_id("panel-left")
    expect(left).to_contain_text("23 h 56 min left")
    expect(signed_in.get_by_test_id("watched-user")).to_contain_text("23 h 56 min left")


def test_microseconds_are_told_as_in_the_terminal(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    now = time.time_ns()
    store_flows(postgres_dsn, tmp_path / "archive", part(1, [span(1, start_ns=now, end_ns=now + 91_000, name="quick")]))
    signed_in.goto(f"{viewer.origin}/#/flow/{1:032x}")
    expect(signed_in.get_by_test_id("node-duration").first).to_have_text("91 µs")


@pytest.mark.parametrize(("outcome", "status"), [("denied", "unset"), ("error", "error"), ("cancelled", "unset")])
def test_the_root_of_a_flow_looks_as_what_became_of_it(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path, outcome: str, status: str
) -> None:
    gate: dict[str, Any] = {
        "event_type": "block_check" if outcome == "denied" else "tool_call",
        "outcome": outcome,
        "status": status,
    }
    store_flows(postgres_dsn, tmp_path / "archive", part(1, [span(1, name="POST /ask"), span(2, 1, **gate)]))
    signed_in.goto(f"{viewer.origin}/#/flow/{1:032x}")
    expect(signed_in.get_by_test_id("node")).to_have_count(2)
    assert signed_in.get_by_test_id("node").first.get_attribute("data-look") != "ok"


def test_a_user_is_found_by_a_part_of_their_address_and_their_past_is_there(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    now = time.time_ns()
    asked = [span(1, start_ns=now, name="POST /ask"), span(2, 1, start_ns=now, event_type="auth_check")]
    store_flows(postgres_dsn, tmp_path / "archive", part(1, asked))
    signed_in.goto(f"{viewer.origin}/#/flows")
    signed_in.get_by_test_id("user-search").fill("lov")
    expect(signed_in.get_by_role("option", name="not seen yet")).to_be_visible()
    signed_in.get_by_test_id("user-search").fill("ADA@exam")
    signed_in.get_by_role("option", name="ada@example.org").click()
    expect(signed_in.get_by_test_id("filter-chip")).to_contain_text("ada@example.org")
    expect(signed_in.get_by_test_id("flow-row")).to_have_count(1)
    assert "user_id=7" in signed_in.url
    signed_in.reload()
    expect(signed_in.get_by_test_id("flow-row")).to_contain_text("ada@example.org")


def test_a_flow_whose_end_was_not_heard_is_read_anew(
    signed_in: Page, viewer: RunningViewer, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Its page stood open while its watch ended, and then it ended as well."""
    with FlowWriter(redis_url, "7") as writer:
        writer.beat()
        writer.start(f"{1:016x}", name="POST /ask")
        viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "reason": "ticket"})
        signed_in.goto(f"{viewer.origin}/#/flow/{writer.flow_id}")
        expect(signed_in.get_by_test_id("flow")).to_have_attribute("data-open", "true")
        now = time.time_ns()
        ended = [span(1, start_ns=now - 1000 * MS, end_ns=now, name="POST /ask")]
        stored = part(int(writer.flow_id, 16), ended, root_ended=True)
        store_flows(postgres_dsn, tmp_path / "archive", stored)
        with redis.Redis.from_url(redis_url) as client, ThreadPoolExecutor(1):
            client.delete(f"flow:{{{writer.flow_id}}}")
            client.zrem("flows:open", writer.flow_id)
        assert viewer.get(f"/api/v1/flows/{writer.flow_id}")["open"] is False
        viewer.post("/api/v1/monitoring/disable", {"user_ids": [7]})
        expect(signed_in.get_by_test_id("flow")).to_have_attribute("data-open", "false")
        expect(signed_in.get_by_test_id("node").first).to_have_attribute("data-look", "ok")
