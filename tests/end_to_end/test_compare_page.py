"""The compare page in a browser: two flows step by step, and what is different about two groups."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from playwright.sync_api import Page, expect

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from tests.support.axe import violations
from tests.support.dashboard import store_flows
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import script
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser

A, B = f"{1:032x}", f"{2:032x}"
HOSTILE = "<img src=x onerror=\"document.title='hit'\">"


def step(
    number: int, parent: int | None, start_ms: float, end_ms: float, event_type: str = "span", **more: Any
) -> Event:
    begin, end = (NOON + int(ms * MS) for ms in (start_ms, end_ms))
    return span(number, parent, start_ns=begin, end_ns=end, event_type=event_type, **more)


def tool(number: int, start_ms: float, end_ms: float, name: str, arguments: dict[str, Any]) -> Event:
    said = {"flow.data.tool": name, "gen_ai.tool.call.arguments": json.dumps(arguments)}
    return step(number, 1, start_ms, end_ms, "tool_call", name=f"tools/call {name}", attributes=said)


def quick() -> FlowPart:
    return part(
        1,
        [
            step(1, None, 0, 100, name="POST /ask"),
            step(2, 1, 0, 10, "auth_check", name="auth_check"),
            tool(
                3, 10, 30, "list_jobs", {"where": {"state": "running"}, "limit": 3, "note": "the old words stay here"}
            ),
            step(4, 1, 40, 60, "retrieval", name="only in the first"),
        ],
        root_ended=True,
    )


def slow() -> FlowPart:
    return part(
        2,
        [
            step(1, None, 0, 400, name="POST /ask"),
            step(2, 1, 0, 10, "auth_check", name="auth_check"),
            tool(3, 60, 360, "list_jobs", {"where": {"state": HOSTILE}, "limit": 3, "note": "the new words stay here"}),
            step(5, 1, 370, 380, "memory", name="only in the second"),
        ],
        root_ended=True,
    )


@pytest.fixture
def compared(signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> Page:
    store_flows(postgres_dsn, tmp_path / "archive", quick(), slow())
    signed_in.goto(f"{viewer.origin}/#/compare?a={A}&b={B}")
    expect(signed_in.get_by_test_id("compared-row")).not_to_have_count(0)
    return signed_in


def rows(page: Page) -> list[tuple[str, str, str]]:
    """Status, step and difference of each row, as they are shown."""
    return [
        (
            str(row.get_attribute("data-status")),
            row.get_by_role("gridcell").nth(1).inner_text().split("\n")[0],
            row.get_by_test_id("row-delta").inner_text(),
        )
        for row in page.get_by_test_id("compared-row").all()
    ]


def test_steps_stand_beside_each_other_with_what_each_took_longer(compared: Page) -> None:
    assert rows(compared) == snapshot(
        [
            ("slower", "POST /ask", "+300 ms +300 %"),
            ("same", "auth_check", "±0 ±0 %"),
            ("slower", "nothing ran", "+50 ms"),
            ("changed", "tool_call · list_jobs", "+280 ms +1,400 %"),
            ("removed", "nothing ran", "−10 ms"),
            ("removed", "retrieval · only in the first", "−20 ms"),
            ("added", "nothing ran", "+10 ms"),
            ("added", "memory · only in the second", "+10 ms"),
            ("faster", "nothing ran", "−20 ms −50 %"),
        ]
    )
    expect(compared.get_by_test_id("compare-delta")).to_contain_text("B took 300 ms longer")


def test_arguments_differ_by_their_path_and_what_a_text_says_is_text(compared: Page) -> None:
    compared.get_by_test_id("biggest").get_by_role("button", name="list_jobs").click()
    values = compared.get_by_test_id("value-difference")
    where = values.filter(has_text="gen_ai.tool.call.arguments.where.state")
    expect(where).to_contain_text("running")
    expect(where).to_contain_text(HOSTILE)
    note = values.filter(has_text="gen_ai.tool.call.arguments.note")
    expect(note.locator("del")).to_have_text("old")
    expect(note.locator("ins")).to_have_text("new")
    expect(values.filter(has_text="limit")).to_have_count(0)
    assert compared.title() == "Spanflow"
    compared.get_by_role("link", name="Show it in B").click()
    expect(compared.get_by_test_id("details")).to_contain_text("list_jobs")
    assert B in compared.url


def test_the_two_are_swapped_and_what_is_the_same_is_left_out(compared: Page) -> None:
    compared.keyboard.press("x")
    expect(compared.get_by_test_id("compare-delta")).to_contain_text("B took 300 ms less")
    compared.get_by_test_id("only-different").click()
    assert [status for status, _, _ in rows(compared) if status == "same"] == []
    compared.get_by_test_id("only-added").click()
    assert [text for _, text, _ in rows(compared)] == ["retrieval · only in the first"]
    compared.reload()
    expect(compared.get_by_test_id("compared-row")).to_have_count(1)


def test_steps_are_walked_and_read_by_keyboard(compared: Page) -> None:
    grid = compared.get_by_role("treegrid", name="Steps of both flows")
    grid.focus()
    for _ in range(4):
        compared.keyboard.press("ArrowDown")
    expect(compared.get_by_test_id("compare-details")).to_contain_text("list_jobs")
    active = grid.get_attribute("aria-activedescendant")
    expect(compared.locator(f'[id="{active}"]')).to_have_attribute("aria-selected", "true")
    compared.keyboard.press("Escape")
    expect(compared.get_by_test_id("compare-details")).to_have_count(0)


def test_two_flows_are_ticked_in_the_list(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    store_flows(postgres_dsn, tmp_path / "archive", quick(), slow())
    signed_in.goto(f"{viewer.origin}/#/flows?range=all")
    for flow_id in (A, B):
        row = signed_in.locator(f'[data-flow-id="{flow_id}"]')
        row.locator("[data-column=tick] label").click()
    signed_in.get_by_test_id("compare-bar").get_by_role("button", name="Compare").click()
    expect(signed_in.get_by_test_id("compare-delta")).to_contain_text("B took 300 ms longer")


@pytest.fixture
def groups(signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> Page:
    """Twelve quick flows of one user, and twelve denied ones of another that all call the same tool."""
    parts = []
    for number in range(1, 25):
        denied = number > 12
        called = tool(2, 1, 5, "export" if denied else "list_jobs", {})
        gate = step(3, 1, 6, 7, "block_check", name="block_check", outcome="denied" if denied else "ok")
        who = Identity(user_id="8" if denied else "7", session_id=f"s{number}", source="web")
        parts.append(
            part(number, [step(1, None, 0, 10, name="POST /ask"), called, gate], identity=who, root_ended=True)
        )
    store_flows(postgres_dsn, tmp_path / "archive", *parts)
    signed_in.goto(f"{viewer.origin}/#/flows?range=all&outcome=denied")
    expect(signed_in.get_by_test_id("flow-row")).to_have_count(12)
    return signed_in


def test_what_is_different_about_a_list_is_found_and_each_answer_is_a_filter(groups: Page) -> None:
    groups.get_by_test_id("what-is-different").click()
    expect(groups.get_by_test_id("group-a").get_by_test_id("group-filter")).to_contain_text("denied")
    expect(groups.get_by_test_id("group-b").get_by_test_id("group-filter")).to_contain_text("ok")
    export = groups.get_by_test_id("difference").filter(has_text="export")
    expect(export).to_contain_text("100 % (12)")
    expect(export).to_contain_text("+100.0 pp")
    expect(groups.get_by_test_id("hidden-attributes")).to_contain_text("outcome")
    export.get_by_test_id("share-a").click()
    expect(groups.get_by_test_id("flow-row")).to_have_count(12)
    chips = groups.get_by_test_id("filter-chip")
    expect(chips).to_contain_text(["export"])


def test_the_last_week_is_compared_with_the_one_before(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    day, now = 86_400 * 1000 * MS, time.time_ns()
    parts = []
    for number in range(1, 31):
        # Ten days ago a step took a tenth of what it takes now.
        recent = number > 15
        began = now - (2 if recent else 10) * day
        root = span(1, start_ns=began, end_ns=began + (3000 if recent else 300) * MS, name="POST /ask")
        call = span(2, 1, start_ns=began, event_type="tool_call", attributes={"flow.data.tool": "list_jobs"})
        parts.append(part(number, [root, call], root_ended=True))
    store_flows(postgres_dsn, tmp_path / "archive", *parts)
    signed_in.goto(f"{viewer.origin}/#/compare")
    signed_in.get_by_test_id("preset-week").click()
    for group in ("a", "b"):
        expect(signed_in.get_by_test_id(f"group-{group}").get_by_test_id("group-flows")).to_have_text("15 flows")
    expect(signed_in.get_by_test_id("difference").filter(has_text="Took").first).to_contain_text("100 % (15)")


def test_groups_are_changed_in_place(groups: Page, viewer: RunningViewer) -> None:
    groups.goto(f"{viewer.origin}/#/compare?range=all")
    groups.get_by_test_id("preset-denied").click()
    expect(groups.get_by_test_id("group-a").get_by_test_id("group-flows")).to_have_text("12 flows")
    both = groups.get_by_test_id("group-both")
    both.get_by_placeholder("value").fill("error")
    both.get_by_role("button", name="Add").click()
    expect(both.get_by_test_id("group-filter")).to_contain_text("error")
    assert "outcome=error" in groups.url
    both.get_by_role("button", name="Remove").click()
    expect(both.get_by_test_id("group-filter")).to_have_count(0)
    groups.get_by_test_id("clear-groups").click()
    expect(groups.get_by_test_id("preset-slow")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_pages_are_accessible_and_fit_a_phone(compared: Page, viewer: RunningViewer, theme: str) -> None:
    compared.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    wrong: list[str] = []
    for view in (f"a={A}&b={B}&row=3", "a.outcome=ok&range=all", ""):
        compared.goto(f"{viewer.origin}/#/compare?{view}")
        expect(compared.locator("main h1")).to_be_visible()
        for width in (1280, 390):
            compared.set_viewport_size({"width": width, "height": 844})
            wide, inner = compared.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide <= inner, (view, width)
            wrong += [f"{view} at {width}: {each}" for each in violations(compared)]
    assert wrong == []


#: The flows of these tests are in a week of their own, in the order of their times.
WEEK = (
    "CREATE TABLE omni2.interaction_flows_w20260105 PARTITION OF omni2.interaction_flows "
    "FOR VALUES FROM ('2026-01-05 00:00Z') TO ('2026-01-12 00:00Z')"
)


def usual(number: int) -> FlowPart:
    """A quick one some seconds before the others, with a check that these do not have."""
    earlier = (number - 30) * 1000
    return part(
        100 + number,
        [
            step(1, None, earlier, earlier + 100 + number, name="POST /ask"),
            step(2, 1, earlier, earlier + 10, "auth_check", name="auth_check"),
            step(3, 1, earlier + 10, earlier + 15, "usage_check", name="usage_check"),
            step(
                4,
                1,
                earlier + 60,
                earlier + 80 + number,
                "tool_call",
                name="list",
                attributes={"flow.data.tool": "list_jobs"},
            ),
        ],
        root_ended=True,
    )


def test_a_flow_stands_beside_the_usual_one_of_its_kind(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as thread:  # the browser's event loop runs in this one
        thread.submit(script, postgres_dsn, WEEK).result()
    store_flows(postgres_dsn, tmp_path / "archive", slow(), *(usual(number) for number in range(20)))
    signed_in.goto(f"{viewer.origin}/#/flow/{B}")
    signed_in.get_by_test_id("against-usual").click()
    expect(signed_in.get_by_test_id("compared-row")).not_to_have_count(0)
    assert rows(signed_in) == snapshot(
        [
            ("slower", "POST /ask", "+291 ms +267 %"),
            ("same", "auth_check", "±0 ±0 %"),
            ("missing", "usage_check", "−5.0 ms"),
            ("slower", "nothing ran", "+5.0 ms +11 %"),
            ("slower", "tool_call · list_jobs", "+271 ms +935 %"),
            ("added", "nothing ran", "+10 ms"),
            ("added", "memory · only in the second", "+10 ms"),
            ("same", "nothing ran", "±0 ±0 %"),
        ]
    )
    expect(signed_in.get_by_test_id("side-usual")).to_contain_text("20 flows of the week before")
    signed_in.get_by_test_id("only-missing").click()
    assert [text for _, text, _ in rows(signed_in)] == ["usage_check"]
    signed_in.get_by_test_id("only-missing").click()
    signed_in.get_by_test_id("compared-row").filter(has_text="list_jobs").click()
    details = signed_in.get_by_test_id("compare-details")
    expect(details).to_contain_text("100 % (20)")
    expect(details).to_contain_text("Median")
    expect(details.get_by_test_id("percentile")).to_be_visible()
    assert violations(signed_in) == []
    details.get_by_role("link", name="Show it in the flow").click()
    expect(signed_in.get_by_test_id("details")).to_contain_text("list_jobs")


def test_of_a_flow_without_its_like_it_is_said(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    store_flows(postgres_dsn, tmp_path / "archive", slow())
    signed_in.goto(f"{viewer.origin}/#/compare/{B}")
    expect(signed_in.get_by_role("status").filter(has_text="Too few flows")).to_be_visible()
    # Of none of its steps it is known how long they usually take: there is no difference and no bar.
    assert {(status, difference) for status, _, difference in rows(signed_in)} == {("unknown", "–")}
    assert signed_in.get_by_test_id("biggest").count() == 0
    assert signed_in.get_by_test_id("row-bar").count() == 0
