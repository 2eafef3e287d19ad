"""One flow in a browser: its tree and waterfall, its other views, and what of it is not shown as it was."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from spanflow.instrumentation import (
    checkpoint,
    flow,
    record_assistant_response,
    record_tool_call,
    record_user_message,
    start_checkpoint,
)
from spanflow.instrumentation.runtime import install, runtime
from spanflow.span_processors.pipeline import Pipeline
from tests.support.axe import violations
from tests.support.dashboard import store_flows
from tests.support.flow_parts import MS, part, span
from tests.support.flow_writer import FlowWriter
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser

_HOSTILE = "<img src=x onerror=\"document.title='owned'\">\u202e\U0001f4a3{{7*7}}'--"
_TRACE = (
    'Traceback (most recent call last):\\n  File "tool.py", line 3, in call\\n    fetch()\\nTimeoutError: no answer'
)


@pytest.fixture(autouse=True)
def activities(gateway: Pipeline) -> Iterator[None]:
    """What is said goes to the same pipeline."""
    before = install(replace(runtime(), pipeline=gateway))
    yield
    install(before)


@pytest.fixture
def rich(gateway: Pipeline) -> str:
    """A denied flow with a failing tool, a run of equal steps, and what was said."""
    with flow("POST /ask", user_id=42, email="neo@example.com", session_id="s-0", conversation_id="c-1") as turn:
        record_user_message("What does <b>every</b> table hold?")
        with checkpoint("auth_check"):
            pass
        for _ in range(7):
            with checkpoint("retrieval", table="snapshots"):
                pass
        with checkpoint("agent"):
            record_tool_call("qa_mcp", "list_snapshots", {"limit": 3})
            with checkpoint("tool_call", mcp="qa_mcp", tool="list_snapshots") as tool:
                tool.set(stack_trace=_TRACE)
                tool.fail("no answer")
        record_assistant_response("See [the docs](https://evil.example/?q=secret) ![x](https://evil.example/x.png)")
        with checkpoint("block_check") as block:
            block.deny("too many requests")
    gateway.force_flush(10)
    return turn.flow_id


@pytest.fixture
def flow_page(signed_in: Page, viewer: RunningViewer, rich: str) -> Iterator[Page]:
    eventually(lambda: viewer.get(f"/api/v1/flows/{rich}")["open"] is False, within=10)
    signed_in.goto(f"{viewer.origin}/#/flow/{rich}")
    expect(signed_in.get_by_test_id("time-axis")).to_be_visible()
    yield signed_in


def test_the_root_of_a_refused_flow_is_never_green_and_steps_are_those_of_the_list(
    flow_page: Page, viewer: RunningViewer, rich: str
) -> None:
    root = flow_page.get_by_test_id("node").first
    expect(root).to_have_attribute("data-look", "denied")
    listed = viewer.get("/api/v1/flows")["flows"][0]
    expect(flow_page.get_by_test_id("flow-steps")).to_contain_text(str(listed["checkpoint_count"]))
    flow_page.get_by_role("tab", name="Table").click()
    expect(flow_page.get_by_test_id("table-row").first).to_contain_text("denied")


def test_what_went_wrong_is_one_key_away_and_shows_through_folded_parents(flow_page: Page) -> None:
    expect(flow_page.get_by_test_id("next-failure")).to_contain_text("2 failed or denied")
    flow_page.keyboard.press("[")
    agent = flow_page.get_by_test_id("node").filter(has_text="agent")
    expect(agent.get_by_test_id("errors-below")).to_contain_text("1")
    expect(flow_page.get_by_role("row", name="tool_call · list_snapshots")).to_have_count(0)
    flow_page.keyboard.press("e")
    details = flow_page.get_by_test_id("details")
    expect(details.get_by_role("heading", name="tool_call · list_snapshots")).to_be_visible()
    expect(flow_page.get_by_role("row", name="tool_call · list_snapshots")).to_be_visible()
    flow_page.keyboard.press("e")
    expect(details.get_by_role("heading", name="block_check")).to_be_visible()
    flow_page.keyboard.press("E")
    # The lines of a stack trace are lines, also where their ends were escaped.
    trace = details.get_by_test_id("stack-trace")
    assert trace.inner_text().strip().splitlines()[-1] == "TimeoutError: no answer"
    assert "\\n" not in trace.inner_text()


def test_where_contents_are_looked_for_it_says_that_they_are_not_recorded(flow_page: Page) -> None:
    expect(flow_page.get_by_test_id("gaps")).to_contain_text("contents not recorded")
    details = flow_page.get_by_test_id("details")
    flow_page.get_by_role("row", name="tool_call · list_snapshots").click()
    expect(details.get_by_test_id("missing-contents")).to_contain_text("by policy (SPANFLOW_CONTENT=off)")
    # A gate has none in any case.
    flow_page.get_by_role("row", name="auth_check").click()
    expect(details.get_by_role("heading", name="auth_check")).to_be_visible()
    expect(details.get_by_test_id("missing-contents")).to_have_count(0)


def test_equal_siblings_stand_behind_one_row_until_it_is_opened(flow_page: Page) -> None:
    run = flow_page.get_by_test_id("run")
    expect(run).to_contain_text("× 7")
    rows = flow_page.get_by_test_id("node").filter(has_text="retrieval")
    expect(rows).to_have_count(0)
    run.click()
    expect(rows).to_have_count(7)


def test_a_part_of_the_time_is_zoomed_to_and_stands_in_the_address(flow_page: Page) -> None:
    axis = flow_page.get_by_test_id("time-axis")
    before = axis.inner_text()
    box = flow_page.get_by_test_id("minimap").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    flow_page.mouse.move(box["x"] + box["width"] * 0.3, middle)
    flow_page.mouse.down()
    flow_page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=4)
    flow_page.mouse.up()
    expect(flow_page.get_by_test_id("whole-time")).to_be_visible()
    assert "range=" in flow_page.url
    assert axis.inner_text() != before
    flow_page.reload()
    expect(flow_page.get_by_test_id("whole-time")).to_be_visible()
    flow_page.keyboard.press("0")
    expect(flow_page.get_by_test_id("whole-time")).to_have_count(0)
    edge = flow_page.get_by_role("slider", name="Start of the selected range")
    edge.press("ArrowRight")
    expect(flow_page.get_by_test_id("whole-time")).to_be_visible()


def test_the_tree_stays_where_it_is_when_the_question_comes_late(
    signed_in: Page, viewer: RunningViewer, rich: str
) -> None:
    eventually(lambda: viewer.get(f"/api/v1/flows/{rich}")["open"] is False, within=10)
    signed_in.add_init_script(
        """
        const before = window.fetch;
        window.fetch = async (...asked) => {
            if (String(asked[0]?.url ?? asked[0]).includes('previews')) await new Promise((go) => setTimeout(go, 700));
            return before(...asked);
        };
        window.tops = new Set();
        (function look() {
            const strip = document.querySelector('[data-testid=minimap]');
            if (strip !== null) window.tops.add(Math.round(strip.getBoundingClientRect().top));
            requestAnimationFrame(look);
        })();
        """
    )
    signed_in.goto("about:blank")
    signed_in.goto(f"{viewer.origin}/#/flow/{rich}")
    expect(signed_in.get_by_text("What does <b>every</b> table hold?")).to_be_visible()
    expect(signed_in.get_by_test_id("minimap")).to_be_visible()
    assert signed_in.evaluate("window.tops.size") == 1


def test_a_drag_that_ends_before_the_page_is_drawn_again_zooms_too(flow_page: Page) -> None:
    strip = flow_page.get_by_test_id("minimap")
    box = strip.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2
    flow_page.mouse.move(x, y)
    flow_page.mouse.down()
    # As the events of a busy page come: nothing is drawn between the movement and the release.
    strip.evaluate(
        """(strip, [clientX, clientY]) => {
            for (const type of ['pointermove', 'pointerup']) {
                strip.dispatchEvent(new PointerEvent(type, {bubbles: true, pointerId: 1, button: 0, clientX, clientY}));
            }
        }""",
        [box["x"] + box["width"] * 0.6, y],
    )
    expect(flow_page.get_by_test_id("whole-time")).to_be_visible()
    flow_page.mouse.up()


def test_a_span_becomes_the_root_and_another_stays_at_the_top(flow_page: Page) -> None:
    flow_page.get_by_role("row", name="auth_check").click()
    flow_page.keyboard.press("p")
    expect(flow_page.get_by_test_id("pinned-node")).to_contain_text("auth_check")
    flow_page.get_by_test_id("node").filter(has_text="agent").click()
    flow_page.get_by_role("button", name="Show only what is below this span").click()
    expect(flow_page.get_by_test_id("node")).to_have_count(2)
    expect(flow_page.get_by_test_id("pinned-node")).to_be_visible()
    flow_page.reload()
    expect(flow_page.get_by_test_id("node")).to_have_count(2)
    flow_page.get_by_role("button", name="Show the whole flow").click()
    expect(flow_page.get_by_test_id("run")).to_be_visible()


def test_the_critical_path_is_what_the_viewer_says(flow_page: Page, viewer: RunningViewer, rich: str) -> None:
    path = viewer.get(f"/api/v1/flows/{rich}/flat")["critical_path"]
    flow_page.get_by_test_id("critical-path").click()
    marked = flow_page.locator("[data-critical='true']")
    expect(marked.first).to_be_visible()
    shown = set(flow_page.eval_on_selector_all("[data-node-id]", "rows => rows.map(row => row.dataset.nodeId)"))
    found = set(flow_page.eval_on_selector_all("[data-critical='true']", "rows => rows.map(row => row.dataset.nodeId)"))
    assert found and found - {run_first(flow_page)} == (set(path) & shown) - {run_first(flow_page)}


def run_first(page: Page) -> str:
    """The run stands for all of its spans, and has the id of the first one."""
    return page.get_by_test_id("run").get_attribute("data-node-id") or ""


def test_every_view_shows_the_same_choice(flow_page: Page) -> None:
    flow_page.get_by_role("row", name="block_check").click()
    details = flow_page.get_by_test_id("details")
    flow_page.get_by_role("tab", name="Graph").click()
    chosen = flow_page.locator("[data-testid='graph-node'][data-selected='true']")
    expect(chosen).to_contain_text("block_check")
    flow_page.get_by_test_id("graph-node").filter(has_text="auth_check").click()
    expect(details.get_by_role("heading", name="auth_check")).to_be_visible()
    flow_page.get_by_role("tab", name="Table").click()
    flow_page.get_by_role("button", name="Took").click()
    expect(flow_page.get_by_role("columnheader", name="Took")).to_have_attribute("aria-sort", "ascending")
    flow_page.get_by_role("tab", name="JSON").click()
    expect(flow_page.get_by_test_id("json")).to_contain_text('"flow_id"')
    with flow_page.expect_download() as saved:
        flow_page.get_by_test_id("save-json").click()
    assert saved.value.suggested_filename.endswith(".json")
    expect(details.get_by_role("heading", name="auth_check")).to_be_visible()


def test_the_transcript_reads_as_a_chat_and_loads_nothing_of_what_a_model_wrote(flow_page: Page) -> None:
    asked: list[str] = []
    flow_page.on("request", lambda request: asked.append(request.url))
    flow_page.get_by_role("tab", name="Transcript").click()
    entries = flow_page.get_by_test_id("activity")
    expect(entries).to_have_count(3)
    expect(entries.nth(0)).to_contain_text("What does <b>every</b> table hold?")
    expect(entries.nth(1)).to_contain_text("qa_mcp · list_snapshots")
    expect(entries.nth(2)).to_contain_text("the docs (https://evil.example/?q=secret)")
    expect(entries.nth(2).get_by_role("link")).to_have_count(0)
    expect(entries.locator("img")).to_have_count(0)
    assert not [url for url in asked if "evil.example" in url]
    entries.nth(0).get_by_role("button", name="Show the step").click()
    expect(flow_page.get_by_test_id("details")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_any_view(flow_page: Page, theme: str) -> None:
    flow_page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    flow_page.get_by_role("row", name="auth_check").click()
    flow_page.keyboard.press("p")
    for view, sign in {
        "Tree": "tree",
        "Graph": "graph",
        "Transcript": "transcript",
        "Table": "span-table",
        "JSON": "json",
    }.items():
        flow_page.get_by_role("tab", name=view).click()
        expect(flow_page.get_by_test_id(sign)).to_be_visible()
        assert violations(flow_page) == [], view


def test_a_flow_says_what_it_lacks_with_counts(signed_in: Page, viewer: RunningViewer, redis_url: str) -> None:
    with FlowWriter(redis_url, "42") as writer:
        writer.beat()
        writer.start("root", name="POST /ask")
        writer.end("a", "gone", "tool_call", name="one", cut={"attributes": 3})
        writer.end("b", "root", "tool_call", name="two", attributes={"key": "[redacted]", "other": "x [redacted] y"})
        writer.end("c", "root", "tool_call", name="three", start_ns="1000", process="elsewhere")
        viewer.post("/api/v1/monitoring/enable", {"user_ids": ["42"], "reason": "ticket"})
        signed_in.goto(f"{viewer.origin}/#/flow/{writer.flow_id}")
        gaps = signed_in.get_by_test_id("gaps")
        for text in (
            "incomplete: 1 parent missing",
            "truncated: 3 values cut",
            "redacted: 2 values",
            "outside: 1 span",
        ):
            expect(gaps).to_contain_text(text)


def test_a_running_flow_goes_on_in_every_view_and_keeps_its_names(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": ["42"], "reason": "ticket"})
    with flow("chat turn", user_id=42, session_id="s-1") as turn:
        tool = start_checkpoint("tool_call", parent=turn, mcp="qa_mcp", tool="list_snapshots")
        gateway.force_flush(10)
        signed_in.goto(f"{viewer.origin}/#/flow/{turn.flow_id}")
        rows = signed_in.get_by_test_id("node")
        expect(rows).to_have_count(2)
        names = [row.locator("[title]").first.text_content() for row in rows.all()]
        labels = signed_in.eval_on_selector_all(
            "[data-testid=node] .truncate[title]", "all => all.map(each => each.innerText)"
        )
        signed_in.get_by_role("tab", name="Graph").click()
        expect(signed_in.get_by_test_id("graph-node")).to_have_count(2)
        start_checkpoint("usage_check", parent=turn).end()
        expect(signed_in.get_by_test_id("graph-node")).to_have_count(3)
        signed_in.get_by_role("tab", name="Tree").click()
        tool.end()
    expect(signed_in.get_by_test_id("flow")).to_have_attribute("data-open", "false")
    after = signed_in.eval_on_selector_all(
        "[data-testid=node] .truncate[title]", "all => all.map(each => each.innerText)"
    )
    assert names and labels == after[: len(labels)] and len(after) == 3


def test_hostile_strings_stay_text_in_every_view(signed_in: Page, gateway: Pipeline, viewer: RunningViewer) -> None:
    with flow(_HOSTILE, user_id=42, email="neo@example.com", session_id="s-0", conversation_id="c-1") as turn:
        record_user_message(_HOSTILE)
        record_assistant_response(_HOSTILE)
        with checkpoint("tool_call", mcp=_HOSTILE, tool=_HOSTILE, **{"note": _HOSTILE * 40}) as tool:
            tool.fail(_HOSTILE)
        with checkpoint("block_check") as block:
            block.deny(_HOSTILE)
    gateway.force_flush(10)
    eventually(lambda: viewer.get(f"/api/v1/flows/{turn.flow_id}")["open"] is False, within=10)
    signed_in.goto(f"{viewer.origin}/#/flow/{turn.flow_id}")
    expect(signed_in.get_by_test_id("node").first).to_be_visible()
    signed_in.keyboard.press("e")
    for view in ("Tree", "Graph", "Transcript", "Table", "JSON"):
        signed_in.get_by_role("tab", name=view).click()
        expect(signed_in.get_by_role("tabpanel")).to_contain_text(re.compile("onerror"))
        assert signed_in.title() == "Spanflow"
        assert signed_in.locator("img").count() == 0
        assert signed_in.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


def test_ten_thousand_spans_scroll_and_are_searched(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    begun = time.time_ns() - 60_000 * MS
    spans = [span(0, start_ns=begun, end_ns=begun + 10_000 * MS, name="POST /ask")]
    for number in range(1, 10_000):
        tool: dict[str, Any] = {"event_type": "tool_call", "attributes": {"flow.data.tool": f"tool-{number}"}}
        spans.append(span(number, 0, start_ns=begun + number * MS, **tool))
    store_flows(postgres_dsn, tmp_path / "archive", part(1, spans))
    signed_in.goto(f"{viewer.origin}/#/flow/{1:032x}")
    expect(signed_in.get_by_test_id("flow-steps")).to_contain_text("9,999", timeout=20_000)
    assert 0 < signed_in.get_by_test_id("node").count() < 100
    tree = signed_in.get_by_test_id("tree")
    tree.press("End")
    expect(signed_in.get_by_role("row", name="tool-9999")).to_be_in_viewport()
    signed_in.get_by_test_id("find-in-flow").fill("tool-5000")
    signed_in.get_by_test_id("find-in-flow").press("Enter")
    expect(signed_in.get_by_role("row", name="tool-5000")).to_be_in_viewport()
