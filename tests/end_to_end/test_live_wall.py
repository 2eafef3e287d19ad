"""The live wall in a browser: several people at once, pausing, rewinding and moving their panels."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from tests.support.axe import violations
from tests.support.flow_writer import FlowWriter
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser

_HOSTILE = "<img src=x onerror=\"document.title='owned'\">\u202e{{7*7}}'--" * 6


@pytest.fixture
def writers(redis_url: str) -> Iterator[Callable[..., FlowWriter]]:
    """Flows of any user, written event by event."""
    with ExitStack() as stack:

        def write(user_id: str, **options: object) -> FlowWriter:
            writer = stack.enter_context(FlowWriter(redis_url, user_id, **options))  # type: ignore[arg-type]
            writer.beat()
            return writer

        yield write


def open_wall(page: Page, viewer: RunningViewer, *users: str, query: str = "") -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": list(users), "reason": "ticket"})
    page.goto(f"{viewer.origin}/#/live?{'&'.join(f'user={user}' for user in users)}{query}")
    expect(page.get_by_test_id("panel")).to_have_count(len(users))
    expect(page.locator("[data-testid=panel-state][data-state=live]")).to_have_count(len(users))


def panel_of(page: Page, user: str) -> Locator:
    return page.locator(f"[data-testid=panel][data-user-id='{user}']")


def test_two_people_are_followed_on_one_socket(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter]
) -> None:
    sockets: list[str] = []
    signed_in.on("websocket", lambda socket: sockets.append(socket.url))
    open_wall(signed_in, viewer, "7", "8")
    for user in ("7", "8"):
        writer = writers(user)
        writer.start("root", name=f"chat of {user}")
        writer.start("tool", "root", "tool_call", name=f"tool of {user}")
    for user, other in (("7", "8"), ("8", "7")):
        panel = panel_of(signed_in, user)
        expect(panel.get_by_test_id("node")).to_have_count(2)
        expect(panel).to_contain_text(f"tool of {user}")
        expect(panel).not_to_contain_text(f"tool of {other}")
        expect(panel.get_by_test_id("panel-state")).to_contain_text("last event")
    assert len(sockets) == 1


def test_a_paused_panel_stands_still_counts_what_is_new_and_is_rewound(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter]
) -> None:
    open_wall(signed_in, viewer, "7", "8")
    writer, other = writers("7"), writers("8")
    writer.start("root", name="chat")
    writer.start("one", "root", "tool_call", name="first")
    panel = panel_of(signed_in, "7")
    nodes = panel.get_by_test_id("node")
    expect(nodes).to_have_count(2)
    panel.get_by_test_id("panel-pause").click()
    writer.start("two", "root", "tool_call", name="second")
    writer.start("three", "root", "tool_call", name="third")
    expect(panel.get_by_test_id("panel-live")).to_contain_text("2 new")
    expect(nodes).to_have_count(2)
    other.start("root", name="chat")
    expect(panel_of(signed_in, "8").get_by_test_id("node")).to_have_count(1)
    rewind = panel.get_by_test_id("panel-rewind")
    rewind.fill("0")
    expect(nodes).to_have_count(1)
    expect(nodes).to_contain_text("chat")
    panel.get_by_test_id("panel-live").click()
    expect(nodes).to_have_count(4)
    expect(panel.get_by_test_id("panel-paused")).to_have_count(0)


def test_panels_are_moved_by_keyboard_and_their_order_stands_in_the_address(
    signed_in: Page, viewer: RunningViewer
) -> None:
    signed_in.set_viewport_size({"width": 1440, "height": 900})
    open_wall(signed_in, viewer, "7", "8", "9")
    order = "all => all.map(each => each.dataset.userId)"
    panel_of(signed_in, "9").get_by_test_id("panel-grip").press("ArrowLeft")
    assert signed_in.eval_on_selector_all("[data-testid=panel]", order) == ["7", "9", "8"]
    panel_of(signed_in, "8").get_by_test_id("panel-grip").drag_to(panel_of(signed_in, "7"))
    expect(signed_in.get_by_test_id("panel").first).to_have_attribute("data-user-id", "8")
    signed_in.reload()
    expect(signed_in.get_by_test_id("panel")).to_have_count(3)
    assert signed_in.eval_on_selector_all("[data-testid=panel]", order) == ["8", "7", "9"]


def test_a_watch_is_lengthened_and_ended_in_the_panel_and_a_closed_panel_ends_none(
    signed_in: Page, viewer: RunningViewer
) -> None:
    open_wall(signed_in, viewer, "7", "8")
    panel = panel_of(signed_in, "7")
    expect(panel.get_by_test_id("panel-left")).to_contain_text("23 h 59 min left")
    panel.get_by_test_id("panel-extend").click()
    expect(panel.get_by_test_id("panel-left")).to_contain_text("24 h 59 min left")
    panel.get_by_role("button", name="Close the panel").click()
    expect(panel).to_have_count(0)
    watched = [each["user_id"] for each in viewer.get("/api/v1/monitoring/list")["monitored_users"]]
    assert sorted(watched) == [7, 8]
    panel_of(signed_in, "8").get_by_test_id("panel-stop").click()
    expect(panel_of(signed_in, "8").get_by_test_id("panel-state")).to_have_attribute("data-state", "ended")
    signed_in.get_by_role("button", name="Undo").click()
    expect(panel_of(signed_in, "8").get_by_test_id("panel-state")).to_have_attribute("data-state", "live")


def test_somebody_who_is_newly_watched_is_offered(signed_in: Page, viewer: RunningViewer) -> None:
    open_wall(signed_in, viewer, "7")
    expect(signed_in.get_by_test_id("watched-user")).to_have_count(1)
    viewer.post("/api/v1/monitoring/enable", {"user_ids": ["8"], "reason": "ticket"})
    offered = signed_in.get_by_test_id("offered")
    expect(offered).to_contain_text("user 8", timeout=20_000)
    offered.get_by_role("button", name="Show").click()
    expect(panel_of(signed_in, "8")).to_be_visible()
    expect(offered).to_have_count(0)


def test_a_lost_connection_counts_down_and_the_panel_misses_nothing(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter]
) -> None:
    sockets: list[WebSocketRoute] = []
    cut: list[bool] = []

    def connect(socket: WebSocketRoute) -> None:
        if cut:
            socket.close(code=1012)
        else:
            socket.connect_to_server()
            sockets.append(socket)

    signed_in.route_web_socket("**/api/v1/live", connect)
    open_wall(signed_in, viewer, "7")
    writer = writers("7")
    writer.start("root", name="chat")
    nodes = signed_in.get_by_test_id("node")
    expect(nodes).to_have_count(1)
    cut.append(True)
    sockets[-1].close(code=1012)
    state = signed_in.get_by_test_id("panel-state")
    expect(state).to_have_attribute("data-state", "reconnecting")
    expect(state).to_contain_text(re.compile(r"reconnecting in \d+ s"))
    for number in range(20):
        writer.start(f"n{number}", "root", "tool_call", name=f"tool {number}")
    cut.clear()
    expect(nodes).to_have_count(21, timeout=20_000)
    expect(state).to_have_attribute("data-state", "live")
    assert len(sockets) == 2


def test_a_panel_without_a_connection_does_not_say_that_nothing_runs(signed_in: Page, viewer: RunningViewer) -> None:
    cut = [True]

    def connect(socket: WebSocketRoute) -> None:
        if cut:
            socket.close(code=1012)
        else:
            socket.connect_to_server()

    signed_in.route_web_socket("**/api/v1/live", connect)
    viewer.post("/api/v1/monitoring/enable/7")
    signed_in.goto(f"{viewer.origin}/#/live?user=7")
    expect(signed_in.get_by_test_id("panel-empty")).to_have_text("Not connected: what is running is not known.")
    cut.clear()
    expect(signed_in.get_by_test_id("panel-empty")).to_contain_text("No request is running.", timeout=20_000)


def test_a_panel_out_of_view_is_marked_and_found_again(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter]
) -> None:
    signed_in.set_viewport_size({"width": 1000, "height": 420})
    open_wall(signed_in, viewer, "7", "8")
    for user in ("7", "8"):
        writer = writers(user)
        writer.start("root", name="chat")
        for number in range(12):
            writer.start(f"n{number}", "root", "tool_call", name=f"tool {number}")
    mark = signed_in.get_by_test_id("off-screen").filter(has_text="user 8")
    expect(mark).to_contain_text("1 running")
    mark.click()
    expect(panel_of(signed_in, "8").get_by_role("heading", level=2)).to_be_in_viewport()
    expect(mark).to_have_count(0)


def test_details_stay_where_they_are_under_traffic(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter]
) -> None:
    open_wall(signed_in, viewer, "7")
    writer = writers("7")
    writer.start("root", name="chat")
    signed_in.get_by_test_id("node").click()
    details = signed_in.get_by_test_id("details")
    before = details.bounding_box()
    for number in range(30):
        writer.start(f"n{number}", "root", "tool_call", name=f"tool {number}")
    expect(signed_in.get_by_test_id("flow")).to_contain_text("tool 29")
    assert details.bounding_box() == before
    # And the tree has followed, as nobody had scrolled away from its end.
    expect(signed_in.get_by_role("row", name="tool 29")).to_be_in_viewport()


def test_the_wall_has_no_holes_however_much_happens_in_each_panel(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter]
) -> None:
    signed_in.set_viewport_size({"width": 1440, "height": 900})
    open_wall(signed_in, viewer, "7", "8", "9")
    writer = writers("7")
    writer.start("root", name="chat")
    for number in range(12):
        writer.start(f"n{number}", "root", "tool_call", name=f"tool {number}")
    expect(panel_of(signed_in, "7").get_by_test_id("node")).to_have_count(13)

    def boxes() -> list[tuple[float, ...]]:
        return [
            tuple(round(box[side]) for side in ("x", "y", "width", "height"))
            for box in (panel.bounding_box() for panel in signed_in.get_by_test_id("panel").all())
            if box is not None
        ]

    (x, y, width, height), beside, below = boxes()
    assert beside[1:] == (y, width, height)
    assert (below[0], below[2]) == (x, beside[0] + width - x)
    # A wider wall has room for all of them side by side.
    signed_in.set_viewport_size({"width": 1900, "height": 900})
    (_, y, width, height), *others = boxes()
    assert [other[1:] for other in others] == [(y, width, height)] * 2


def test_what_grows_in_one_panel_moves_no_panel_and_its_newest_step_stays_in_view(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter]
) -> None:
    signed_in.set_viewport_size({"width": 1440, "height": 900})
    open_wall(signed_in, viewer, "7", "8", "9")
    boxes = "all => all.map(each => Object.values(each.getBoundingClientRect().toJSON()))"
    before = signed_in.eval_on_selector_all("[data-testid=panel]", boxes)
    writer = writers("7")
    writer.start("root", name="chat", attributes={"flow.data.prompt": "What is new?"})
    for number in range(25):
        writer.start(f"n{number}", "root", "tool_call", name=f"tool {number}")
    expect(panel_of(signed_in, "7").get_by_role("row", name="tool 24")).to_be_in_viewport(ratio=0.9)
    assert signed_in.eval_on_selector_all("[data-testid=panel]", boxes) == before
    # All three fit into the window.
    for user in ("7", "8", "9"):
        expect(panel_of(signed_in, user)).to_be_in_viewport(ratio=0.99)


def test_a_phone_shows_the_panels_first_and_the_watch_form_behind_a_button(
    signed_in: Page, viewer: RunningViewer
) -> None:
    signed_in.set_viewport_size({"width": 390, "height": 844})
    open_wall(signed_in, viewer, "7")
    expect(panel_of(signed_in, "7").get_by_role("heading", level=2)).to_be_in_viewport()
    search = signed_in.get_by_test_id("user-search")
    expect(search).to_be_hidden()
    button = signed_in.get_by_test_id("fold-people")
    button.click()
    expect(search).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    assert violations(signed_in) == []
    # Without a panel, whom to watch is all that there is to ask.
    panel_of(signed_in, "7").get_by_role("button", name="Close the panel").click()
    button.click()
    signed_in.reload()
    expect(signed_in.get_by_test_id("empty")).to_be_visible()
    expect(search).to_be_visible()


def test_a_connection_is_a_line_of_its_panel_and_no_flow_unless_it_fails(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter]
) -> None:
    open_wall(signed_in, viewer, "7")
    panel = panel_of(signed_in, "7")
    connection = writers("7")
    connection.start("root", name="WS /api/v1/chat")
    connection.end("gate", "root", "auth_check")
    expect(panel.get_by_test_id("panel-connections")).to_have_text("Connected to /api/v1/chat")
    turn = writers("7")
    turn.start("root", name="chat turn")
    expect(panel.get_by_test_id("flow")).to_have_count(1)
    expect(panel.get_by_test_id("flow")).to_contain_text("chat turn")
    refused = writers("7")
    refused.start("root", name="WS /api/v1/chat")
    refused.end("gate", "root", "auth_check", outcome="denied")
    expect(panel.get_by_test_id("flow")).to_have_count(2)
    connection.end("root", name="WS /api/v1/chat")
    connection.close()
    expect(panel.get_by_test_id("panel-connections")).to_have_count(0)
    expect(panel.get_by_test_id("flow")).to_have_count(2)


@pytest.mark.parametrize("policy", ["off", "full"])
def test_where_contents_are_looked_for_the_wall_says_that_they_are_not_recorded(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter], policy: str
) -> None:
    open_wall(signed_in, viewer, "7")
    writer = writers("7")
    writer.describe(content=policy)
    writer.start("root", name="chat")
    writer.start("gate", "root", "auth_check", name="auth_check")
    writer.start("tool", "root", "tool_call", name="list_snapshots")
    details = signed_in.get_by_test_id("details")
    signed_in.get_by_role("row", name="list_snapshots").click()
    said = details.get_by_test_id("missing-contents")
    if policy == "full":
        expect(details.get_by_role("heading", name="list_snapshots")).to_be_visible()
    else:
        expect(said).to_contain_text("by policy (SPANFLOW_CONTENT=off)")
    # A gate has none in any case.
    signed_in.get_by_role("row", name="auth_check").click()
    expect(details.get_by_role("heading", name="auth_check")).to_be_visible()
    expect(said).to_have_count(0)


def test_a_gateway_that_is_gone_leaves_lost_steps(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter]
) -> None:
    open_wall(signed_in, viewer, "7")
    writer = writers("7")
    writer.start("root", name="chat")
    writer.start("tool", "root", "tool_call", name="search")
    expect(signed_in.get_by_test_id("node")).to_have_count(2)
    writer.die()
    expect(signed_in.locator("[data-testid=node][data-look=lost]")).to_have_count(2, timeout=20_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_the_wall(
    signed_in: Page, viewer: RunningViewer, writers: Callable[..., FlowWriter], theme: str
) -> None:
    signed_in.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    open_wall(signed_in, viewer, "7", "8")
    writer = writers("7")
    writer.start("root", name=_HOSTILE)
    writer.end("tool", "root", "tool_call", name=_HOSTILE, outcome="error", status="error", status_message=_HOSTILE)
    expect(signed_in.get_by_test_id("node")).to_have_count(2)
    panel_of(signed_in, "8").get_by_test_id("panel-pause").click()
    assert violations(signed_in) == []
    assert signed_in.title() == "Spanflow"
    assert signed_in.evaluate("document.documentElement.scrollWidth <= innerWidth")
    signed_in.set_viewport_size({"width": 390, "height": 844})
    assert signed_in.evaluate("document.documentElement.scrollWidth <= innerWidth")
