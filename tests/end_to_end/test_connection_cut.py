"""Two people chat and are followed in a browser, whose line to the viewer is cut and restored."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from spanflow.instrumentation import (
    checkpoint,
    flow,
    record_assistant_response,
    record_user_message,
    start_checkpoint,
)
from spanflow.span_processors.pipeline import Pipeline
from tests.support.dashboard import DASHBOARD, gateway_pipeline
from tests.support.page_problems import PageProblems
from tests.support.proxy import TcpProxy
from tests.support.viewer_server import RunningViewer, running_viewer

pytestmark = pytest.mark.browser

PEOPLE = {7: "ada@example.com", 8: "grace@example.com"}


@pytest.fixture
def viewer(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[RunningViewer]:
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD) as running:
        yield running


@pytest.fixture
def gateway(fresh_otel: None, viewer: RunningViewer, redis_url: str, tmp_path: Path) -> Iterator[Pipeline]:
    with gateway_pipeline(viewer, redis_url, tmp_path / "gateway") as pipeline:
        yield pipeline


@pytest.fixture
def line(viewer: RunningViewer, proxy: Callable[[str], TcpProxy]) -> TcpProxy:
    """The line between the browser and the viewer."""
    return proxy(viewer.address)


@pytest.fixture
def wall(page: Page, viewer: RunningViewer, line: TcpProxy) -> Iterator[Page]:
    """Both people's panels, over the line."""
    viewer.post("/api/v1/monitoring/enable", {"user_ids": list(PEOPLE), "reason": "ticket"})
    origin = f"http://{line.url}"
    page.goto(f"{origin}/#code={viewer.post('/api/v1/session/codes')['code']}")
    expect(page.get_by_test_id("sign-out")).to_be_attached()
    page.goto(f"{origin}/#/live?{'&'.join(f'user={user}' for user in PEOPLE)}")
    expect(page.locator("[data-testid=panel-state][data-state=live]")).to_have_count(len(PEOPLE))
    yield page
    page.close()


def panel_of(page: Page, user: int) -> Locator:
    return page.locator(f"[data-testid=panel][data-user-id='{user}']")


def turn(user: int, number: int) -> str:
    """One turn of somebody's chat; its flow."""
    with flow(f"turn {number}", user_id=user, email=PEOPLE[user], conversation_id=f"c-{user}") as begun:
        record_user_message(f"question {number} of {user}")
        with checkpoint("auth_check"):
            pass
        with checkpoint("tool_call", mcp="qa_mcp", tool=f"tool_{number}_of_{user}"):
            pass
        record_assistant_response(f"answer {number} to {user}")
    return begun.flow_id


def labels(panel: Locator, flow_id: str) -> list[str]:
    """The steps of one flow in a panel, opened for that if it is folded."""
    card = panel.locator(f"[data-testid=flow][data-flow-id='{flow_id}']")
    expect(card).to_have_attribute("data-open", "false", timeout=30_000)
    head = card.get_by_role("button").first
    if head.get_attribute("aria-expanded") == "false":
        head.click()
    expect(card.get_by_test_id("node").first).to_be_visible()
    return [text.strip() for text in card.locator("[data-testid=node] .truncate[title]").all_inner_texts()]


def test_two_people_chat_while_the_line_is_cut_and_nothing_is_missing_or_mixed_up(
    wall: Page, gateway: Pipeline, viewer: RunningViewer, line: TcpProxy, problems: PageProblems
) -> None:
    before = {user: turn(user, 1) for user in PEOPLE}
    gateway.force_flush(10)
    for user in PEOPLE:
        expect(panel_of(wall, user).locator(f"[data-flow-id='{before[user]}']")).to_be_visible()
    # A turn that is cut in the middle, several that nobody could hear of, and one that goes on afterwards.
    halved = flow("turn 2", user_id=7, email=PEOPLE[7], conversation_id="c-7")
    halved.begin()
    tool = start_checkpoint("tool_call", parent=halved, tool="tool_2_of_7")
    expect(panel_of(wall, 7).get_by_role("row", name="tool_2_of_7")).to_contain_text("running")
    problems.expect("ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET|WebSocket connection")
    line.cut()
    for user in PEOPLE:
        expect(panel_of(wall, user).get_by_test_id("panel-state")).to_have_attribute("data-state", "reconnecting")
    tool.fail("gave up").end()
    halved.end()
    missed = {user: [turn(user, number) for number in (3, 4, 5)] for user in PEOPLE}
    gateway.force_flush(10)
    line.restore()
    for user in PEOPLE:
        expect(panel_of(wall, user).get_by_test_id("panel-state")).to_have_attribute(
            "data-state", "live", timeout=30_000
        )
    after = {user: turn(user, 6) for user in PEOPLE}
    for user in PEOPLE:
        panel = panel_of(wall, user)
        flows = [before[user], *([halved.flow_id] if user == 7 else []), *missed[user], after[user]]
        expect(panel.get_by_test_id("flow")).to_have_count(len(flows))
        shown = panel.get_by_test_id("flow").evaluate_all("all => all.map((each) => each.dataset.flowId)")
        assert shown == flows[::-1]
        for flow_id, number in ((missed[user][1], 4), (after[user], 6)):
            assert labels(panel, flow_id) == [f"turn {number}", "auth_check", f"tool_call · tool_{number}_of_{user}"]
        other = next(each for each in PEOPLE if each != user)
        expect(panel).not_to_contain_text(f"of_{other}")
    failed = panel_of(wall, 7).locator(f"[data-flow-id='{halved.flow_id}']")
    assert failed.get_attribute("data-look") != "running"


def test_a_line_that_neither_closes_nor_answers_is_given_up_and_nothing_is_missing(
    wall: Page, gateway: Pipeline, viewer: RunningViewer, line: TcpProxy, problems: PageProblems
) -> None:
    before = turn(7, 1)
    gateway.force_flush(10)
    panel = panel_of(wall, 7)
    state = panel.get_by_test_id("panel-state")
    expect(panel.locator(f"[data-flow-id='{before}']")).to_be_visible()
    problems.expect("WebSocket|ERR_CONNECTION|ERR_EMPTY_RESPONSE")
    line.half_open()
    missed = turn(7, 2)
    gateway.force_flush(10)
    # The line still counts as one, and the panel says how long nothing has come.
    expect(state).to_contain_text(re.compile(r"live · last event \d+ s ago"))
    expect(state).to_contain_text(re.compile(r"reconnecting in \d+ s · last event \d+ s ago"), timeout=30_000)
    expect(panel.locator(f"[data-flow-id='{missed}']")).to_have_count(0)
    line.restore()
    expect(state).to_have_attribute("data-state", "live", timeout=30_000)
    after = turn(7, 3)
    # Before any is read: what is newer folds what is older.
    expect(panel.get_by_test_id("flow")).to_have_count(3)
    for flow_id, number in ((missed, 2), (after, 3)):
        assert labels(panel, flow_id) == [f"turn {number}", "auth_check", f"tool_call · tool_{number}_of_7"]
