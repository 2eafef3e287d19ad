"""The statistics page in a browser: every number of flows leads to exactly these flows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from spanflow.instrumentation import checkpoint, flow
from spanflow.span_processors.pipeline import Pipeline
from tests.support.dashboard import gateway_pipeline
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser

ADA: Any = {"user_id": 7, "email": "ada@example.com"}


@pytest.fixture
def gateway(fresh_otel: None, viewer: RunningViewer, redis_url: str, tmp_path: Path) -> Iterator[Pipeline]:
    with gateway_pipeline(viewer, redis_url, tmp_path / "gateway") as pipeline:
        yield pipeline


def ask(gateway: Pipeline, viewer: RunningViewer, *, times: int = 1, denied: bool = False) -> None:
    """So many requests of Ada's: they pass two gates and call a tool, or are denied at the second gate."""
    before = stored(viewer)
    for _ in range(times):
        with flow("chat turn", **ADA):
            with checkpoint("auth_check"):
                pass
            with checkpoint("block_check") as block:
                if denied:
                    block.deny("too many requests")
            if not denied:
                with checkpoint("tool_call", mcp="qa_mcp", tool="list_jobs"):
                    pass
    gateway.force_flush(10)
    eventually(lambda: stored(viewer) == before + times)


def stored(viewer: RunningViewer) -> int:
    ended = "&".join(f"outcome={outcome}" for outcome in ("ok", "denied", "error", "cancelled", "interrupted"))
    return len(viewer.get(f"/api/v1/flows?user_id=7&{ended}")["flows"])


@pytest.fixture
def statistics(signed_in: Page, viewer: RunningViewer, gateway: Pipeline) -> Page:
    """With a filter they are counted from the flows themselves, at once."""
    ask(gateway, viewer, times=3)
    ask(gateway, viewer, times=2, denied=True)
    signed_in.goto(f"{viewer.origin}/#/statistics?user_id=7")
    expect(signed_in.get_by_test_id("statistics-facts")).to_contain_text("5")
    return signed_in


def count_links(page: Page) -> Locator:
    """Those of the table below the charts are folded away."""
    return page.get_by_test_id("count-link").filter(visible=True)


def test_every_number_of_flows_leads_to_so_many_flows(statistics: Page) -> None:
    expect(statistics.get_by_test_id("gate")).to_have_count(7)
    expect(statistics.get_by_test_id("step-row").first).to_be_visible()
    expect(statistics.get_by_test_id("by-user").get_by_test_id("count-link").first).to_be_visible()
    numbers = [int(text) for text in count_links(statistics).all_inner_texts()]
    # All, denied; of three gates who came and what became of them; of each tool and user the flows.
    assert len(numbers) > 10
    wrong = []
    for index, number in enumerate(numbers):
        link = count_links(statistics).nth(index)
        said = link.get_attribute("aria-label")
        link.click()
        expect(statistics.get_by_test_id("flow-count")).to_have_text("1 flow" if number == 1 else f"{number} flows")
        listed = statistics.get_by_test_id("flow-row").count()
        wrong += [] if listed == number else [(said, number, listed)]
        statistics.go_back()
        expect(count_links(statistics)).to_have_count(len(numbers))
    assert wrong == []


def test_charts_keep_their_colours_where_motion_is_reduced(statistics: Page) -> None:
    statistics.emulate_media(reduced_motion="reduce")
    statistics.reload()
    expect(statistics.get_by_test_id("chart").first).to_be_visible()
    swatches = statistics.locator("figcaption [style*=color]")
    colours = swatches.evaluate_all("all => all.map(each => each.style.color)")
    assert len(set(colours[:3])) == 3, colours


def test_a_step_is_shown_over_time_and_the_address_says_all_of_it(statistics: Page) -> None:
    steps = statistics.get_by_test_id("steps")
    statistics.get_by_test_id("steps-group").click()
    statistics.get_by_role("option", name="by tool").click()
    # Not the row of before, which is called by type and name.
    row = statistics.get_by_test_id("step-row").filter(has=statistics.get_by_role("link", name="list_jobs", exact=True))
    expect(row).to_contain_text("3")
    row.get_by_test_id("step-series").click()
    expect(steps.get_by_test_id("chart")).to_be_visible()
    steps.get_by_role("button", name="p95").click()
    assert "group=tool" in statistics.url
    assert "charted=list_jobs" in statistics.url
    assert "by=p95_ms" in statistics.url
    statistics.reload()
    expect(steps.get_by_test_id("chart")).to_be_visible()
    expect(steps.get_by_role("columnheader", name="p95")).to_have_attribute("aria-sort", "descending")
    row.get_by_role("link", name="list_jobs", exact=True).click()
    expect(statistics.get_by_test_id("flow-row")).to_have_count(3)


def test_a_step_by_its_name_leads_to_the_flows_that_have_it(statistics: Page) -> None:
    row = statistics.get_by_test_id("step-row").filter(has_text="block_check")
    expect(row.get_by_test_id("count-link").first).to_have_text("5")
    row.get_by_role("link", name="block_check", exact=True).click()
    expect(statistics.get_by_test_id("flow-row")).to_have_count(5)
    assert "step=block_check:block_check" in statistics.url.replace("%3A", ":")
    expect(statistics.get_by_text("block_check:block_check")).to_be_visible()
    # Opened and left as it is, the dialog changes no filter, whatever stands in it.
    statistics.goto(statistics.url.split("#")[0] + "#/flows?step=tool_call:a,%20b&step=tool_call:list_jobs")
    statistics.get_by_test_id("more-filters").click()
    statistics.get_by_role("button", name="Apply").click()
    assert "step=tool_call:a,%20b&step=tool_call:list_jobs" in statistics.url.replace("%3A", ":").replace(
        "%2C", ","
    ).replace("+", "%20")


def test_a_drag_over_a_chart_narrows_the_range_and_a_click_lists_what_is_there(statistics: Page) -> None:
    statistics.goto(statistics.url + "&range=15m")
    charts = statistics.get_by_test_id("chart")
    expect(charts).to_have_count(3)
    over = charts.nth(1).locator(".u-over")
    box = over.bounding_box()
    assert box is not None
    # The flows began just now: in the last of fifteen minutes, or by now in the one before. An empty one leads nowhere.
    width = box["width"]
    for back in range(4):
        over.click(position={"x": width - 4 - back * width / 15, "y": 20})
        if "#/flows" in statistics.url:
            break
    expect(statistics.get_by_test_id("flow-row").first).to_be_visible()
    assert "started_since" in statistics.url
    statistics.go_back()
    expect(charts).to_have_count(3)
    over.hover(position={"x": box["width"] * 0.5, "y": 20})
    statistics.mouse.down()
    statistics.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20, steps=5)
    statistics.mouse.up()
    expect(statistics.get_by_test_id("time-range")).to_contain_text("–")
    assert "since=" in statistics.url
    assert "range=" not in statistics.url
    expect(statistics.get_by_test_id("statistics-facts")).to_contain_text("5")


def test_the_numbers_grow_while_one_looks(signed_in: Page, viewer: RunningViewer, gateway: Pipeline) -> None:
    signed_in.clock.install()
    signed_in.goto(f"{viewer.origin}/#/statistics?user_id=7")
    expect(signed_in.get_by_test_id("empty")).to_contain_text("No flow has ended")
    ask(gateway, viewer, times=2)
    signed_in.clock.fast_forward(21_000)
    expect(signed_in.get_by_test_id("statistics-facts")).to_contain_text("2")
