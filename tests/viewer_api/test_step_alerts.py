"""Rules about how long steps of one kind take, beside how long they usually take."""

from datetime import UTC, datetime
from typing import Any

import pytest

from spanflow.span_processors.identity import Identity
from tests.support.alerts import ALERTS, Clock, Moments, make_rule, state_of
from tests.support.flow_parts import MS, part, span
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, Store
from tests.viewer_api.test_statistics_counting import count_all

CONDITION = {"kind": "step_slower_than_usual", "by": "tool", "name": "search", "alert": 3, "min_samples": 5}


def call(number: int, moments: Moments, ago: float, took_ms: int, tool: str = "search") -> Any:
    """A flow that began so many seconds ago and called a tool."""
    start = moments.started(ago)
    spans = [
        span(number * 10, start_ns=start, end_ns=start + (took_ms + 10) * MS, name="POST /ask"),
        span(
            number * 10 + 1,
            number * 10,
            start_ns=start,
            end_ns=start + took_ms * MS,
            event_type="tool_call",
            name=f"tools/call {tool}",
            attributes={"flow.data.tool": tool},
        ),
    ]
    return part(number, spans, identity=Identity(user_id="7", source="web"))


def counted(dsn: str, clock: Clock) -> None:
    count_all(dsn, datetime.fromtimestamp(clock.now, UTC))


def test_the_p95_of_a_tool_over_so_many_times_its_usual_one(
    watched: tuple[RunningViewer, Moments], store: Store, postgres_dsn: str, clock: Clock
) -> None:
    viewer, moments = watched
    rule = make_rule(viewer, {**CONDITION, "warning": 2})
    other = make_rule(viewer, {**CONDITION, "name": "list"})
    by_step = make_rule(viewer, {**CONDITION, "by": "step", "name": "tool_call:tools/call search"})
    store(*(call(number, moments, 3600, 100) for number in range(1, 9)))
    store(*(call(number, moments, 3600, 100, "list") for number in range(21, 29)))
    store(*(call(number, moments, 300, 250 if number < 36 else 400) for number in range(31, 38)))
    store(*(call(number, moments, 300, 110, "list") for number in range(41, 48)))
    counted(postgres_dsn, clock)
    moments.after(0.5)
    found = state_of(viewer, rule)
    assert (found["state"], found["level"], found["unit"]) == ("firing", "alert", "times usual")
    assert found["value"] == pytest.approx(4, rel=0.05)
    assert state_of(viewer, by_step)["value"] == found["value"]
    assert state_of(viewer, other)["value"] == pytest.approx(1.1, rel=0.05)
    assert state_of(viewer, other)["state"] == "ok"
    # The flows behind it, the slowest first, and the link leads to just these.
    assert len(found["flow_ids"]) == 7
    assert found["flow_ids"][:2] == [f"{36:032x}", f"{37:032x}"]
    listed = viewer.get(found["flows"])["flows"]
    assert sorted(flow["flow_id"] for flow in listed) == sorted(found["flow_ids"])
    by_its_name = state_of(viewer, by_step)
    assert by_its_name["flow_ids"] == found["flow_ids"]
    listed = viewer.get(by_its_name["flows"])["flows"]
    assert sorted(flow["flow_id"] for flow in listed) == sorted(found["flow_ids"])
    preview = viewer.post(f"{ALERTS}/preview", {"name": "x", "condition": {**CONDITION, "warning": 2}})
    assert (preview["fired"], preview["events"][0]["value"]) == (1, found["value"])


def test_a_rule_about_flows_is_narrowed_by_the_step_that_they_have(
    watched: tuple[RunningViewer, Moments], make_flow: MakeFlow, store: Store
) -> None:
    viewer, moments = watched
    search = {"step": ["tool_call:tools/call search"]}
    slow = make_rule(viewer, {"kind": "longer_than", "alert": 200}, filters=search)
    hanging = make_rule(viewer, {"kind": "still_running", "alert": 5}, filters={"step": ["tool_call:drop, then: list"]})
    store(call(1, moments, 100, 300), call(2, moments, 100, 900, "list"), call(3, moments, 100, 50))
    flow = make_flow("7", start_ns=moments.started(30))
    flow.start("root")
    moments.after(0.5)
    found = state_of(viewer, slow)
    assert (found["state"], found["flow_ids"], found["value"]) == ("firing", [f"{1:032x}"], 310)
    assert [each["flow_id"] for each in viewer.get(found["flows"])["flows"]] == [f"{1:032x}"]
    assert state_of(viewer, hanging)["state"] == "ok"
    flow.start("a tool", "root", "tool_call", name="drop, then: list")
    moments.after(10)
    assert state_of(viewer, hanging)["flow_ids"] == [flow.flow_id]


def test_few_steps_say_nothing_but_the_slowest_may_be_one(
    watched: tuple[RunningViewer, Moments], store: Store, postgres_dsn: str, clock: Clock
) -> None:
    viewer, moments = watched
    p95 = make_rule(viewer, CONDITION)
    slowest = make_rule(viewer, {**CONDITION, "of": "slowest"})
    store(*(call(number, moments, 3600, 100) for number in range(1, 5)))
    counted(postgres_dsn, clock)
    moments.after(0.5)
    assert {state_of(viewer, rule)["state"] for rule in (p95, slowest)} == {"no_data"}
    store(call(5, moments, 3600, 100), call(6, moments, 300, 500))
    counted(postgres_dsn, clock)
    moments.after(0.5)
    assert state_of(viewer, p95)["state"] == "no_data"
    found = state_of(viewer, slowest)
    assert (found["state"], found["flow_ids"]) == ("firing", [f"{6:032x}"])
    assert found["value"] == pytest.approx(5, rel=0.05)
    # Ten minutes later it is over.
    moments.after(600)
    assert state_of(viewer, slowest)["state"] == "resolving"


def test_such_a_rule_names_its_steps_and_not_flows(viewer: RunningViewer) -> None:
    for wrong in ({"by": "user"}, {"name": ""}, {"of": "p50"}, {"alert": 1}):
        body = {"name": "x", "condition": {**CONDITION, **wrong}}
        assert viewer.http.post(ALERTS, json=body).status_code == 422
    refused = viewer.http.post(ALERTS, json={"name": "x", "condition": CONDITION, "filters": {"tool": ["search"]}})
    assert refused.status_code == 422
    assert "leave out the filters" in refused.json()["detail"]
