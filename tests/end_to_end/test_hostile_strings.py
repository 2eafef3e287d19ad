"""Whatever is recorded is text on every page: nothing of it runs, asks for anything or breaks the layout."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from tests.support.alerts import make_rule
from tests.support.dashboard import store_flows
from tests.support.flow_parts import MS, part, span
from tests.support.flow_writer import FlowWriter
from tests.support.page_layout import too_wide
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser

HOSTILE: Final = {
    "html": "<img src=x onerror=\"document.title='hit'\"><script>document.title='hit'</script><svg onload=alert(1)>",
    "right to left": "user\u202egnp.exe\u2066 \u200f\u202d'\"`${{7*7}}",
    "zero width": "ad\u200bmin\u200d\u2060\ufeff\u00ad" + "\u0301" * 60,
    "long word": "w" * 10_000,
    "markdown": "![p](https://evil.invalid/p.png) [l](javascript:alert(1)) <https://evil.invalid/a> "
    "https://evil.invalid/b ![d](data:image/svg+xml,<svg/onload=alert(1)>)\n\n# h\n\n| a | b |\n|---|---|\n| "
    + "c" * 900
    + " | d |",
}
#: Beside the one of the library that draws graphs to its own site.
_FOREIGN_LINKS: Final = """() =>
    [...document.querySelectorAll("a:not([href^='https://reactflow.dev'])")]
        .map((each) => each.href).filter((href) => !href.startsWith(origin))
"""
#: As much of a string as an id can be.
MOST_OF_AN_ID: Final = 100


def an_id(text: str) -> str:
    """The same as far as an id allows it."""
    return "".join(letter for letter in text if letter.isprintable() and letter not in "{}/\\")[:MOST_OF_AN_ID] or "-"


def hostile_flow(number: int, text: str, begun: int) -> FlowPart:
    name = an_id(text)
    who = Identity(
        user_id=name,
        email=f"{text[:200]}@example.com",
        full_name=text,
        session_id=name,
        conversation_id=name,
        source=text[:60],
    )
    called: dict[str, Any] = {
        "flow.data.tool": text,
        "flow.data.mcp": text,
        "gen_ai.tool.call.arguments": text,
        text[:200]: text,
        "exception.stacktrace": f"Traceback\n  {text}",
    }
    spans = [
        span(1, start_ns=begun, end_ns=begun + 900 * MS, name=text, kind=text[:30]),
        span(
            2,
            1,
            start_ns=begun + 10 * MS,
            event_type="tool_call",
            name=text,
            attributes=called,
            status="error",
            status_message=text,
            outcome="error",
            logs=[{"name": text, "time_ns": str(begun + 11 * MS), "attributes": {"exception.message": text}}],
            links=[{"trace_id": "1" * 32, "span_id": "2" * 16, "attributes": {text[:100]: text}}],
        ),
        span(
            3,
            1,
            start_ns=begun + 20 * MS,
            event_type="block_check",
            name="block_check",
            outcome="denied",
            attributes={"flow.denied.reason": text},
        ),
        span(4, 1, start_ns=begun + 30 * MS, event_type=text[:100], name="a kind of step"),
    ]
    said: list[tuple[str, dict[str, Any]]] = [
        ("user_message", {"message": text}),
        ("mcp_tool_call", {"mcp_server": text, "tool_name": text, "parameters": {text[:100]: text}}),
        ("mcp_tool_response", {"mcp_server": text, "tool_name": text, "status": "error", "result": {"r": text}}),
        ("assistant_response", {"message": text, "model": text[:100], "tokens_used": 3}),
    ]
    activities = tuple(
        Activity(
            kind, begun + place * MS, data, conversation_id=name, session_id=name, user_id=name, node_id=f"{1:016x}"
        ).to_bytes()
        for place, (kind, data) in enumerate(said)
    )
    return part(number, spans, identity=who, activities=activities, root_ended=True)


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_of_it_runs_asks_for_anything_or_widens_a_page(
    signed_in: Page, viewer: RunningViewer, redis_url: str, postgres_dsn: str, tmp_path: Path, kind: str
) -> None:
    text, begun = HOSTILE[kind], time.time_ns() - 600_000 * MS
    user = an_id(text)
    parts = [hostile_flow(number, text, begun + number * 5000 * MS) for number in (1, 2)]
    if kind == "markdown":  # beside one that has none of it
        parts[1] = replace(parts[1], identity=Identity(user_id="7", email="ada@example.com"))
    store_flows(postgres_dsn, tmp_path / "archive", *parts)
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [user], "reason": text[:400]})
    # Names of rules must be printable.
    name = "".join(letter for letter in text if letter.isprintable())[:100]
    make_rule(viewer, {"kind": "longer_than", "alert": 1000, "window_seconds": 60}, name=name)
    flow_id, other = f"{1:032x}", f"{2:032x}"
    pages = {
        "flows?range=all": "flow-row",
        f"flows?range=all&q={quote(text[:50])}&user_id={quote(user)}&tool={quote(text[:100])}": "filter-chip",
        f"flow/{flow_id}?span={2:016x}": "details",
        f"flow/{flow_id}?view=graph": "graph-node",
        f"flow/{flow_id}?view=transcript": "activity",
        f"flow/{flow_id}?view=table": "table-row",
        f"flow/{flow_id}?view=json": "json",
        f"live?user={quote(user)}": "panel",
        "conversations": "conversation-row",
        f"conversations/{quote(user)}": "turn",
        "users": "user-row",
        f"users/{quote(user)}": "user-view",
        f"compare?a={flow_id}&b={other}": "compared-row",
        f"playback?flow_id={flow_id}&at=900": "node",
        "statistics": "statistics-page",
        "audit": "audit-row",
        "alerts": "rule",
    }
    wrong: list[str] = []
    with FlowWriter(redis_url, user, session_id=None) as writer:
        writer.beat()
        writer.start("root", name=text)
        writer.end("tool", "root", "tool_call", name=text, outcome="error", status="error", status_message=text)
        for view, sign in pages.items():
            signed_in.goto(f"{viewer.origin}/#/{view}")
            expect(signed_in.get_by_test_id(sign).first, view).to_be_attached(timeout=20_000)
            wrong += [f"{view}: {each}" for each in too_wide(signed_in)]
            assert signed_in.title() == "Spanflow", view
            assert signed_in.locator("main img, main script, main iframe, main object").count() == 0, view
            assert signed_in.evaluate(_FOREIGN_LINKS) == [], view
    assert wrong == []
