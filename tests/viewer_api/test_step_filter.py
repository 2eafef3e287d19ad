"""Flows by the steps they have, each of a type and a name: the list, what runs, and the numbers of statistics."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spanflow.span_processors.event.event import Event
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.test_statistics_counting import WITHOUT_SHRINKING, count_all, emptied

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
BEGAN = int(NOW.timestamp()) * 1_000_000_000 - 1800 * 1000 * MS
#: Names that mean something to a parser on the way.
ODD = (
    "it's",
    "a 'b' & !c | d:*",
    "back\\slash\\",
    'say "no"',
    "(other)",
    "ваза 東京 🦊",
    "a,b",
    "=x",
    " ",
    "x" * 300,
    "tab\there\nnew line",
)
NAMES = ("tools/call read", "tools/call drop", *ODD)
TYPES = ("tool_call", "auth_check", "span")
GROUPS = ("step", "checkpoint", "tool", "mcp_server", "model")


def step(number: int, event_type: str, name: str, outcome: str = "ok") -> Event:
    start = BEGAN + number * MS
    said = {"flow.data.tool": name, "flow.data.mcp": "qa_mcp"} if event_type == "tool_call" else {}
    return span(
        number, 1, start_ns=start, end_ns=start + MS, event_type=event_type, name=name, outcome=outcome, attributes=said
    )


def flow(number: int, steps: list[tuple[str, str, str]], outcome: str = "ok") -> Any:
    root = span(1, start_ns=BEGAN, end_ns=BEGAN + 900 * MS, name="POST /ask", outcome=outcome)
    return part(number, [root, *(step(at, *made) for at, made in enumerate(steps, start=2))])


def found(viewer: RunningViewer, *keys: str) -> list[int]:
    wanted = "&".join(f"step={quote(key)}" for key in keys)
    return sorted(int(each["flow_id"], 16) for each in viewer.get(f"/api/v1/flows?{wanted}&limit=200")["flows"])


@pytest.mark.parametrize("name", ODD)
def test_a_step_is_found_by_its_whole_name_alone(
    viewer: RunningViewer, postgres_dsn: str, tmp_path: Path, name: str
) -> None:
    with archives_in(postgres_dsn, tmp_path) as archives:
        parts = [
            flow(1, [("tool_call", name, "ok")]),
            flow(2, [("tool_call", f"{name}2", "ok")]) if len(name) < 200 else flow(2, []),
            flow(3, [("auth_check", name, "ok"), ("tool_call", "tools/call read", "error")]),
        ]
        assert deliver(archives.make(), *parts).delivered == 3
    key = f"tool_call:{name[:200]}"
    assert found(viewer, key) == [1]
    assert found(viewer, f"auth_check:{name[:200]}", key) == [1, 3]
    assert found(viewer, "span:POST /ask") == [1, 2, 3]
    assert found(viewer, f"tool_call:{name[:200]}x") == found(viewer, "tool_call:") == []


def test_the_other_spans_of_a_call_are_no_steps(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> None:
    inner = span(3, 2, start_ns=BEGAN + 2 * MS, event_type="tool_call", name="execute_tool read")
    inner["attributes"] = {"gen_ai.tool.name": "read"}
    with archives_in(postgres_dsn, tmp_path) as archives:
        root = span(1, start_ns=BEGAN, end_ns=BEGAN + 9 * MS, name="POST /ask")
        outer = step(2, "tool_call", "read")
        outer["end_ns"] = str(BEGAN + 8 * MS)
        assert deliver(archives.make(), part(1, [root, outer, inner])).delivered == 1
    assert (found(viewer, "tool_call:read"), found(viewer, "tool_call:execute_tool read")) == ([1], [])


def test_words_of_a_search_never_find_the_key_of_a_step(
    viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    with archives_in(postgres_dsn, tmp_path) as archives:
        assert deliver(archives.make(), flow(1, [("tool_call", "read", "ok")])).delivered == 1
    for words, count in (("read", 1), ("tool_call:read", 0), ("=tool_call:read", 0), ("tool_call", 0)):
        answer = viewer.get(f"/api/v1/flows?q={quote(words)}&count=exact")
        assert answer["count"]["value"] == count, words


def test_too_long_a_step_is_refused_by_name(viewer: RunningViewer) -> None:
    answer = viewer.http.get("/api/v1/flows", params={"step": "x" * 402})
    assert (answer.status_code, answer.json()["detail"]) == (422, "step: at most 401 characters.")


def test_a_number_that_may_be_short_says_so_and_checkpoints_are_exact_whatever_spans_there_are(
    viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    with archives_in(postgres_dsn, tmp_path) as archives:
        parts = []
        for number in range(1, 6):
            spans = [("span", f"GET /{number}/{at}", "ok") for at in range(150)]
            parts.append(flow(number, [("tool_call", "read", "ok"), *spans]))
        assert deliver(archives.make(), *parts).delivered == 5
    count_all(postgres_dsn, NOW)
    groups = viewer.get("/api/v1/statistics/steps?group_by=step&limit=500")["groups"]
    numbers = {group["value"]: group["flows"] for group in groups}
    assert numbers["tool_call:read"].keys() == {"count", "link"}
    assert numbers["tool_call:read"]["count"] == len(found(viewer, "tool_call:read")) == 5
    assert numbers["span:(other)"] is None
    assert (numbers["span:POST /ask"]["count"], numbers["span:POST /ask"]["at_least"]) == (5, True)


made_steps = st.lists(
    st.tuples(st.sampled_from(TYPES), st.sampled_from(NAMES), st.sampled_from(("ok", "error", "denied"))), max_size=3
)


@given(st.lists(st.tuples(made_steps, st.sampled_from(("ok", "error", "denied"))), min_size=1, max_size=4))
@settings(
    max_examples=4,
    deadline=None,
    phases=WITHOUT_SHRINKING,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_number_of_random_flows_is_the_count_of_its_list_for_every_grouping(
    viewer: RunningViewer, postgres_dsn: str, tmp_path: Path, made: list[tuple[list[tuple[str, str, str]], str]]
) -> None:
    with emptied(postgres_dsn), archives_in(postgres_dsn, tmp_path / "archive") as archives:
        parts = [flow(number, steps, outcome) for number, (steps, outcome) in enumerate(made, start=1)]
        assert deliver(archives.make(), *parts).delivered == len(parts)
    count_all(postgres_dsn, NOW)
    expected = Counter(key for steps, _ in made for key in {f"{kind}:{name[:200]}" for kind, name, _ in steps})
    # A filter that all flows pass makes the answer be counted from the flows.
    for filters in ("", "&max_duration_ms=100000"):
        for group_by in GROUPS:
            answer = viewer.get(f"/api/v1/statistics/steps?group_by={group_by}&limit=500{filters}")
            for group in answer["groups"]:
                if group["other"] or group["value"] == "span:(other)":  # something may be called so
                    continue
                for name in ("flows", "flows_denied", "flows_failed"):
                    number = group[name]
                    listed = 0
                    if number["link"] is not None:
                        listed = viewer.get(f"{number['link']}&count=exact&limit=1")["count"]["value"]
                    assert number["count"] == listed, (group_by, filters, group)
            if group_by == "step":
                expected.pop("span:(other)", None)
                numbers = {group["value"]: group["flows"]["count"] for group in answer["groups"] if group["flows"]}
                assert numbers == {**expected, "span:POST /ask": len(made)}
