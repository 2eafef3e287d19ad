"""Files that a browser saves: every format of a flow, of a list and of a conversation."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from spanflow.span_processors.identity import Identity
from tests.support.dashboard import store_flows
from tests.support.flow_parts import part, span
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser

A = f"{1:032x}"
HOSTILE = "<script>document.title='hit'</script>"


@pytest.fixture
def stored(signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> Page:
    """Three flows of two users; two of one conversation."""
    parts = [
        part(
            number,
            [span(1, name="POST /ask"), span(2, 1, event_type="tool_call", name=f"tools/call {HOSTILE}")],
            identity=Identity(
                user_id="8" if number == 3 else "7",
                session_id=f"s-{number}",
                conversation_id=None if number == 3 else "c-1",
                source="web",
            ),
            root_ended=True,
        )
        for number in (1, 2, 3)
    ]
    store_flows(postgres_dsn, tmp_path / "archive", *parts)
    return signed_in


def saved(page: Page, choice: str) -> tuple[str, str]:
    """The name and the text of the file that a choice of the menu saves."""
    page.get_by_test_id("export").click()
    with page.expect_download() as started:
        page.get_by_role("menuitem", name=choice).click()
    download = started.value
    assert download.failure() is None
    return download.suggested_filename, download.path().read_text()


def flows_of(choice: str, text: str) -> int:
    """How many flows a file has, read by what it is for."""
    read: dict[str, Any] = {
        "JSON as": lambda: len(json.loads(text)["flows"]),
        "JSON Lines": lambda: len([json.loads(line) for line in text.splitlines()]),
        "CSV": lambda: len({row["flow_id"] for row in csv.DictReader(io.StringIO(text))}),
        "OTLP/JSON": lambda: len([json.loads(line)["resourceSpans"] for line in text.splitlines()]),
        "Jaeger JSON": lambda: len(json.loads(text)["data"]),
        "Trace events": lambda: (
            len({e["args"]["flow_id"] for e in json.loads(text)["traceEvents"] if "flow_id" in e.get("args", {})})
            or len({e["pid"] for e in json.loads(text)["traceEvents"]})
        ),
        "Markdown": lambda: text.count("\n# ") + text.startswith("# "),
    }
    return int(read[choice]())


CHOICES = ("JSON as", "JSON Lines", "CSV", "OTLP/JSON", "Jaeger JSON", "Trace events", "Markdown")


def test_a_flow_is_saved_in_every_format(stored: Page, viewer: RunningViewer) -> None:
    stored.goto(f"{viewer.origin}/#/flow/{A}")
    assert {choice: flows_of(choice, saved(stored, choice)[1]) for choice in CHOICES} == dict.fromkeys(CHOICES, 1)
    name, text = saved(stored, "HTML page")
    assert name.endswith(".html")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    # The page stayed where it was.
    expect(stored.get_by_test_id("flow-view")).to_be_visible()


def test_the_flows_of_a_list_are_saved_as_they_are_filtered(stored: Page, viewer: RunningViewer) -> None:
    stored.goto(f"{viewer.origin}/#/flows?range=all&user_id=7&sort=duration")
    expect(stored.get_by_test_id("flow-row")).to_have_count(2)
    assert {choice: flows_of(choice, saved(stored, choice)[1]) for choice in CHOICES} == dict.fromkeys(CHOICES, 2)


def test_a_conversation_is_saved(stored: Page, viewer: RunningViewer) -> None:
    stored.goto(f"{viewer.origin}/#/conversations/c-1")
    expect(stored.get_by_test_id("conversation-view")).to_be_visible()
    assert flows_of("JSON Lines", saved(stored, "JSON Lines")[1]) == 2
