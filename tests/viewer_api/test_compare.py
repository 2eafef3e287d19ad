"""Two flows beside each other."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.tree import NOTHING_KNOWN
from spanflow.viewer_api.analysis.alignment import aligned
from spanflow.viewer_api.analysis.comparison import compare
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.flows.flow_tree import FlowTree, tree_of
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, Store, of

A, B = f"{1:032x}", f"{2:032x}"


def step(number: int, parent: int | None, start: float, end: float, **fields: Any) -> Event:
    """A span from `start` to `end`, in milliseconds after noon."""
    times: dict[str, Any] = {"start_ns": NOON + round(start * MS), "end_ns": NOON + round(end * MS)}
    return span(number, parent, **times, **fields)


def tree(*spans: Event) -> FlowTree:
    document = flow_data.build(A, list(spans))
    return tree_of(Flow(A, None, None, None, None, None, None, False, document), NOTHING_KNOWN)


def told(rows: list[dict[str, Any]]) -> list[str]:
    """Each row in a few words."""

    def took(side: dict[str, Any] | None) -> str:
        if side is None:
            return "-"
        return f"{side['count']}x{side['p50_ms']:g}" if "count" in side else f"{side['duration_ms']:g}"

    return [
        f"{'  ' * row['depth']}{row.get('subject') or row['kind']}: {row['status']} {took(row['a'])} {took(row['b'])}"
        for row in rows
    ]


def tool(number: int, parent: int, start: float, end: float, name: str, **arguments: Any) -> Event:
    attributes: dict[str, Any] = {"gen_ai.tool.name": name}
    if arguments:
        attributes["gen_ai.tool.call.arguments"] = json.dumps(arguments)
    return step(number, parent, start, end, event_type="tool_call", name=f"tools/call {name}", attributes=attributes)


def model(number: int, parent: int, start: float, end: float, name: str) -> Event:
    attributes = {"gen_ai.request.model": name}
    return step(number, parent, start, end, event_type="llm_thinking", name=f"chat {name}", attributes=attributes)


def test_every_step_is_the_same_slower_faster_changed_new_or_gone() -> None:
    one = tree(
        step(1, None, 0, 100, name="POST /ask"),
        step(2, 1, 0, 5, event_type="auth_check", name="auth"),
        model(3, 1, 5, 45, "small"),
        tool(4, 1, 45, 65, "list", limit=10),
        step(5, 1, 65, 70, name="gone"),
        tool(6, 1, 70, 100, "read"),
    )
    other = tree(
        step(1, None, 0, 120, name="POST /ask"),
        step(2, 1, 0, 5, event_type="auth_check", name="auth"),
        model(3, 1, 5, 25, "large"),
        tool(4, 1, 45, 65, "list", limit=20, deep={"more": True}),
        tool(6, 1, 65, 110, "read"),
        step(7, 1, 110, 120, name="new"),
    )
    found = compare(one, other)
    assert told(found["rows"]) == snapshot(
        [
            "POST /ask: slower 100 120",
            "  auth: same 5 5",
            "  large: changed 40 20",
            "  waiting: slower 0 20",
            "  list: changed 20 20",
            "  gone: removed 5 -",
            "  read: slower 30 45",
            "  new: added - 10",
        ]
    )
    assert found["counts"] == {"same": 1, "slower": 2, "faster": 0, "changed": 2, "added": 1, "removed": 1}
    assert (found["delta_ms"], found["delta_percent"]) == (20.0, 20.0)
    rows = {row.get("subject"): row for row in found["rows"]}
    assert rows["list"]["differences"] == [
        {"path": "gen_ai.tool.call.arguments.deep", "a": None, "b": '{"more":true}'},
        {"path": "gen_ai.tool.call.arguments.limit", "a": 10, "b": 20},
    ]
    assert rows["large"]["differences"] == [{"path": "gen_ai.request.model", "a": "small", "b": "large"}]
    assert (rows["large"]["delta_ms"], rows["large"]["delta_percent"], rows["large"]["pace"]) == (
        -20.0,
        -50.0,
        "faster",
    )
    # The root's own time is where the flow waited: 20 ms more of it.
    assert [found["rows"][place].get("subject") for place in found["biggest"]] == [
        "POST /ask",
        "large",
        "read",
        "new",
        "gone",
    ]


def test_a_changed_argument_is_told_once_however_many_instrumentations_recorded_it() -> None:
    def called(limit: int, text: str) -> FlowTree:
        arguments = {"limit": limit, "deep": {"text": text, "same": 1}}
        attributes: dict[str, Any] = {
            "gen_ai.tool.name": "list",
            "gen_ai.tool.call.arguments": json.dumps(arguments),
            "flow.data.args": arguments,
            # Some record the whole call.
            "input.value": json.dumps({"name": "list", "arguments": {**arguments, "page": limit}}),
            "http.status": limit,
        }
        return tree(step(1, None, 0, 9), step(2, 1, 0, 9, event_type="tool_call", name="call", attributes=attributes))

    found = compare(called(10, "a"), called(20, "b"))
    assert [each["path"] for each in found["rows"][1]["differences"]] == [
        "flow.data.args.deep.text",
        "flow.data.args.limit",
        "input.value.arguments.page",
        "http.status",
    ]


def test_a_flow_is_the_same_as_itself() -> None:
    one = tree(step(1, None, 0, 30), tool(2, 1, 5, 10, "list", limit=1), step(3, None, 31, 32))
    found = compare(one, one)
    assert {row["status"] for row in found["rows"]} == {"same"}
    assert [row["differences"] for row in found["rows"] if "differences" in row] == [[], [], []]
    assert (found["delta_ms"], found["biggest"]) == (0.0, [])


def test_the_halves_of_one_call_are_one_step() -> None:
    def call(*, halves: bool) -> FlowTree:
        spans = [step(1, None, 0, 50, name="POST /ask"), tool(2, 1, 0, 40, "list")]
        if halves:
            spans += [
                step(3, 2, 1, 39, kind="client", name="POST"),
                step(4, 3, 2, 38, kind="server", name="POST /mcp", process="p2"),
                {**tool(5, 4, 3, 37, "list"), "process": "p2"},
                step(6, 5, 4, 30, name="SELECT", process="p2"),
            ]
        return tree(*spans)

    found = compare(call(halves=True), call(halves=True))
    assert told(found["rows"]) == snapshot(
        [
            "POST /ask: same 50 50",
            "  list: same 40 40",
            "    waiting: same 1 1",
            "    POST: same 38 38",
            "      waiting: same 3 3",
            "      SELECT: same 26 26",
            "      waiting: same 9 9",
            "    waiting: same 1 1",
            "  waiting: same 10 10",
        ]
    )
    assert found["rows"][1]["a"]["halves"] == [f"{5:016x}"]
    assert found["rows"][3]["a"]["halves"] == [f"{4:016x}"]
    untraced = compare(call(halves=False), call(halves=True))["rows"]
    assert untraced[1]["status"] == "same"


def test_five_equal_steps_in_a_row_are_compared_as_a_whole() -> None:
    def polling(count: int, each: float) -> FlowTree:
        calls = [tool(10 + n, 1, n * 10, n * 10 + each + n / 10, "poll") for n in range(count)]
        return tree(step(1, None, 0, 200), *calls)

    (run,) = [row for row in compare(polling(7, 2), polling(3, 6))["rows"] if row["kind"] == "run"]
    node_ids = [f"{10 + n:016x}" for n in range(7)]
    assert run == snapshot(
        {
            "kind": "run",
            "depth": 1,
            "status": "slower",
            "event_type": "tool_call",
            "name": "tools/call poll",
            "subject": "poll",
            "a": {
                "count": 7,
                "total_ms": 16.1,
                "min_ms": 2.0,
                "p50_ms": 2.3,
                "p95_ms": 2.6,
                "max_ms": 2.6,
                "errors": 0,
                "node_ids": node_ids,
            },
            "b": {
                "count": 3,
                "total_ms": 18.3,
                "min_ms": 6.0,
                "p50_ms": 6.1,
                "p95_ms": 6.2,
                "max_ms": 6.2,
                "errors": 0,
                "node_ids": node_ids[:3],
            },
            "delta_ms": 3.8,
            "delta_percent": 165.2,
            "pace": "slower",
        }
    )
    four = compare(polling(4, 2), polling(4, 2))["rows"]
    assert [row["kind"] for row in four].count("step") == 5


KEYS = st.lists(st.sampled_from("abc"), max_size=12)


@given(KEYS, KEYS, st.integers(1, 400))
def test_an_alignment_has_every_member_once_and_in_order(one: list[str], other: list[str], times: int) -> None:
    one, other = one * times, other * times
    pairs = aligned(one, other)
    assert [a for a, _ in pairs if a is not None] == list(range(len(one)))
    assert [b for _, b in pairs if b is not None] == list(range(len(other)))
    assert all(one[a] == other[b] for a, b in pairs if a is not None and b is not None)
    if one == other:
        assert all(a == b for a, b in pairs)


@pytest.mark.parametrize("shape", ["wide", "deep", "mixed", "reversed"])
def test_two_flows_of_ten_thousand_spans_are_compared_at_once(shape: str) -> None:
    def flow(shift: int) -> FlowTree:
        spans = [step(1, None, 0, 100_000)]
        for number in range(2, 10_001):
            parent = number - 1 if shape == "deep" else 1
            name = {"wide": number % 7, "deep": 0, "mixed": (number * 7919 + shift * number) % 31, "reversed": number}
            label = 20_000 - number if shape == "reversed" and shift else name[shape]
            start = number * 10 if shape != "deep" else number / 100
            spans.append(step(number, parent, start, start + 5 + shift, name=f"step {label}"))
        return tree(*spans)

    one, other = flow(0), flow(1)
    began = time.process_time()
    rows = compare(one, other)["rows"]
    assert time.process_time() - began < 2.0
    assert len(rows) > 5_000


def test_past_flows_are_compared_and_both_reads_are_written_down(
    viewer: RunningViewer, store: Store, postgres_dsn: str
) -> None:
    store(
        part(1, [step(1, None, 0, 10, name="POST /ask"), tool(2, 1, 2, 8, "list")], **of("s1", "7")),
        part(2, [step(1, None, 0, 20, name="POST /ask"), tool(2, 1, 2, 18, "list")], **of("s2", "8")),
    )
    found = viewer.get(f"/api/v1/flows/compare?a={A}&b={B}")
    assert told(found["rows"]) == snapshot(
        [
            "POST /ask: slower 10 20",
            "  waiting: same 2 2",
            "  list: slower 6 16",
            "  waiting: same 2 2",
        ]
    )
    assert (found["a"]["flow_id"], found["b"]["flow_id"]) == (A, B)
    rows = query(postgres_dsn, "SELECT target_user, target FROM omni2.audit_log WHERE action = 'flow_compared'")
    assert sorted((row["target_user"], row["target"]) for row in rows) == [("7", A), ("8", B)]


def test_a_running_flow_is_compared_with_a_past_one(viewer: RunningViewer, store: Store, make_flow: MakeFlow) -> None:
    store(part(1, [step(1, None, 0, 10, name="POST /ask")], **of("s1", "7")))
    running = make_flow("7")
    running.start(f"{1:016x}", name="POST /ask")
    (row,) = viewer.get(f"/api/v1/flows/compare?a={A}&b={running.flow_id}")["rows"]
    assert row["subject"] == "POST /ask"
    assert (row["a"]["open"], row["b"]["open"]) == (False, True)


def test_what_cannot_be_compared_is_refused(viewer: RunningViewer, store: Store) -> None:
    store(part(1, [span(1)]))
    for params, status, code in (
        ({"a": A, "b": B}, 404, "flow_not_found"),
        ({"a": A}, 422, "invalid_request"),
        ({"a": A, "b": "{}"}, 422, "invalid_id"),
    ):
        response = viewer.http.get("/api/v1/flows/compare", params=params)
        assert (response.status_code, response.json()["code"]) == (status, code), params
