"""Answers about large flows are made in a process of their own, whatever the route, and are the same as small ones."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from spanflow.viewer_api.http.worker_process import WorkerProcess
from tests.support.flow_parts import part, span
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import Store, of

SPANS = 2500
SERVICE = "gateway"
ONE, OTHER = f"{1:032x}", f"{2:032x}"
SEARCHED = f"service={SERVICE}&start=0&end={2**62 // 1000}"
SEARCHED_V3 = (
    f"query.serviceName={SERVICE}&query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2026-02-01T00:00:00Z"
)


def spans_v3(answer: Any) -> int:
    return sum(len(scoped["spans"]) for group in answer["result"]["resourceSpans"] for scoped in group["scopeSpans"])


#: Each with how many spans it shows.
ROUTES: dict[str, Callable[[Any], int]] = {
    f"/api/v1/flows/{ONE}": lambda answer: len(answer["flow_data"]["events"]),
    f"/api/v1/flows/{ONE}/tree": lambda answer: answer["span_count"],
    f"/api/v1/flows/{ONE}/flat": lambda answer: len(answer["spans"]),
    "/api/v1/monitoring/flows/session/s-1": lambda answer: len(answer["flow_data"]["events"]) // 2,
    "/api/v1/flows/session/s-1": lambda answer: len(answer["flows"][0]["flow_data"]["events"]),
    f"/api/v1/flows/compare?a={ONE}&b={OTHER}": lambda answer: answer["a"]["span_count"],
    f"/api/v1/flows/{OTHER}/usual": lambda answer: answer["b"]["span_count"],
    f"/api/v1/flows/{ONE}/export": lambda answer: len(answer["flows"][0]["flow_data"]["events"]),
    f"/api/v1/flows/{ONE}/export?format=chrome": lambda answer: sum(
        each["ph"] == "X" for each in answer["traceEvents"]
    ),
    f"/api/traces/{ONE}": lambda answer: len(answer["data"][0]["spans"]),
    f"/api/v3/traces/{ONE}": lambda answer: spans_v3(answer),
    f"/api/traces?traceID={ONE}&traceID={OTHER}": lambda answer: sum(len(one["spans"]) for one in answer["data"]) // 2,
    f"/api/traces?{SEARCHED}": lambda answer: sum(len(one["spans"]) for one in answer["data"]) // 2,
    f"/api/v3/traces?{SEARCHED_V3}": lambda answer: spans_v3(answer) // 2,
    f"/api/v3/trace-summaries?{SEARCHED_V3}": lambda answer: sum(one["spanCount"] for one in answer["summaries"]) // 2,
    "/api/v1/export?format=json": lambda answer: len(answer["flows"][1]["flow_data"]["events"]),
}


def store_two(store: Store, spans: int) -> None:
    for flow in (1, 2):
        steps = [
            span(number, 1, event_type="tool_call", attributes={"gen_ai.tool.name": "list", "note": "x" * 400})
            for number in range(2, spans + 1)
        ]
        store(part(flow, [span(1, event_type="auth_check"), *steps], **of("s-1")))


def asked(viewer: RunningViewer, store: Store, path: str, spans: int) -> tuple[Any, WorkerProcess]:
    store_two(store, spans)
    answer = viewer.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json(), viewer.app.state.viewer.worker


@pytest.mark.parametrize("path", ROUTES)
def test_a_large_answer_is_made_in_the_worker(viewer: RunningViewer, store: Store, path: str) -> None:
    answer, worker = asked(viewer, store, path, SPANS)
    assert ROUTES[path](answer) == SPANS
    assert worker.started == 1


@pytest.mark.parametrize("path", ROUTES)
def test_a_small_answer_starts_no_process(viewer: RunningViewer, store: Store, path: str) -> None:
    answer, worker = asked(viewer, store, path, 25)
    assert ROUTES[path](answer) == 25
    assert worker.started == 0


def test_a_worker_that_dies_costs_one_answer_of_any_route(viewer: RunningViewer, store: Store) -> None:
    path = f"/api/v1/flows/{ONE}"
    _, worker = asked(viewer, store, path, SPANS)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)  # so that it is in the middle of the next one when it dies
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(viewer.http.get, path)
        eventually(lambda: worker.busy)
        os.kill(worker.pid, signal.SIGKILL)
        assert (answer.result().status_code, answer.result().json()["code"]) == (503, "tree_not_made")
    assert viewer.http.get(path).status_code == 200
