"""Nobody gets anything without a sign-in, and every route asks for its right. A new route has to stand here."""

import re

import pytest
from fastapi.routing import APIRoute
from starlette.routing import WebSocketRoute

from spanflow.viewer_api.app import ROUTERS, api_routes
from spanflow.viewer_api.auth import permissions
from spanflow.viewer_api.auth.permissions import Right
from spanflow.viewer_api.viewer import Needs
from tests.support.viewer_server import RunningViewer

#: Every route, and the right that it asks for. None: being signed in is enough; OPEN: it is for everybody.
OPEN = object()
RIGHTS: dict[tuple[str, str], object] = {
    ("POST", "/api/v1/session"): OPEN,
    ("GET", "/api/v1/session"): None,
    ("DELETE", "/api/v1/session"): None,
    ("POST", "/api/v1/session/codes"): None,
    ("POST", "/api/v1/session/tickets"): None,
    ("POST", "/api/v1/monitoring/enable/{user_id}"): Right.MONITOR,
    ("POST", "/api/v1/monitoring/enable"): Right.MONITOR,
    ("POST", "/api/v1/monitoring/disable/{user_id}"): Right.MONITOR,
    ("POST", "/api/v1/monitoring/disable"): Right.MONITOR,
    ("GET", "/api/v1/monitoring/list"): Right.MONITOR,
    ("GET", "/api/v1/monitoring/users"): Right.READ,
    ("GET", "/api/v1/monitoring/flows/{user_id}"): Right.READ,
    ("GET", "/api/v1/monitoring/flows/session/{session_id}"): Right.READ,
    ("GET", "/api/v1/flows/user/{user_id}/sessions"): Right.READ,
    ("GET", "/api/v1/monitoring/flows/user/{user_id}/sessions"): Right.READ,
    ("GET", "/api/v1/flows/session/{session_id}"): Right.READ,
    ("GET", "/api/v1/flows"): Right.READ,
    ("GET", "/api/v1/flows/{flow_id}"): Right.READ,
    ("GET", "/api/v1/activities/conversations"): Right.READ,
    ("GET", "/api/v1/activities/conversation/{conversation_id}"): Right.READ,
    ("GET", "/api/v1/activities/user/{user_id}"): Right.READ,
    ("GET", "/api/v1/activities/{activity_id}/details"): Right.READ,
    ("GET", "/api/v1/audit"): Right.AUDIT,
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
}
#: Every socket; each asks for the right to look live. `test_sign_in.py` tries them without a sign-in.
SOCKETS = {"/api/v1/live", "/api/v1/ws", "/api/v1/ws/flows/{user_id}"}


def routes() -> dict[tuple[str, str], APIRoute]:
    return {(method, route.path): route for route in api_routes() for method in route.methods or ()}


def a_path(template: str) -> str:
    return re.sub(r"\{[^}]*\}", "7", template)


def test_every_route_stands_in_the_table() -> None:
    assert set(routes()) == set(RIGHTS)
    sockets = {route.path for router in ROUTERS for route in router.routes if isinstance(route, WebSocketRoute)}
    assert sockets == SOCKETS


def test_every_route_asks_for_its_right() -> None:
    asked = {}
    for key, route in routes().items():
        needs = [each.call for each in route.dependant.dependencies if isinstance(each.call, Needs)]
        asked[key] = needs[0].right if needs else OPEN
    assert asked == RIGHTS


def test_a_stranger_is_turned_away_everywhere(viewer: RunningViewer) -> None:
    for (method, template), right in RIGHTS.items():
        response = viewer.stranger.request(method, a_path(template), json={})
        if right is OPEN:
            assert response.status_code in {200, 422}, (method, template)
        else:
            assert (response.status_code, response.json()["code"]) == (401, "not_signed_in"), (method, template)
    for path in ("/api", "/api/v1/openapi.json", "/api/v1/nothing", "/api/v2/flows"):
        assert viewer.stranger.get(path).status_code == 401, path


def test_without_rights_the_routes_that_need_one_are_closed(
    viewer: RunningViewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "rights_of", lambda principal: frozenset())
    for (method, template), needed in RIGHTS.items():
        response = viewer.http.request(method, a_path(template), json={})
        refused = response.status_code == 403
        assert refused == isinstance(needed, Right), (method, template, response.status_code)
        if refused:
            assert response.json()["code"] == "forbidden"
