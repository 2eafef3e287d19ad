"""One flow as a tree and as a flat list of its spans."""

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.tree.tree import Outlook
from spanflow.viewer_api.flows.documents import Flow, PackedFlow, from_row
from spanflow.viewer_api.flows.flow_tree import tree_of
from spanflow.viewer_api.http.worker_process import WorkerProcess
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.poll import eventually
from tests.support.query import script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, Store, of

FLOW = f"{1:032x}"
TOKENS = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
CHAT = [
    span(1, name="POST /ask", start_ns=NOON, end_ns=NOON + 100 * MS),
    span(2, 1, event_type="auth_check", start_ns=NOON + MS, end_ns=NOON + 2 * MS),
    span(3, 1, event_type="llm_thinking", start_ns=NOON + 10 * MS, end_ns=NOON + 90 * MS, attributes=TOKENS),
    span(4, 3, name="POST", start_ns=NOON + 20 * MS, end_ns=NOON + 80 * MS, attributes=TOKENS),
    span(5, 4, event_type="tool_call", start_ns=NOON + 30 * MS, end_ns=NOON + 60 * MS, status="error", outcome="error"),
]


def spans_in(tree: dict[str, Any]) -> list[str]:
    found = []
    stack = tree["roots"][::-1]
    while stack:
        node = stack.pop()
        found.append(node["node_id"])
        stack += node["children"][::-1]
    return found


def test_a_tree_says_where_the_time_went_and_what_went_wrong(viewer: RunningViewer, store: Store) -> None:
    store(part(1, CHAT, **of("s1")))
    tree = viewer.get(f"/api/v1/flows/{FLOW}/tree")
    (root,) = tree.pop("roots")
    assert tree == snapshot(
        {
            "flow_id": "00000000000000000000000000000001",
            "session_id": "s1",
            "user_id": 7,
            "conversation_id": None,
            "source": "web",
            "name": "POST /ask",
            "open": False,
            "outcome": "ok",
            "started_at": "2026-01-05T12:00:00Z",
            "completed_at": "2026-01-05T12:00:00.100000Z",
            "duration_ms": 100.0,
            "span_count": 5,
            "cut_spans": 0,
            "checkpoint_count": 3,
            "error_count": 1,
            "tokens_input": 100,
            "tokens_output": 20,
            "cost": None,
            "contents": None,
            "tools": [],
            "models": [],
            "mcp_servers": [],
            "outcome_reason": None,
            "denied_gate": None,
            "denied_reason": None,
            "error_message": None,
            "denied_count": 0,
            "states": {"ended": 5},
            "depth": 4,
            "critical_path": [
                "0000000000000001",
                "0000000000000002",
                "0000000000000003",
                "0000000000000004",
                "0000000000000005",
            ],
        }
    )
    auth, llm = root["children"]
    ((tool,),) = [post["children"] for post in llm["children"]]
    assert {key: tool[key] for key in ("depth", "state", "duration_ms", "self_ms", "critical_ms", "below")} == snapshot(
        {
            "depth": 3,
            "state": "ended",
            "duration_ms": 30.0,
            "self_ms": 30.0,
            "critical_ms": 30.0,
            "below": {"spans": 0, "errors": 1, "denials": 0, "tokens_input": 0, "tokens_output": 0},
        }
    )
    assert root["below"] == snapshot({"spans": 4, "errors": 1, "denials": 0, "tokens_input": 100, "tokens_output": 20})
    assert (auth["below"]["errors"], llm["below"]["errors"]) == (0, 1)
    assert (root["duration_ms"], root["self_ms"]) == (100.0, 19.0)


def test_the_flat_list_has_the_same_spans_in_reading_order(viewer: RunningViewer, store: Store) -> None:
    store(part(1, CHAT, **of("s1")))
    flat, tree = (viewer.get(f"/api/v1/flows/{FLOW}/{view}") for view in ("flat", "tree"))
    assert [row["node_id"] for row in flat["spans"]] == spans_in(tree)
    assert [row["depth"] for row in flat["spans"]] == [0, 1, 1, 2, 3]
    assert {key: flat[key] for key in flat if key != "spans"} == {key: tree[key] for key in tree if key != "roots"}


def test_open_spans_have_a_state(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.start("root", name="POST /ask")
    flow.step("auth", "root", "auth_check")
    flow.start("tool", "root", "tool_call")
    flow.beat()
    tree = viewer.get(f"/api/v1/flows/{flow.flow_id}/tree")
    assert (tree["open"], tree["states"]) == (True, {"running": 2, "ended": 1})
    flow.die()
    assert viewer.get(f"/api/v1/flows/{flow.flow_id}/flat")["states"] == {"lost": 2, "ended": 1}


def test_ten_thousand_spans_and_a_depth_of_a_thousand_come_quickly(viewer: RunningViewer, store: Store) -> None:
    chain = [span(n, n - 1 if n > 1 else None, event_type="step") for n in range(1, 1001)]
    wide = [span(n, n % 1000 + 1, event_type="tool_call") for n in range(1001, 10_001)]
    store(part(1, chain + wide, **of("deep")))
    began = time.monotonic()
    text = viewer.http.get(f"/api/v1/flows/{FLOW}/tree").text
    assert text.count('"children":[') == 10_000
    assert text.count("{") == text.count("}")
    flat = viewer.get(f"/api/v1/flows/{FLOW}/flat")
    assert len(flat["spans"]) == 10_000
    assert (flat["depth"], flat["spans"][0]["below"]["spans"]) == (1001, 9999)
    # A second of CPU; what takes the square of that would take minutes.
    assert time.monotonic() - began < 40


def test_spans_whose_parent_is_missing_and_damaged_data_are_shown(viewer: RunningViewer, store: Store) -> None:
    store(part(1, [span(1), span(3, 2), span(5, 6), span(6, 5)], **of("s1")))
    tree = viewer.get(f"/api/v1/flows/{FLOW}/tree")
    assert sorted(spans_in(tree)) == [f"{n:016x}" for n in (1, 2, 3, 5, 6)]
    marks = {node["node_id"][-1]: (node.get("placeholder"), node.get("in_cycle")) for node in tree["roots"]}
    assert marks == {"1": (None, None), "2": (True, None), "5": (None, True)}


def test_flows_of_older_gateways_are_trees_too(viewer: RunningViewer, postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        "INSERT INTO omni2.interaction_flows (flow_id, user_id, session_id, flow_data) VALUES ('old', '7', 's', "
        """'{"events": [{"node_id": "a", "event_type": "auth_check", "parent_id": null, "timestamp": 1738156800.5},
        {"node_id": "b", "event_type": "tool_call", "parent_id": "a", "timestamp": 1738156801, "tool": "t"}]}'); """
        "INSERT INTO omni2.flow_keys SELECT flow_id, start_key FROM omni2.interaction_flows",
    )
    flat = viewer.get("/api/v1/flows/old/flat")
    assert [(row["node_id"], row["event_type"], row["depth"]) for row in flat["spans"]] == [
        ("a", "auth_check", 0),
        ("b", "tool_call", 1),
    ]


def test_what_is_not_there_and_what_is_no_id_are_told_apart(viewer: RunningViewer) -> None:
    for view in ("tree", "flat"):
        missing = viewer.http.get(f"/api/v1/flows/{FLOW}/{view}")
        assert (missing.status_code, missing.json()["code"]) == (404, "flow_not_found")
        wrong = viewer.http.get(f"/api/v1/flows/%7B/{view}")
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_id")


def test_a_models_call_says_when_its_first_token_came(viewer: RunningViewer, store: Store) -> None:
    waits: list[dict[str, Any]] = [
        {"flow.data.time_to_first_token_ms": 120.5, "gen_ai.response.time_to_first_chunk": 0.1205},
        {"gen_ai.response.time_to_first_chunk": 0.25},
        {"gen_ai.server.time_to_first_token": 2},
        {"gen_ai.response.time_to_first_chunk": "soon"},
        {},
    ]
    calls = [span(2 + place, 1, event_type="llm_thinking", attributes=waited) for place, waited in enumerate(waits)]
    store(part(1, [span(1), *calls], **of("s1")))
    (root,) = viewer.get(f"/api/v1/flows/{FLOW}/tree")["roots"]
    assert [call.get("first_token_ms") for call in root["children"]] == [120.5, 250.0, 2000.0, None, None]


def test_large_trees_are_made_one_at_a_time_and_once_for_all_who_wait(
    viewer: RunningViewer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flow in (1, 2):
        store(part(flow, [span(1), *(span(number, 1) for number in range(2, 3001))], **of("s-1")))
    worker: WorkerProcess = viewer.app.state.viewer.worker
    run = worker.run
    made: list[str] = []
    at_once: list[int] = []
    making = 0

    async def counted(function: Any, packed: PackedFlow, *more: Any) -> bytes:
        nonlocal making
        making += 1
        at_once.append(making)
        made.append(packed.flow.flow_id)
        try:
            return await run(function, packed, *more)
        finally:
            making -= 1

    monkeypatch.setattr(worker, "run", counted)
    paths = [f"/api/v1/flows/{1:032x}/tree"] * 6 + [f"/api/v1/flows/{2:032x}/tree"]
    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(viewer.http.get, paths))
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["span_count"] for answer in answers] == [3000] * 7
    assert max(at_once) == 1
    assert len(made) < len(paths), "what several wait for at the same time is made once"
    before = len(made)
    assert viewer.get(paths[0])["span_count"] == 3000
    assert len(made) == before + 1, "nothing is kept when nobody waits"
    assert worker.started == 1, "one process makes them all"


def test_a_large_tree_is_the_one_that_a_thread_would_make(viewer: RunningViewer, store: Store) -> None:
    """Whether it is large decides where it is made, and nothing else."""
    calls = [span(number, number // 2, name=f"step {number}") for number in range(2, 1101)]
    store(part(1, [span(1), *calls], **of("s1")))
    worker: WorkerProcess = viewer.app.state.viewer.worker
    flow = asyncio.run(_stored(viewer))
    for form in ("tree", "flat"):
        shown = viewer.http.get(f"/api/v1/flows/{FLOW}/{form}").content
        assert shown == tree_of(flow, Outlook(alive=frozenset())).json("nested" if form == "tree" else "flat")
    assert worker.started == 1


async def _stored(viewer: RunningViewer) -> Flow:
    connection = await asyncpg.connect(viewer.settings.postgres_dsn)
    try:
        row = await connection.fetchrow("SELECT * FROM omni2.interaction_flows")
    finally:
        await connection.close()
    assert row is not None
    return from_row(row)


def test_a_large_flow_that_is_not_stored_yet_is_made_in_the_worker_as_well(
    viewer: RunningViewer, make_flow: MakeFlow
) -> None:
    running = make_flow("7")
    running.start("root", None)
    for number in range(600):
        running.step(f"step{number}", "root", "tool_call", tool="list")
    tree = viewer.get(f"/api/v1/flows/{running.flow_id}/tree")
    assert (tree["span_count"], tree["open"]) == (601, True)
    assert viewer.app.state.viewer.worker.started == 1


def test_a_worker_that_dies_costs_one_answer(viewer: RunningViewer, store: Store) -> None:
    store(part(1, [span(1), *(span(number, 1) for number in range(2, 1101))], **of("s1")))
    worker: WorkerProcess = viewer.app.state.viewer.worker
    path = f"/api/v1/flows/{FLOW}/tree"
    assert viewer.get(path)["span_count"] == 1100
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)  # so that it is in the middle of the next one when it dies
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(viewer.http.get, path)
        eventually(lambda: worker.busy)
        os.kill(worker.pid, signal.SIGKILL)
        assert (answer.result().status_code, answer.result().json()["code"]) == (503, "tree_not_made")
    assert viewer.get(path)["span_count"] == 1100
    assert worker.started == 2
