"""A real Jaeger UI in front of a viewer."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from spanflow.span_processors.event.event import Event
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, span
from tests.support.jaeger_ui import built_ui, jaeger_ui
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.test_jaeger_services import SEVEN, told
from tests.viewer_api.test_statistics_counting import count_all

pytestmark = [pytest.mark.browser, pytest.mark.long]


def store_a_turn(postgres_dsn: str, folder: Path) -> None:
    """A gateway that asks an index and a model, ten minutes ago."""
    began = time.time_ns() - 600_000 * MS

    def step(number: int, name: str, kind: str, parent: int | None, took: int, **more: Any) -> Event:
        start = began + number * MS
        return span(number, parent, name=name, kind=kind, start_ns=start, end_ns=start + took * MS, **more)

    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5"}
    gateway = [
        step(1, "POST /ask", "server", None, 20),
        step(2, "search", "client", 1, 5),
        step(9, "chat gpt-5", "client", 1, 4, attributes=chat),
    ]
    parts = told(1, "gateway", SEVEN, *gateway), told(1, "index", SEVEN, step(3, "find", "server", 2, 3))
    with archives_in(postgres_dsn, folder) as archives:
        assert deliver(archives.make(), *parts).delivered == len(parts)
    count_all(postgres_dsn, datetime.now(UTC))


def test_a_trace_is_found_read_and_drawn(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path, page: Page) -> None:
    ui = built_ui()
    with ThreadPoolExecutor(1) as thread:  # the browser's event loop runs in this one
        thread.submit(store_a_turn, postgres_dsn, tmp_path / "archive").result()
    with jaeger_ui(ui, viewer) as address:
        page.goto(f"{address}/search")
        service = page.get_by_role("combobox").first
        expect(page.get_by_text("Service (2)")).to_be_visible()
        service.fill("gateway")
        service.press("Enter")
        page.get_by_role("button", name="Find Traces").click()
        page.get_by_role("link", name="gateway: POST /ask").click()
        expect(page).to_have_url(re.compile("/trace/0+1$"))
        expect(page.locator(".span-name")).to_have_text(
            ["gateway POST /ask", "gateway search", "index find", "gateway chat gpt-5"]
        )
        page.get_by_role("switch", name="gateway chat gpt-5").click()
        details = page.get_by_role("tabpanel", name="GenAI")
        expect(details).to_contain_text(re.compile(r"Model\s*gpt-5"))
        expect(details).to_contain_text(re.compile(r"gen_ai\.operation\.name\s*=\s*chat"))
        page.get_by_role("link", name="System Architecture").click()
        expect(page).to_have_url(re.compile("/dependencies$"))
        for name in ("gateway", "index"):
            expect(page.get_by_text(name, exact=True).first).to_be_visible()
