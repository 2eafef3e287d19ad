"""The list of flows in a browser: what was asked, what is left out, what is remembered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from spanflow.instrumentation import checkpoint, flow, record_assistant_response, record_user_message
from spanflow.span_processors.pipeline import Pipeline
from tests.support.dashboard import DASHBOARD, gateway_pipeline, sign_in
from tests.support.viewer_server import RunningViewer, running_viewer

pytestmark = pytest.mark.browser

#: Whatever a person writes is text, however long and however it looks.
HOSTILE = "<img src=x onerror=document.title='hit'><script>document.title='hit'</script> **b** " + "w" * 400


@pytest.fixture
def viewer(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[RunningViewer]:
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD) as running:
        yield running


@pytest.fixture
def gateway(fresh_otel: None, viewer: RunningViewer, redis_url: str, tmp_path: Path) -> Iterator[Pipeline]:
    with gateway_pipeline(viewer, redis_url, tmp_path / "gateway") as pipeline:
        yield pipeline


@pytest.fixture
def signed_in(page: Page, viewer: RunningViewer) -> Iterator[Page]:
    yield sign_in(page, viewer)
    page.goto("about:blank")


def turn(pipeline: Pipeline, question: str, answer: str, user_id: int = 42, tool: str = "list_snapshots") -> str:
    with flow("POST /ask", user_id=user_id, email=f"user-{user_id}@example.com", conversation_id="c-1") as begun:
        with checkpoint("auth_check"):
            record_user_message(question)
        with checkpoint("tool_call", tool=tool):
            pass
        record_assistant_response(answer, tokens_used=12)
    pipeline.force_flush(10)
    return begun.flow_id


def connection(pipeline: Pipeline) -> None:
    with flow("WS /chat", user_id=42):
        pass
    pipeline.force_flush(10)


def test_a_row_says_what_was_asked_and_answered(signed_in: Page, gateway: Pipeline) -> None:
    turn(gateway, "What is the status of job XYZ?", "It runs.")
    row = signed_in.get_by_test_id("flow-row")
    expect(row.get_by_role("link", name="What is the status of job XYZ?")).to_be_visible(timeout=10_000)
    expect(row).to_contain_text("It runs.")
    expect(row).to_contain_text("list_snapshots")
    expect(signed_in.get_by_test_id("flow-count")).to_have_text("1 flow")
    row.get_by_role("link", name="What is the status of job XYZ?").click()
    expect(signed_in.get_by_test_id("flow-view")).to_be_visible()


def test_connections_without_a_step_are_hidden_until_they_are_asked_for(signed_in: Page, gateway: Pipeline) -> None:
    connection(gateway)
    signed_in.get_by_role("button", name="Read the list again").click()
    expect(signed_in.get_by_test_id("empty")).to_contain_text("are hidden")
    signed_in.get_by_role("button", name="Show requests without steps").click()
    expect(signed_in.get_by_test_id("flow-row")).to_contain_text("WS /chat")
    assert "connections=show" in signed_in.url
    signed_in.get_by_test_id("hide-connections").click()
    expect(signed_in.get_by_test_id("flow-row")).to_have_count(0)


def test_whatever_is_said_is_text_and_never_widens_the_page(
    signed_in: Page, gateway: Pipeline, viewer: RunningViewer
) -> None:
    turn(gateway, HOSTILE, HOSTILE, tool="tool_" * 60)
    for width in (1280, 390):
        signed_in.set_viewport_size({"width": width, "height": 844})
        row = signed_in.get_by_test_id("flow-row")
        expect(row).to_contain_text("<img src=x", timeout=10_000)
        wide, inner = signed_in.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= inner
        box = signed_in.get_by_test_id("flow-list").evaluate("list => [list.scrollWidth, list.clientWidth]")
        assert box[0] <= box[1]
    assert signed_in.title() == "Spanflow"


def test_filters_are_kept_under_a_name(signed_in: Page, gateway: Pipeline) -> None:
    turn(gateway, "one", "two")
    signed_in.get_by_test_id("outcome-denied").click()
    signed_in.get_by_test_id("open-views").click()
    signed_in.get_by_test_id("view-name").fill("refused")
    signed_in.get_by_role("button", name="Save", exact=True).click()
    signed_in.keyboard.press("Escape")
    expect(signed_in.get_by_test_id("open-views")).to_have_text("refused")
    signed_in.get_by_test_id("clear-filters").click()
    expect(signed_in.get_by_test_id("open-views")).to_have_text("Views")
    signed_in.reload()
    signed_in.get_by_test_id("open-views").click()
    signed_in.get_by_role("button", name="refused", exact=True).click()
    expect(signed_in).to_have_url(f"{signed_in.url.split('#')[0]}#/flows?outcome=denied")


def test_columns_are_chosen_and_remembered(signed_in: Page, gateway: Pipeline) -> None:
    turn(gateway, "one", "two")
    header = signed_in.get_by_role("columnheader")
    expect(header.filter(has_text="Cost")).to_be_visible(timeout=10_000)
    signed_in.get_by_test_id("columns").click()
    signed_in.get_by_test_id("column-cost").click()
    signed_in.get_by_test_id("column-source").click()
    signed_in.keyboard.press("Escape")
    expect(header.filter(has_text="Cost")).to_have_count(0)
    signed_in.reload()
    expect(header.filter(has_text="Source")).to_be_visible()
    expect(header.filter(has_text="Cost")).to_have_count(0)


def test_a_range_of_time_is_two_moments(signed_in: Page, gateway: Pipeline) -> None:
    turn(gateway, "one", "two")
    expect(signed_in.get_by_test_id("flow-row")).to_have_count(1, timeout=10_000)
    signed_in.get_by_test_id("time-range").click()
    signed_in.get_by_role("option", name="From … to …").click()
    # On a phone, each moment has room for all of it.
    signed_in.set_viewport_size({"width": 390, "height": 844})
    dialog, *fields = (
        box.bounding_box()
        for box in (signed_in.get_by_role("dialog"), *map(signed_in.get_by_test_id, ("range-from", "range-to")))
    )
    assert dialog is not None
    for field in fields:
        assert field is not None and field["x"] + field["width"] < dialog["x"] + dialog["width"]
    signed_in.get_by_test_id("range-from").fill("2020-01-01T00:00")
    signed_in.get_by_test_id("range-to").fill("2020-01-02T00:00")
    signed_in.get_by_role("button", name="Apply").click()
    expect(signed_in.get_by_test_id("empty")).to_contain_text("No flow matches")
    assert "since=2020-01" in signed_in.url
    signed_in.get_by_test_id("clear-filters").click()
    expect(signed_in.get_by_test_id("flow-row")).to_have_count(1)
