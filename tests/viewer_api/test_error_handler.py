"""A mistake of the viewer itself: whoever asked gets a problem that they can read, and whoever runs it hears of it."""

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from dirty_equals import IsPartialDict
from fastapi import Depends
from fastapi.responses import StreamingResponse
from prometheus_client.parser import text_string_to_metric_families

from spanflow.viewer_api.auth.route_access import Public, RouteAccess
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer

DASHBOARD = "https://dashboard.example"
OPEN = {"dependencies": [Depends(Public())], "include_in_schema": False}


@pytest.fixture
def faulty(make_viewer: MakeViewer) -> RunningViewer:
    """A viewer with two routes that fail: before they have answered, and in the middle of it."""
    viewer = make_viewer(viewer_allowed_origins=(DASHBOARD,))

    async def never() -> None:
        raise LookupError("of no use to strangers")

    async def half() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"the first half"
            raise LookupError("of no use to strangers")

        return StreamingResponse(parts())

    app = viewer.app
    pages = list(app.router.routes)
    app.add_api_route("/api/v1/never", never, **OPEN)
    app.add_api_route("/api/v1/half", half, **OPEN)
    # The pages of the dashboard match everything.
    app.router.routes[:] = app.router.routes[len(pages) :] + pages
    app.state.doors = RouteAccess(app.routes, {"/api/v1/openapi.json": Public()})
    return viewer


def test_a_mistake_is_a_problem_like_every_other(faulty: RunningViewer, caplog: pytest.LogCaptureFixture) -> None:
    answer = faulty.stranger.get("/api/v1/never", headers={"Origin": DASHBOARD})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json() == IsPartialDict(code="internal_error", status=500)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["access-control-allow-origin"] == DASHBOARD
    assert "strangers" not in answer.text
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in logged] == ["Internal error while handling GET /api/v1/never"]
    assert "LookupError: of no use to strangers" in caplog.text


def test_a_mistake_is_counted_as_one(faulty: RunningViewer) -> None:
    faulty.stranger.get("/api/v1/never")
    counted = [
        sample.labels["status"]
        for family in text_string_to_metric_families(faulty.http.get("/metrics").text)
        for sample in family.samples
        if sample.name == "spanflow_viewer_requests_total" and sample.labels["route"] == "/api/v1/never"
    ]
    assert counted == ["500"]


def test_half_an_answer_is_not_taken_for_a_whole_one(faulty: RunningViewer) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        faulty.stranger.get("/api/v1/half")
