"""The dashboard's other pages in a browser: conversations, users, the audit log, health and settings."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from spanflow.instrumentation import (
    checkpoint,
    flow,
    record_assistant_response,
    record_tool_call,
    record_tool_response,
    record_user_message,
)
from spanflow.span_processors.pipeline import Pipeline
from tests.support.axe import violations
from tests.support.dashboard import DASHBOARD, gateway_pipeline
from tests.support.people import ADMIN, VIEWER_7, WATCHMAN, Person, ask, write_tokens
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.reverse_proxy import reverse_proxy
from tests.support.viewer_server import RunningViewer, running_viewer

pytestmark = pytest.mark.browser

HOSTILE = "<script>document.title='hit'</script><img src=x onerror=document.title='hit'>"
ANSWER = f"""# It runs

**Job XYZ** runs; see [the page](https://evil.example/x) and ![a picture](https://evil.example/p.png)
or https://evil.example/auto. {HOSTILE}
"""
PAGES = (
    "flows",
    "conversations",
    "conversations/c-1",
    "statistics?user_id=7",
    "users",
    "users/7",
    "audit",
    "health",
    "settings",
)


@pytest.fixture
def line(redis_url: str, proxy: Callable[[str], TcpProxy]) -> TcpProxy:
    """The line between the viewer and Redis."""
    return proxy(redis_url)


@pytest.fixture
def viewer(postgres_dsn: str, line: TcpProxy, tmp_path: Path) -> Iterator[RunningViewer]:
    tokens = write_tokens(tmp_path / "tokens.toml", ADMIN, WATCHMAN, VIEWER_7)
    with running_viewer(
        postgres_dsn, line.url, tmp_path / "viewer", dashboard=DASHBOARD, viewer_tokens_file=str(tokens)
    ) as running:
        yield running


@pytest.fixture
def gateway(fresh_otel: None, viewer: RunningViewer, redis_url: str, tmp_path: Path) -> Iterator[Pipeline]:
    with gateway_pipeline(viewer, redis_url, tmp_path / "gateway") as pipeline:
        yield pipeline


@pytest.fixture
def left(page: Page, viewer: RunningViewer) -> Iterator[Page]:
    yield page
    page.goto("about:blank")


@pytest.fixture
def talk(gateway: Pipeline, viewer: RunningViewer) -> list[str]:
    """A conversation of user 7: a turn with a tool, and one that was refused; the flows' ids."""
    who: Any = {"user_id": 7, "email": "ada@example.com", "full_name": f"Ada {HOSTILE}", "conversation_id": "c-1"}
    with flow("chat turn", **who) as first:
        record_user_message("What is the status of job XYZ?")
        record_tool_call("qa_mcp", "get_job_status", {"job": HOSTILE})
        with checkpoint("tool_call", mcp="qa_mcp", tool="get_job_status"):
            pass
        record_tool_response("qa_mcp", "get_job_status", result="running")
        record_assistant_response(ANSWER, tokens_used=120)
    with flow("chat turn", **who) as second, checkpoint("block_check") as block:
        block.deny("too many requests")
    gateway.force_flush(10)
    eventually(lambda: len(viewer.get("/api/v1/flows?conversation_id=c-1&outcome=ok&outcome=denied")["flows"]) == 2)
    return [first.flow_id, second.flow_id]


def enter(page: Page, viewer: RunningViewer, person: Person, view: str, origin: str = "") -> None:
    code = ask(viewer, person, "POST", "/api/v1/session/codes").json()["code"]
    page.goto(f"{origin or viewer.origin}/#code={code}")
    expect(page.get_by_test_id("sign-out")).to_be_attached()
    page.goto(f"{origin or viewer.origin}/#/{view}")


def test_a_conversation_is_read_as_a_chat_and_its_turns_open_their_flows(
    left: Page, viewer: RunningViewer, talk: list[str]
) -> None:
    asked: list[str] = []
    left.on("request", lambda request: asked.append(request.url))
    enter(left, viewer, ADMIN, "conversations")
    left.get_by_role("link", name="What is the status of job XYZ?").click()
    turns = left.get_by_test_id("turn")
    expect(turns).to_have_count(2)
    expect(left.get_by_test_id("user-message")).to_have_text("What is the status of job XYZ?")
    tool = turns.nth(0).get_by_test_id("tool-call")
    expect(tool).to_contain_text("get_job_status")
    expect(tool).to_contain_text("ok")
    tool.locator("summary").click()
    # A call and its response are one step.
    expect(tool).to_contain_text("running")
    expect(tool).to_contain_text("<script>")
    expect(turns.nth(1)).to_contain_text("denied at block_check")
    answer = left.get_by_test_id("assistant-message")
    expect(answer.locator("strong")).to_have_text("Job XYZ")
    expect(answer).to_contain_text("<script>")
    assert answer.locator("a, img, script").count() == 0
    assert left.title() == "Spanflow"
    assert [url for url in asked if "evil.example" in url] == []
    left.get_by_test_id("conversation-graph-toggle").click()
    graph = left.get_by_test_id("conversation-graph")
    expect(graph.get_by_text("get_job_status")).to_be_visible()
    graph.get_by_text("get_job_status").click()
    expect(left.get_by_test_id("flow-view")).to_be_visible()
    assert talk[0] in left.url


def test_conversations_are_narrowed_by_what_they_called(left: Page, viewer: RunningViewer, talk: list[str]) -> None:
    enter(left, viewer, ADMIN, "conversations")
    rows = left.get_by_test_id("conversation-row")
    expect(rows).to_have_count(1)
    for tool, found in (("no_such_tool", 0), ("get_job_status", 1)):
        left.get_by_test_id("more-filters").click()
        left.get_by_test_id("filter-tool").fill(tool)
        left.get_by_role("button", name="Apply").click()
        expect(rows).to_have_count(found)
        assert f"tool={tool}" in left.url
    expect(left.get_by_test_id("filter-chip")).to_contain_text("get_job_status")
    left.get_by_role("button", name="Remove the filter Tool get_job_status").click()
    expect(left.get_by_test_id("filter-chip")).to_have_count(0)


def test_a_user_has_totals_and_is_watched_from_their_page(left: Page, viewer: RunningViewer, talk: list[str]) -> None:
    enter(left, viewer, ADMIN, "users")
    left.get_by_test_id("users-search").fill("ada@")
    expect(left.get_by_test_id("user-row")).to_have_count(1)
    expect(left.get_by_test_id("user-row")).to_contain_text("ada@example.com")
    left.get_by_test_id("user-row").get_by_role("link").click()
    facts = left.get_by_test_id("user-facts")
    expect(facts).to_contain_text("1 at block_check")
    expect(left.get_by_test_id("recent-flows")).to_contain_text("What is the status of job XYZ?")
    expect(left.get_by_test_id("conversation-row")).to_contain_text("What is the status of job XYZ?")
    left.get_by_test_id("watch-user").click()
    left.get_by_test_id("watch-reason").fill("ticket 4711")
    left.get_by_test_id("watch-form").get_by_role("button", name="Watch").click()
    expect(left.get_by_test_id("user-watch")).to_contain_text("ticket 4711")
    left.get_by_role("button", name="Stop watching").click()
    expect(left.get_by_test_id("watch-user")).to_be_visible()
    facts.get_by_role("link", name="1", exact=True).click()
    expect(left.get_by_test_id("flow-row")).to_contain_text("denied at block_check")


def test_the_audit_log_says_who_looked_and_is_narrowed(left: Page, viewer: RunningViewer, talk: list[str]) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "reason": f"ticket {HOSTILE}"})
    enter(left, viewer, ADMIN, "audit")
    rows = left.get_by_test_id("audit-row")
    expect(rows.filter(has_text="monitoring_enabled")).to_contain_text(HOSTILE)
    left.get_by_test_id("audit-action").fill("monitoring_enabled")
    expect(rows).to_have_count(1)
    assert "action=monitoring_enabled" in left.url
    left.get_by_test_id("audit-actor").fill("no such person")
    expect(left.get_by_test_id("empty")).to_be_visible()
    left.get_by_role("button", name="Show everything").click()
    expect(rows.filter(has_text="signed_in")).not_to_have_count(0)


def test_health_says_what_is_missing_while_redis_is_away(left: Page, viewer: RunningViewer, line: TcpProxy) -> None:
    enter(left, viewer, ADMIN, "health")
    expect(left.get_by_test_id("health-status")).to_have_text("Everything works")
    expect(left.get_by_test_id("health-parts")).to_contain_text("PostgreSQL")
    expect(left.get_by_test_id("losses")).to_be_visible()
    line.cut()
    missing = left.get_by_role("alert").filter(has_text="Redis is “down”")
    expect(missing).to_contain_text("nothing can be followed live", timeout=20_000)
    line.restore()
    expect(left.get_by_test_id("health-status")).to_have_text("Everything works", timeout=20_000)


def test_settings_last_and_moments_are_written_as_chosen(left: Page, viewer: RunningViewer, talk: list[str]) -> None:
    enter(left, viewer, ADMIN, "settings")
    expect(left.get_by_test_id("policy")).to_contain_text("optional")
    left.get_by_test_id("times-utc").click()
    expect(left.get_by_test_id("settings-example")).to_contain_text("UTC")
    left.get_by_test_id("theme-dark").click()
    left.get_by_test_id("lists-compact").click()
    left.goto(f"{viewer.origin}/#/flows")
    left.reload()
    expect(left.get_by_test_id("flow-row").first).to_contain_text("UTC")
    assert left.evaluate("document.documentElement.dataset.theme") == "dark"
    box = left.get_by_test_id("flow-row").first.bounding_box()
    assert box is not None
    assert box["height"] < 40


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_phone(
    left: Page, viewer: RunningViewer, talk: list[str], theme: str
) -> None:
    failed: list[str] = []
    wrong: list[str] = []
    left.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    left.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    enter(left, viewer, ADMIN, "settings")
    for view in PAGES:
        left.goto(f"{viewer.origin}/#/{view}")
        expect(left.locator("main h1, main h2").first).to_be_visible(timeout=20_000)
        expect(left.locator("main").get_by_text("loading")).to_have_count(0, timeout=20_000)
        # As wide as a window of 1280 pixels is at 200 %, among others.
        for width, height in ((1280, 844), (640, 400), (390, 844)):
            left.set_viewport_size({"width": width, "height": height})
            wide = left.evaluate("Math.max(...['html', 'main'].map(each => document.querySelector(each).scrollWidth))")
            assert wide <= width, (view, width)
            wrong += [f"{view} at {width}: {each}" for each in violations(left)]
    assert wrong == []
    assert failed == []


def test_nobody_is_offered_a_page_that_the_viewer_refuses(left: Page, viewer: RunningViewer, talk: list[str]) -> None:
    refused: list[str] = []
    left.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    pages = left.get_by_role("navigation", name="Pages")
    enter(left, viewer, WATCHMAN, "health")
    expect(pages.get_by_role("link", name="Users")).to_be_visible()
    expect(pages.get_by_role("link", name="Audit")).to_have_count(0)
    expect(left.get_by_test_id("losses")).to_be_visible()
    left.get_by_test_id("sign-out").click()
    expect(left.get_by_test_id("sign-in")).to_be_visible()
    enter(left, viewer, VIEWER_7, "users")
    # They are the only user they may see.
    expect(left.get_by_test_id("user-view")).to_contain_text("ada@example.com")
    expect(left.get_by_test_id("watch-user")).to_have_count(0)
    for view in ("conversations", "health", "settings", "flows"):
        left.goto(f"{viewer.origin}/#/{view}")
        expect(left.locator("main h1")).to_be_visible()
    expect(left.get_by_test_id("flow-row")).to_have_count(2)
    assert refused == []


def test_the_pages_work_below_a_folder(left: Page, viewer: RunningViewer, talk: list[str], tmp_path: Path) -> None:
    with reverse_proxy("ours", viewer.address, "/tools/spanflow", tmp_path / "proxy", strips=True) as base:
        enter(left, viewer, ADMIN, "conversations/c-1", base)
        expect(left.get_by_test_id("turn")).to_have_count(2)
        left.goto(f"{base}/#/health")
        expect(left.get_by_test_id("health-status")).to_have_text("Everything works")
        left.goto("about:blank")
