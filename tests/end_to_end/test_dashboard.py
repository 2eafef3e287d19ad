"""What a person sees in a browser while a watched user's request runs, and afterwards."""

import pytest
from playwright.sync_api import Page, expect

from spanflow.instrumentation import Flow, checkpoint, flow, start_checkpoint
from spanflow.span_processors.pipeline import Pipeline
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser


def past_request(pipeline: Pipeline, viewer: RunningViewer) -> str:
    """A request of the user's from before anybody watched."""
    with flow("POST /ask", user_id=42, email="neo@example.com", session_id="s-0") as turn:
        with checkpoint("auth_check"):
            pass
        with checkpoint("block_check") as block:
            block.deny("too many requests")
    pipeline.force_flush(10)
    eventually(lambda: viewer.get("/api/v1/monitoring/users?q=neo@")["users"], within=10)
    return turn.flow_id


def running_request() -> Flow:
    turn = flow("chat turn", user_id=42, session_id="s-1")
    turn.begin()
    return turn


def choose_neo(page: Page) -> None:
    """On the page of live flows, the form to watch a user."""
    page.get_by_role("link", name="Live").click()
    page.get_by_test_id("user-search").fill("neo@")
    page.get_by_role("option", name="neo@example.com").click()
    # Nothing hides whom one has chosen.
    expect(page.get_by_test_id("watch-form")).to_be_visible()
    expect(page.get_by_test_id("people-found")).to_have_count(0)


def watch(page: Page) -> None:
    choose_neo(page)
    page.get_by_test_id("watch-reason").fill("ticket 4711")
    page.get_by_test_id("watch-form").get_by_role("button", name="Watch").click()
    expect(page.get_by_test_id("panel")).to_be_visible()


def test_a_watched_users_tree_grows_while_the_request_runs(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    past_request(gateway, viewer)
    turn = running_request()
    thinking = start_checkpoint("llm_thinking", parent=turn, model="m-1")
    watch(signed_in)
    panel = signed_in.get_by_test_id("panel")
    # It began before anybody watched, and is seen from its beginning.
    expect(panel.get_by_role("row", name="chat m-1")).to_contain_text("running")
    tool = start_checkpoint("tool_call", parent=thinking, mcp="qa_mcp", tool="list_snapshots")
    row = panel.get_by_role("row", name="tool_call · list_snapshots")
    expect(row).to_contain_text("running")
    tool.fail("the tool said no").end()
    expect(row).to_contain_text("error")
    thinking.end()
    turn.end()
    expect(panel.get_by_role("row", name="chat m-1")).to_contain_text("ok")
    expect(panel.get_by_test_id("node")).to_have_count(3)


def test_the_live_view_misses_nothing_while_redis_is_cut_off(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer, line: TcpProxy
) -> None:
    past_request(gateway, viewer)
    watch(signed_in)
    panel = signed_in.get_by_test_id("panel")
    turn = running_request()
    expect(panel.get_by_test_id("node")).to_have_count(1)
    line.cut()
    for number in range(20):
        start_checkpoint("tool_call", parent=turn, tool=f"tool-{number}").end()
    turn.end()
    gateway.force_flush(10)
    line.restore()
    expect(panel.get_by_test_id("node")).to_have_count(21, timeout=15_000)
    expect(panel.get_by_role("row", name="tool_call · tool-7")).to_have_count(1)


def test_everybodys_flows_are_the_first_thing_one_sees_and_open_as_trees(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    past_request(gateway, viewer)
    row = signed_in.get_by_test_id("flow-row")
    expect(row).to_have_count(1, timeout=10_000)
    expect(row).to_contain_text("denied at block_check")
    expect(row).to_contain_text("too many requests")
    expect(row).to_contain_text("neo@example.com")
    row.get_by_role("link", name="POST /ask").click()
    tree = signed_in.get_by_role("treegrid")
    expect(tree.get_by_role("row", name="block_check")).to_contain_text("denied")
    # The flow was refused, and its head says so, whatever its server span thinks.
    expect(signed_in.get_by_test_id("flow-verdict")).to_have_text("denied at block_check: too many requests")
    signed_in.reload()
    expect(signed_in.get_by_text("neo@example.com")).to_be_visible()
    expect(tree).to_be_visible()


def test_filters_narrow_the_list_and_stand_in_the_address(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    past_request(gateway, viewer)
    with flow("GET /report", user_id=42, session_id="s-2") as turn, checkpoint("tool_call", tool="write_report"):
        pass
    gateway.force_flush(10)
    rows = signed_in.get_by_test_id("flow-row")
    expect(rows).to_have_count(2, timeout=10_000)
    signed_in.get_by_test_id("outcome-denied").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("POST /ask")
    assert "outcome=denied" in signed_in.url
    signed_in.get_by_test_id("clear-filters").click()
    signed_in.get_by_test_id("more-filters").click()
    signed_in.get_by_test_id("filter-tool").fill("write_report, other_tool")
    signed_in.get_by_role("button", name="Apply").click()
    expect(rows).to_have_count(1)
    expect(rows).to_have_attribute("data-flow-id", turn.flow_id)
    signed_in.get_by_role("button", name="Remove the filter Tool write_report").click()
    expect(signed_in.get_by_test_id("empty")).to_contain_text("No flow matches")
    signed_in.get_by_role("button", name="Remove the filter Tool other_tool").click()
    signed_in.get_by_test_id("flow-search").fill("too many")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("POST /ask")
    assert "q=too+many" in signed_in.url
    signed_in.reload()
    expect(rows).to_have_count(1)
    expect(signed_in.get_by_test_id("flow-search")).to_have_value("too many")
    signed_in.get_by_test_id("flow-search").fill("")
    signed_in.get_by_test_id("user-search").fill("NEO")
    signed_in.get_by_role("option", name="neo@example.com").click()
    expect(signed_in.get_by_test_id("filter-chip")).to_contain_text("neo@example.com")
    expect(rows).to_have_count(2)


def test_a_chosen_span_has_its_details_beside_the_tree_and_its_own_address(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    flow_id = past_request(gateway, viewer)
    signed_in.goto(f"{viewer.origin}/#/flow/{flow_id}")
    row = signed_in.get_by_role("row", name="block_check")
    row.click()
    details = signed_in.get_by_test_id("details")
    expect(details).to_contain_text("flow.denied.reason")
    tree_box, details_box = signed_in.get_by_test_id("tree").bounding_box(), details.bounding_box()
    assert tree_box is not None and details_box is not None
    assert details_box["x"] >= tree_box["x"] + tree_box["width"]
    assert "span=" in signed_in.url
    signed_in.reload()
    expect(details).to_contain_text("flow.denied.reason")
    signed_in.get_by_test_id("find-in-flow").fill("auth")
    expect(signed_in.get_by_test_id("found-count")).to_have_text("–/1")
    signed_in.get_by_test_id("find-in-flow").press("Enter")
    expect(signed_in.get_by_test_id("found-count")).to_have_text("1/1")
    expect(details.get_by_role("heading", name="auth_check")).to_be_visible()
    details.get_by_role("button", name="Close the details").click()
    expect(details).to_have_count(0)


def test_letters_lead_anywhere(signed_in: Page, gateway: Pipeline, viewer: RunningViewer) -> None:
    flow_id = past_request(gateway, viewer)
    signed_in.keyboard.press("?")
    expect(signed_in.get_by_test_id("shortcut-sheet")).to_contain_text("Go to Live")
    signed_in.keyboard.press("Escape")
    signed_in.keyboard.press("g")
    signed_in.keyboard.press("l")
    expect(signed_in.get_by_role("heading", name="Watch a user")).to_be_visible()
    signed_in.keyboard.press("Control+k")
    palette = signed_in.get_by_test_id("palette-input")
    palette.fill("neo@")
    signed_in.get_by_role("option", name="neo@example.com").click()
    expect(signed_in.get_by_test_id("filter-chip")).to_contain_text("neo@example.com")
    signed_in.keyboard.press("Control+k")
    palette.fill(flow_id)
    signed_in.get_by_role("option", name=flow_id).click()
    expect(signed_in.get_by_test_id("flow-view")).to_be_visible()
    # Flows are found by their words as well, and by the beginning of their id.
    for wanted in ("/ask", flow_id[:10]):
        signed_in.keyboard.press("g")
        signed_in.keyboard.press("l")
        signed_in.keyboard.press("Control+k")
        palette.fill(wanted)
        signed_in.get_by_role("option", name="POST /ask").click()
        expect(signed_in.get_by_test_id("flow-view")).to_be_visible()
        assert flow_id in signed_in.url


def test_a_panel_of_a_user_with_nothing_running_shows_their_last_flows(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    past_request(gateway, viewer)
    watch(signed_in)
    expect(signed_in.get_by_test_id("last-flows").get_by_role("link", name="POST /ask")).to_be_visible()


def test_a_panel_that_was_opened_before_the_watch_comes_alive_with_it(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    past_request(gateway, viewer)
    signed_in.goto(f"{viewer.origin}/#/live?user=42")
    panel = signed_in.get_by_test_id("panel")
    expect(panel.get_by_test_id("panel-ended")).to_contain_text("not watched")
    watch(signed_in)
    expect(panel.get_by_test_id("panel-ended")).to_have_count(0)
    turn = running_request()
    expect(panel.get_by_test_id("node")).to_have_count(1)
    turn.end()


def test_the_clock_of_a_flow_stands_still_when_its_watch_has_ended(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    past_request(gateway, viewer)
    watch(signed_in)
    turn = running_request()
    panel = signed_in.get_by_test_id("panel")
    expect(panel.get_by_test_id("node")).to_have_count(1)
    signed_in.get_by_role("button", name="Stop watching neo@example.com").click()
    expect(panel.get_by_test_id("panel-ended")).to_be_visible()
    expect(panel.get_by_test_id("flow")).to_contain_text("last known")
    duration = panel.get_by_test_id("flow-duration")
    stands = duration.inner_text()
    signed_in.wait_for_timeout(700)  # the clock of a flow that is followed ticks four times a second
    assert duration.inner_text() == stands
    turn.end()


def test_without_contents_a_watcher_sees_what_happens_for_an_hour_longer(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    past_request(gateway, viewer)
    choose_neo(signed_in)
    signed_in.get_by_test_id("watch-hours").fill("0.5")
    signed_in.get_by_test_id("watch-metadata-only").click()
    # The policy of this viewer asks for no reason.
    signed_in.get_by_test_id("watch-form").get_by_role("button", name="Watch").click()
    listed = signed_in.get_by_test_id("watched-user")
    expect(listed).to_contain_text("without contents")
    expect(listed).to_contain_text("29 min")
    listed.get_by_role("button", name="Watch neo@example.com one hour longer").click()
    expect(listed).to_contain_text("1 h 29 min left")
    panel = signed_in.get_by_test_id("panel")
    expect(panel.get_by_test_id("panel-metadata-only")).to_be_visible()
    turn = running_request()
    tool = start_checkpoint("tool_call", parent=turn, tool="list_snapshots", note="between you and me")
    tool.fail("nobody must know").end()
    row = panel.get_by_role("row", name="tool_call · list_snapshots")
    expect(row).to_contain_text("error")
    row.click()
    expect(signed_in.get_by_test_id("details")).to_contain_text("flow.data.tool")
    for text in ("between you and me", "nobody must know"):
        expect(signed_in.locator("body")).not_to_contain_text(text)
    turn.end()


def test_one_flow_of_somebody_who_is_not_watched_goes_on_once_it_is_said_why(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    past_request(gateway, viewer)
    turn = running_request()
    gateway.force_flush(10)
    signed_in.goto(f"{viewer.origin}/#/history?user=42&flow={turn.flow_id}")
    view = signed_in.get_by_test_id("flow-view")
    expect(view.get_by_test_id("node")).to_have_count(1)
    expect(view.get_by_role("row", name="chat turn")).to_contain_text("running")
    view.get_by_test_id("look-reason").fill("ticket 4711")
    view.get_by_role("button", name="Follow").click()
    expect(view.get_by_test_id("look-form")).to_have_count(0)
    tool = start_checkpoint("tool_call", parent=turn, tool="list_snapshots")
    row = view.get_by_role("row", name="tool_call · list_snapshots")
    expect(row).to_contain_text("running")
    tool.end()
    turn.end()
    expect(row).to_contain_text("ok")
    expect(view.get_by_test_id("flow")).to_have_attribute("data-open", "false")
    # Another flow of the same user is not a part of it, and it stands in the log why somebody looked.
    assert len(viewer.get("/api/v1/flows?user_id=42")["flows"]) == 2
    looks = viewer.get("/api/v1/audit?action=live_opened")["entries"]
    assert [(each["target"], each["reason"]) for each in looks] == [(turn.flow_id, "ticket 4711")]


def test_a_long_address_in_the_list_of_watched_users_takes_one_line(signed_in: Page, viewer: RunningViewer) -> None:
    user_id = "a.person.with.a.remarkably.long.name@subsidiary.example.com"
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [user_id], "reason": "ticket"})
    signed_in.goto(f"{viewer.origin}/#/live")
    entry = signed_in.get_by_test_id("watched-user")
    name = entry.locator(".name")
    expect(name).to_have_attribute("title", f"user {user_id}")
    height, line_height = name.evaluate(
        "element => [element.getBoundingClientRect().height, parseFloat(getComputedStyle(element).lineHeight)]"
    )
    assert height < 1.5 * line_height
    button = entry.get_by_role("button", name="Stop").bounding_box()
    box = name.bounding_box()
    assert button is not None and box is not None
    assert button["y"] >= box["y"] + box["height"]
