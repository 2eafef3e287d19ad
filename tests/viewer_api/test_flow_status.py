"""Whether a flow runs, and how it ended: every page says the same, whatever Redis still has."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis

from spanflow.span_processors import flow_part, names
from spanflow.span_processors.event.event import encode
from spanflow.span_processors.flow_part import FlowPart
from tests.support.flow_writer import FlowWriter
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, Store, of


def handed_over(flow: FlowWriter, reason: str) -> FlowPart:
    """What the flow's process, or a reaper in its place, gives to the archive."""
    times = [int(event["start_ns"]) for event in flow.written]
    times += [int(event["end_ns"]) for event in flow.written if "end_ns" in event]
    whole = {"entries": tuple(map(encode, flow.written)), "started_ns": min(times), "ended_ns": max(times)}
    return FlowPart(flow_id=flow.flow_id, instance_id="p-1", reason=reason, **whole, **of("s-1", conversation_id="c-1"))  # type: ignore[arg-type]


def told(viewer: RunningViewer, flow: FlowWriter) -> dict[str, tuple[Any, ...]]:
    """What each surface says: whether it is open, and its outcome where that is told."""
    listed = viewer.get("/api/v1/flows?user_id=7")["flows"]
    tree = viewer.get(f"/api/v1/flows/{flow.flow_id}/tree")
    flat = viewer.get(f"/api/v1/flows/{flow.flow_id}/flat")
    document = viewer.get(f"/api/v1/flows/{flow.flow_id}")
    (of_user,) = viewer.get("/api/v1/monitoring/flows/7")["flows"]
    of_session = viewer.get("/api/v1/monitoring/flows/session/s-1")
    turns = viewer.get("/api/v1/conversations/c-1")["turns"]
    (session,) = viewer.get("/api/v1/flows/user/7/sessions")["sessions"]
    return {
        "list": tuple((found["open"], found["outcome"]) for found in listed),
        "tree": (tree["open"], tree["outcome"], tree["states"]),
        "flat": (flat["open"], flat["outcome"], flat["states"]),
        "document": (document["open"], document["completed_at"] is None),
        "of user": (of_user["completed_at"] is None,),
        "of session": (of_session["completed_at"] is None,),
        "sessions": (session["completed_at"] is None,),
        "turns": tuple((turn["open"], turn["outcome"]) for turn in turns),
    }


def over(outcome: str, states: dict[str, int]) -> dict[str, tuple[Any, ...]]:
    tree = (False, outcome, states)
    rest = {name: (False,) for name in ("of user", "of session", "sessions")}
    return {
        "list": ((False, outcome),),
        "turns": ((False, outcome),),
        "tree": tree,
        "flat": tree,
        "document": (False, False),
        **rest,
    }


def running(states: dict[str, int]) -> dict[str, tuple[Any, ...]]:
    tree = (True, None, states)
    rest = {name: (True,) for name in ("of user", "of session", "sessions")}
    return {
        "list": ((True, None),),
        "turns": ((True, None),),
        "tree": tree,
        "flat": tree,
        "document": (True, True),
        **rest,
    }


@pytest.fixture
def killed(make_flow: MakeFlow, store: Store) -> Callable[[], FlowWriter]:
    """A flow whose process was killed, and which was archived as interrupted; its stream is there for a while."""

    def make() -> FlowWriter:
        flow = make_flow(start_ns=1_767_614_400_000_000_000, conversation_id="c-1")
        flow.start("root", name="POST /ask")
        flow.step("step", "root", "tool_call")
        flow.start("think", "root", "llm_thinking")
        store(handed_over(flow, flow_part.REAPED))
        flow.close()
        return flow

    return make


def test_an_interrupted_flow_is_interrupted_everywhere_while_its_stream_exists(
    viewer: RunningViewer, killed: Callable[[], FlowWriter]
) -> None:
    assert told(viewer, killed()) == over("interrupted", {"lost": 2, "ended": 1})


def test_so_it_is_while_the_index_still_has_it(viewer: RunningViewer, killed: Callable[[], FlowWriter]) -> None:
    flow = killed()
    flow.open_again()
    assert told(viewer, flow) == over("interrupted", {"lost": 2, "ended": 1})


def test_an_interrupted_flow_whose_process_comes_back_runs(
    viewer: RunningViewer, killed: Callable[[], FlowWriter]
) -> None:
    flow = killed()
    flow.beat()
    flow.step("another", "root", "tool_call")
    expected = running({"ended": 2, "stalled": 2})
    found = told(viewer, flow)
    # How its open spans are does not matter here: they began in January.
    for name in ("tree", "flat"):
        assert found.pop(name)[:2] == expected.pop(name)[:2]
    assert found == expected


def test_a_flow_whose_root_has_ended_is_over_although_a_span_never_ended(
    viewer: RunningViewer, make_flow: MakeFlow, store: Store
) -> None:
    flow = make_flow(start_ns=1_767_614_400_000_000_000, conversation_id="c-1")
    flow.start("root", name="POST /ask")
    flow.start("foreign", "root")
    flow.end("root", name="POST /ask")
    # Handed over while it was idle: then it stays in the index as long as its process lives.
    store(handed_over(flow, flow_part.IDLE))
    flow.beat()
    assert told(viewer, flow) == over("ok", {"ended": 1, "lost": 1})


def test_what_was_trimmed_from_a_long_flow_is_said(
    viewer: RunningViewer, make_flow: MakeFlow, store: Store, redis_url: str
) -> None:
    flow = make_flow(start_ns=1_767_614_400_000_000_000, conversation_id="c-1")
    flow.start("root", name="POST /ask")
    flow.step("step", "root", "tool_call")
    paths = [f"/api/v1/flows/{flow.flow_id}{part}" for part in ("", "/tree", "/flat")]

    def said() -> list[int]:
        (listed,) = viewer.get("/api/v1/flows")["flows"]
        return [listed["cut_spans"], *(viewer.get(path)["cut_spans"] for path in paths)]

    assert said() == [0] * 4
    with redis.Redis.from_url(redis_url) as client:
        client.set(names.flow_told(flow.flow_id, "p-1"), 12_002)
    assert said() == [12_000] * 4
    store(replace(handed_over(flow, flow_part.REAPED), cut_spans=12_000))
    flow.close()
    assert said() == [12_000] * 4
