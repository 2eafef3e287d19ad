"""The examples of `docs/api.md` are sent to a real viewer, and answered as the page says."""

import re
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.identity import Identity
from spanflow.viewer_api import problems
from spanflow.viewer_api.auth.authenticator import one_time_code
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.support.query import script
from tests.support.viewer_server import TOKEN, RunningViewer

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
FLOW = int("0af7651916cd43dd8448eb211c80319c", 16)
#: 2026-03-01 11:00 UTC
ELEVEN = 1_772_362_800_000_000_000
EXAMPLE = re.compile(
    r"```http\n(?P<method>[A-Z]+) (?P<path>\S+)\n(?P<body>.*?)```\n(?:```json\n(?P<answer>.*?)```)?", re.S
)


@pytest.fixture
def filled(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> RunningViewer:
    """What the page speaks of."""
    script(
        postgres_dsn,
        """
        CREATE TABLE omni2.interaction_flows_w20260223 PARTITION OF omni2.interaction_flows
            FOR VALUES FROM ('2026-02-23 00:00Z') TO ('2026-03-02 00:00Z');
        """,
    )
    tool = {"flow.data.mcp": "qa_mcp", "flow.data.tool": "list_snapshots"}
    start = ELEVEN + 250 * MS
    spans = [
        span(1, start_ns=start, end_ns=start + 2000 * MS, name="POST /api/v1/ask/stream"),
        span(2, 1, start_ns=start, event_type="auth_check"),
        span(3, 1, start_ns=start, event_type="tool_call", attributes=tool),
    ]
    told: Any = {"conversation_id": "c-1", "session_id": "s-1", "user_id": "7"}
    texts: list[tuple[str, int, dict[str, Any]]] = [
        ("user_message", 300, {"message": "What is the status of job XYZ?"}),
        ("mcp_tool_call", 500, {"mcp_server": "qa_mcp", "tool_name": "get_job_status"}),
        ("mcp_tool_response", 900, {"mcp_server": "qa_mcp", "status": "success"}),
        ("assistant_response", 2200, {"message": "It runs.", "tokens_used": 150}),
    ]
    activities = [
        Activity(
            kind, ELEVEN + at * MS, data, activity_id=f"5e6bb1b4-0a4b-4cf5-9d6b-6ce7b7a2b{n:03d}", **told
        ).to_bytes()
        for n, (kind, at, data) in enumerate(texts, 1)
    ]
    who = Identity("7", "trinity@example.com", "Trinity", "s-1", "c-1", "web")
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        deliver(archives.make(), part(FLOW, spans, activities=tuple(activities), identity=who))
    return viewer


def shape(value: Any) -> Any:
    """The fields and kinds of a JSON value. Lists are alike when their first elements are."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "null" if value is None else type(value).__name__


def fits(answer: Any, shown: Any) -> bool:
    """Whether an answer has all that the page shows. The page may leave out what is explained elsewhere."""
    if isinstance(shown, dict):
        return isinstance(answer, dict) and all(key in answer and fits(answer[key], shown[key]) for key in shown)
    if isinstance(shown, list):
        return isinstance(answer, list) and (not shown or (bool(answer) and fits(answer[0], shown[0])))
    return shown is None or answer is None or type(answer) is type(shown) or {type(answer), type(shown)} == {int, float}


def test_the_examples_are_answered_as_the_page_says(filled: RunningViewer) -> None:
    examples = list(EXAMPLE.finditer(PAGE.read_text()))
    assert len(examples) > 20
    for example in examples:
        method, path = example["method"], example["path"]
        body = example["body"].strip().replace("<code>", one_time_code(TOKEN, time.time))
        response = filled.http.request(method, path, content=body or None, headers={"Content-Type": "application/json"})
        if example["answer"] is None:
            assert response.status_code == 204, (method, path, response.text)
            continue
        shown, answer = orjson.loads(example["answer"]), response.json()
        assert response.status_code == shown.get("status", 200) or isinstance(shown["status"], str), (path, answer)
        assert fits(answer, shown), f"{method} {path}\nanswered {shape(answer)}\nthe page shows {shape(shown)}"
        assert "flow_data" in answer or set(answer) == set(shown), (path, sorted(answer), sorted(shown))


def test_the_values_that_do_not_depend_on_the_hour_are_the_pages(filled: RunningViewer) -> None:
    """What was seeded at the times of the page comes back as it is printed there."""
    text = PAGE.read_text()
    for path in ("/api/v1/flows?user_id=7&limit=50", "/api/v1/activities/conversation/c-1"):
        (example,) = [each for each in EXAMPLE.finditer(text) if each["path"] == path]
        shown, answer = orjson.loads(example["answer"]), filled.get(path)
        if "activities" in shown:
            answer["activities"] = answer["activities"][:1]
        assert answer == shown


def test_every_error_code_stands_on_the_page() -> None:
    sources = Path(problems.__file__).parent.rglob("*.py")
    made = {
        code for source in sources for code in re.findall(r'Problem\(\s*(?:\d{3}),\s*"([a-z_]+)"', source.read_text())
    }
    table = PAGE.read_text().partition("## Errors")[2]
    assert made - set(re.findall(r"`([a-z_]+)`", table)) == set()
    assert len(made) > 8
