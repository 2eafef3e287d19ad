"""What a person sees in a browser while a watched user's request runs, and afterwards."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from playwright.sync_api import Page, expect

from spanflow.instrumentation import Flow, checkpoint, flow, start_checkpoint
from spanflow.instrumentation.identity_processor import IdentitySpanProcessor
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings
from tests.support.checkout import ROOT
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.viewer_server import RunningViewer, running_viewer

pytestmark = pytest.mark.browser

_DASHBOARD = ROOT / "viewer_api" / "spanflow" / "viewer_api" / "dashboard"


@pytest.fixture
def line(redis_url: str, proxy: Callable[[str], TcpProxy]) -> TcpProxy:
    """The line between the viewer and Redis."""
    return proxy(redis_url)


@pytest.fixture
def viewer(postgres_dsn: str, line: TcpProxy, tmp_path: Path) -> Iterator[RunningViewer]:
    with running_viewer(postgres_dsn, line.url, tmp_path / "viewer", dashboard=_DASHBOARD) as running:
        yield running


@pytest.fixture
def gateway(fresh_otel: None, viewer: RunningViewer, redis_url: str, tmp_path: Path) -> Iterator[Pipeline]:
    """This process as a gateway, by nothing but the span processors."""
    pipeline = build_pipeline(
        Settings(
            redis_url=redis_url,
            postgres_dsn=viewer.settings.postgres_dsn,
            data_dir=str(tmp_path / "gateway"),
            flow_grace=0.05,
        )
    )
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(IdentitySpanProcessor())
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    trace.set_tracer_provider(provider)
    yield pipeline
    provider.shutdown()


@pytest.fixture
def signed_in(page: Page, viewer: RunningViewer) -> Iterator[Page]:
    """The page as somebody sees it who has opened the printed link."""
    code = viewer.post("/api/v1/session/codes")["code"]
    page.goto(f"{viewer.origin}/#code={code}")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert code not in page.url
    yield page
    page.goto("about:blank")  # the viewer goes first, and a page that misses it would say so


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


def watch(page: Page) -> None:
    page.get_by_test_id("user-search").fill("neo@")
    page.get_by_role("option", name="neo@example.com").click()
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


def test_past_flows_say_how_they_ended_and_open_as_trees(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    past_request(gateway, viewer)
    signed_in.get_by_role("link", name="History").click()
    signed_in.get_by_test_id("user-search").fill("NEO")
    signed_in.get_by_role("option", name="neo@example.com").click()
    row = signed_in.get_by_test_id("flow-row")
    expect(row).to_contain_text("denied")
    expect(row).to_contain_text("too many requests")
    row.get_by_role("button", name="POST /ask").click()
    signed_in.reload()
    expect(signed_in.get_by_text("neo@example.com")).to_be_visible()
    tree = signed_in.get_by_role("treegrid")
    expect(tree.get_by_role("row", name="block_check")).to_contain_text("denied")


def test_without_contents_a_watcher_sees_what_happens_for_an_hour_longer(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    past_request(gateway, viewer)
    signed_in.get_by_test_id("user-search").fill("neo@")
    signed_in.get_by_role("option", name="neo@example.com").click()
    signed_in.get_by_test_id("watch-hours").fill("0.5")
    signed_in.get_by_test_id("watch-metadata-only").check()
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
    expect(panel).to_contain_text("flow.data.tool")
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
    # Otherwise the page asks every ten seconds who is watched.
    signed_in.reload()
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
