"""The past, played again as the live socket sent it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.viewer_api.analysis.playback import moments_of
from tests.support.event_strategies import events
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, Store, of

A, B = f"{1:032x}", f"{2:032x}"


@given(st.lists(events(), max_size=20))
def test_the_end_of_a_playback_is_the_stored_tree(given_events: list[Event]) -> None:
    entries = FlowReducer(given_events).entries()
    moments = moments_of({A: entries}, {"flow_id": A})
    played = FlowReducer()
    for moment in moments:
        for event in moment.message.get("events", ()):
            played.add(event)
    assert played.tree().rows() == FlowReducer(entries).tree().rows()
    assert [moment.at_ns for moment in moments] == sorted(moment.at_ns for moment in moments)


def flow(number: int, at: int, user: str = "7") -> Any:
    start = NOON + at * MS
    spans = [
        span(1, name="POST /ask", start_ns=start, end_ns=start + 100 * MS),
        span(2, 1, event_type="tool_call", start_ns=start + 10 * MS, end_ns=start + 60 * MS),
    ]
    return part(number, spans, **of("s1", user, conversation_id="c1"))


def told(found: dict[str, Any]) -> list[tuple[float, str]]:
    lines = []
    for each in found["messages"]:
        message = each["message"]
        what = [f"{event['phase']} {event['node_id'][-1]}" for event in message.get("events", ())]
        lines.append((each["at_ms"], ", ".join(what) or ("open" if message["open"] else "complete")))
    return lines


def test_a_flow_is_played_in_the_order_of_time(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    store(flow(1, 0))
    found = viewer.get(f"/api/v1/playback?flow_id={A}")
    assert told(found) == [
        (0.0, "open"),
        (0.0, "start 1"),
        (10.0, "start 2"),
        (60.0, "end 2"),
        (100.0, "end 1"),
        (100.0, "complete"),
    ]
    assert (found["duration_ms"], found["total"], found["next"]) == (100.0, 6, None)
    assert found["messages"][1]["message"]["flow_id"] == A
    page = viewer.get(f"/api/v1/playback?flow_id={A}&first=4&limit=1")
    assert (told(page), page["next"]) == ([(100.0, "end 1")], 5)
    rows = query(postgres_dsn, "SELECT target_user, target FROM omni2.audit_log WHERE action = 'playback_read'")
    assert [(row["target_user"], row["target"]) for row in rows] == [("7", A)]


def test_flows_of_a_user_or_conversation_are_played_as_they_ran(viewer: RunningViewer, store: Store) -> None:
    store(flow(1, 0), flow(2, 50), flow(3, 0, "8"))
    found = viewer.get("/api/v1/playback?user_id=7&since=2026-01-05")
    assert found["flows"] == [A, B]
    assert told(found)[:6] == [
        (0.0, "open"),
        (0.0, "start 1"),
        (10.0, "start 2"),
        (50.0, "open"),
        (50.0, "start 1"),
        (60.0, "start 2, end 2"),
    ]
    assert found["messages"][0]["message"]["user_id"] == 7
    assert viewer.get("/api/v1/playback?conversation_id=c1")["flows"][:1] == [A]
    assert viewer.get("/api/v1/playback?user_id=9")["messages"] == []


def test_further_pages_are_of_the_same_recording(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    """A span that ends between two pages would move what is still to come: a message would be missing."""
    flow = make_flow("7")
    flow.start("root")
    for number in range(3):
        flow.start(f"step {number}", "root")
    page = viewer.get(f"/api/v1/playback?flow_id={flow.flow_id}&limit=2")
    further = f"/api/v1/playback?flow_id={flow.flow_id}&limit=2&first={page['next']}&recording={page['recording']}"
    assert viewer.get(further)["recording"] == page["recording"]
    flow.end("step 0", "root")
    changed = viewer.http.get(further)
    assert (changed.status_code, changed.json()["code"]) == (409, "playback_changed")
    again = viewer.get(f"/api/v1/playback?flow_id={flow.flow_id}")
    assert again["recording"] != page["recording"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [("", 422), ("flow_id=a&user_id=7", 422), (f"flow_id={A}&since=2026-01-01", 422), (f"flow_id={A}", 404)],
)
def test_what_cannot_be_played_is_refused(viewer: RunningViewer, asked: str, status: int) -> None:
    assert viewer.http.get(f"/api/v1/playback?{asked}").status_code == status


def test_a_large_flow_is_played_by_the_worker(viewer: RunningViewer, store: Store) -> None:
    """In the viewer's own process, all other requests would wait as long."""
    text = {"http.url": "x" * 4000}
    calls = [span(number, 1, event_type="tool_call", attributes=text) for number in range(2, 402)]
    store(part(1, [span(1, name="POST /ask"), *calls], **of("s1", "7")))
    played = viewer.get(f"/api/v1/playback?flow_id={A}&limit=1")
    assert (played["flows"], len(played["messages"]), played["next"]) == ([A], 1, 1)
    assert viewer.app.state.viewer.worker.started == 1
