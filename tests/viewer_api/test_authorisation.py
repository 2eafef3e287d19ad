"""Nobody gets anything without a sign-in. Every route and socket asks for its right; a new one has to stand here."""

import re

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from spanflow.viewer_api import app as app_module
from spanflow.viewer_api.app import create_app
from spanflow.viewer_api.auth import permissions
from spanflow.viewer_api.auth.permissions import Right
from spanflow.viewer_api.auth.route_access import AccessRule, Public, RouteAccess, UndeclaredRoute, every_route
from spanflow.viewer_api.routes.health_routes import MetricsReader
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.viewer import Needs
from tests.support.checkout import ROOT
from tests.support.viewer_server import RunningViewer

#: It is for everybody.
OPEN = "open"
#: Asks by itself: a right, or an address of the settings.
METRICS = "metrics"
SOCKET = "SOCKET"
#: Every route, and the right that it asks for. None: being signed in is enough.
RIGHTS: dict[tuple[str, str], object] = {
    ("GET", "/api/v1/openapi.json"): None,
    ("POST", "/api/v1/session"): OPEN,
    ("GET", "/api/v1/session/methods"): OPEN,
    ("GET", "/api/v1/session/oidc/start"): OPEN,
    ("GET", "/api/v1/session/oidc/callback"): OPEN,
    ("GET", "/api/v1/session"): None,
    ("DELETE", "/api/v1/session"): None,
    ("POST", "/api/v1/session/codes"): None,
    ("POST", "/api/v1/session/tickets"): None,
    ("POST", "/api/v1/monitoring/enable/{user_id}"): Right.MONITOR,
    ("POST", "/api/v1/monitoring/enable"): Right.MONITOR,
    ("POST", "/api/v1/monitoring/extend/{user_id}"): Right.MONITOR,
    ("POST", "/api/v1/monitoring/extend"): Right.MONITOR,
    ("POST", "/api/v1/monitoring/disable/{user_id}"): Right.MONITOR,
    ("POST", "/api/v1/monitoring/disable"): Right.MONITOR,
    ("GET", "/api/v1/monitoring/list"): Right.MONITOR,
    ("GET", "/api/v1/monitoring/policy"): Right.MONITOR,
    ("GET", "/api/v1/monitoring/users"): Right.READ,
    ("GET", "/api/v1/users/{user_id}"): Right.READ,
    ("GET", "/api/v1/users/{user_id}/data"): Right.ERASE,
    ("DELETE", "/api/v1/users/{user_id}/data"): Right.ERASE,
    ("GET", "/api/v1/users/{user_id}/export"): Right.ERASE,
    ("GET", "/api/v1/monitoring/flows/{user_id}"): Right.READ,
    ("GET", "/api/v1/monitoring/flows/session/{session_id}"): Right.READ,
    ("GET", "/api/v1/flows/user/{user_id}/sessions"): Right.READ,
    ("GET", "/api/v1/monitoring/flows/user/{user_id}/sessions"): Right.READ,
    ("GET", "/api/v1/flows/session/{session_id}"): Right.READ,
    ("GET", "/api/v1/flows"): Right.READ,
    ("GET", "/api/v1/flows/compare"): Right.READ,
    ("GET", "/api/v1/flows/{flow_id}/usual"): Right.READ,
    ("GET", "/api/v1/flows/previews"): Right.READ,
    ("GET", "/api/v1/flows/differences"): Right.READ,
    ("POST", "/api/v1/flows/{flow_id}/shares"): Right.SHARE,
    ("GET", "/api/v1/shares"): Right.SHARE,
    ("DELETE", "/api/v1/shares/{link_id}"): Right.SHARE,
    ("GET", "/api/v1/shared/flow"): OPEN,
    ("GET", "/api/v1/filters"): Right.READ,
    ("POST", "/api/v1/filters"): Right.READ,
    ("DELETE", "/api/v1/filters/{filter_id}"): Right.READ,
    ("GET", "/api/v1/flows/{flow_id}/notes"): Right.ANNOTATE,
    ("POST", "/api/v1/flows/{flow_id}/notes"): Right.ANNOTATE,
    ("PUT", "/api/v1/flows/{flow_id}/notes/{note_id}"): Right.ANNOTATE,
    ("DELETE", "/api/v1/flows/{flow_id}/notes/{note_id}"): Right.ANNOTATE,
    ("GET", "/api/v1/flows/{flow_id}"): Right.READ,
    ("GET", "/api/v1/flows/{flow_id}/activities"): Right.READ,
    ("GET", "/api/v1/flows/{flow_id}/tree"): Right.READ,
    ("GET", "/api/v1/flows/{flow_id}/flat"): Right.READ,
    ("GET", "/api/v1/flows/{flow_id}/export"): Right.READ,
    ("GET", "/api/v1/export"): Right.READ,
    ("GET", "/api/v1/playback"): Right.READ,
    ("GET", "/api/v1/conversations"): Right.READ,
    ("GET", "/api/v1/conversations/{conversation_id}"): Right.READ,
    ("GET", "/api/v1/mcp-analytics/overview"): Right.READ,
    ("GET", "/api/v1/mcp-analytics/top-tools"): Right.READ,
    ("GET", "/api/v1/mcp-analytics/top-mcps"): Right.READ,
    ("GET", "/api/v1/mcp-analytics/user-stats"): Right.READ,
    ("GET", "/api/v1/mcp-analytics/team-stats"): Right.READ,
    ("GET", "/api/v1/mcp-analytics/activity-over-time"): Right.READ,
    ("GET", "/api/v1/mcp-analytics/chat-vs-gateway"): Right.READ,
    ("GET", "/api/v1/statistics/steps"): Right.READ,
    ("GET", "/api/v1/statistics/flows"): Right.READ,
    ("GET", "/api/v1/statistics/funnel"): Right.READ,
    ("GET", "/api/v1/alerts"): Right.MONITOR,
    ("POST", "/api/v1/alerts"): Right.MONITOR,
    ("GET", "/api/v1/alerts/events"): Right.MONITOR,
    ("GET", "/api/v1/alerts/deliveries"): Right.MONITOR,
    ("GET", "/api/v1/alerts/losses"): Right.MONITOR,
    ("POST", "/api/v1/alerts/preview"): Right.MONITOR,
    ("GET", "/api/v1/alerts/{rule_id}"): Right.MONITOR,
    ("PUT", "/api/v1/alerts/{rule_id}"): Right.MONITOR,
    ("DELETE", "/api/v1/alerts/{rule_id}"): Right.MONITOR,
    ("POST", "/api/v1/alerts/{rule_id}/snooze"): Right.MONITOR,
    ("GET", "/api/v1/alerts/channels"): Right.MONITOR,
    ("POST", "/api/v1/alerts/channels"): Right.MONITOR,
    ("PUT", "/api/v1/alerts/channels/{channel_id}"): Right.MONITOR,
    ("DELETE", "/api/v1/alerts/channels/{channel_id}"): Right.MONITOR,
    ("POST", "/api/v1/alerts/channels/{channel_id}/test"): Right.MONITOR,
    ("GET", "/api/v1/monitoring/components"): Right.READ,
    ("GET", "/api/v1/activities/conversations"): Right.READ,
    ("GET", "/api/v1/activities/conversation/{conversation_id}"): Right.READ,
    ("GET", "/api/v1/activities/user/{user_id}"): Right.READ,
    ("GET", "/api/v1/activities/{activity_id}/details"): Right.READ,
    ("GET", "/api/v1/audit"): Right.AUDIT,
    ("GET", "/api/v1/live"): Right.LIVE,
    (SOCKET, "/api/v1/live"): Right.LIVE,
    (SOCKET, "/api/v1/ws"): Right.LIVE,
    (SOCKET, "/api/v1/ws/flows/{user_id}"): Right.LIVE,
    ("POST", "/v1/traces"): Right.INGEST,
    ("POST", "/v1/logs"): Right.INGEST,
    ("POST", "/api/v1/import"): Right.INGEST,
    ("GET", "/api/services"): Right.READ,
    ("GET", "/api/services/{service:path}/operations"): Right.READ,
    ("GET", "/api/operations"): Right.READ,
    ("GET", "/api/dependencies"): Right.READ,
    ("GET", "/api/v3/services"): Right.READ,
    ("GET", "/api/v3/operations"): Right.READ,
    ("GET", "/jaeger/api/services"): Right.READ,
    ("GET", "/jaeger/api/services/{service:path}/operations"): Right.READ,
    ("GET", "/jaeger/api/operations"): Right.READ,
    ("GET", "/jaeger/api/dependencies"): Right.READ,
    ("GET", "/jaeger/api/v3/services"): Right.READ,
    ("GET", "/jaeger/api/v3/operations"): Right.READ,
    ("GET", "/api/traces"): Right.READ,
    ("GET", "/api/traces/{trace_id}"): Right.READ,
    ("GET", "/api/v3/traces"): Right.READ,
    ("GET", "/api/v3/traces/{trace_id}"): Right.READ,
    ("GET", "/api/v3/trace-summaries"): Right.READ,
    ("GET", "/jaeger/api/traces"): Right.READ,
    ("GET", "/jaeger/api/traces/{trace_id}"): Right.READ,
    ("GET", "/jaeger/api/v3/traces"): Right.READ,
    ("GET", "/jaeger/api/v3/traces/{trace_id}"): Right.READ,
    ("GET", "/jaeger/api/v3/trace-summaries"): Right.READ,
    ("GET", "/tempo/api/echo"): Right.READ,
    ("GET", "/tempo/api/status/buildinfo"): Right.READ,
    ("GET", "/tempo/api/search"): Right.READ,
    ("GET", "/tempo/api/search/tags"): Right.READ,
    ("GET", "/tempo/api/search/tag/{tag:path}/values"): Right.READ,
    ("GET", "/tempo/api/v2/search/tags"): Right.READ,
    ("GET", "/tempo/api/v2/search/tag/{tag:path}/values"): Right.READ,
    ("GET", "/tempo/api/traces/{trace_id}"): Right.READ,
    ("GET", "/tempo/api/v2/traces/{trace_id}"): Right.READ,
    ("GET", "/tempo/{path:path}"): Right.READ,
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/metrics"): METRICS,
    ("GET", "/docs"): None,
    ("GET", "/docs/style.css"): OPEN,
    ("GET", "/{path:path}"): OPEN,
}
HTTP = {key: right for key, right in RIGHTS.items() if key[0] != SOCKET and key[1].startswith("/api")}


PAGE = ROOT / "docs" / "roles.md"
_ROLES = {
    OPEN: ("yes", "yes", "yes"),
    METRICS: ("no", "yes", "yes"),
    None: ("yes", "yes", "yes"),
    Right.READ: ("own", "named", "all"),
    Right.LIVE: ("own", "named", "all"),
    Right.MONITOR: ("no", "named", "all"),
    Right.ANNOTATE: ("no", "named", "all"),
    Right.SHARE: ("no", "named", "all"),
    Right.AUDIT: ("no", "no", "all"),
    Right.ERASE: ("no", "no", "all"),
    Right.INGEST: ("no", "no", "all"),
}


def a_row(method: str, path: str, right: object) -> str:
    """What the page of roles has to say of a route."""
    name = f"{'WebSocket' if method == SOCKET else method} {path}"
    return f"| `{name}` | {' | '.join(_ROLES[right])} |"  # type: ignore[index]


def declared(app: FastAPI) -> dict[tuple[str, str], AccessRule]:
    doors: RouteAccess = app.state.doors
    found = {}
    for route, declaration in doors.all():
        methods = {SOCKET} if isinstance(route, WebSocketRoute) else set(route.methods or ()) - {"HEAD"}
        found.update({(method, route.path): declaration for method in methods})
    return found


def a_path(template: str) -> str:
    return re.sub(r"\{[^}]*\}", "7", template)


def test_every_route_and_socket_asks_for_its_right() -> None:
    asked: dict[tuple[str, str], object] = {}
    for key, declaration in declared(create_app(ViewerSettings())).items():
        metrics = isinstance(declaration, MetricsReader)
        asked[key] = METRICS if metrics else OPEN if declaration.is_open else declaration.right
    assert asked == RIGHTS


def test_the_list_of_routes_is_the_whole_application() -> None:
    app = create_app(ViewerSettings())
    assert len(list(every_route(app.routes))) == len(list(app.state.doors.all()))
    assert {route.path for route in every_route(app.routes)} == {path for _, path in RIGHTS}


def test_the_page_of_roles_has_every_route() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `\S+ /.*$", page, re.MULTILINE)
    assert rows == [a_row(*key, right) for key, right in RIGHTS.items()]


@pytest.mark.parametrize(
    "route",
    [
        Route("/api/v1/new", lambda request: None),
        WebSocketRoute("/api/v1/new", lambda socket: None),
        Mount("/api/v1/new", Starlette()),
    ],
    ids=["route", "socket", "mount"],
)
def test_a_viewer_with_a_route_that_declares_nothing_does_not_start(
    route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "ROUTERS", (*app_module.ROUTERS, APIRouter(routes=[route])))
    with pytest.raises(UndeclaredRoute, match="/api/v1/new"):
        create_app(ViewerSettings())


def test_a_route_that_declares_two_things_is_refused() -> None:
    router = APIRouter()

    @router.get("/two", dependencies=[Depends(Public()), Depends(Needs(Right.READ))])
    def two() -> None: ...

    with pytest.raises(UndeclaredRoute, match="2 are declared"):
        RouteAccess(router.routes, {})


def test_a_route_that_is_added_later_is_served_to_nobody(viewer: RunningViewer) -> None:
    viewer.app.router.routes.insert(0, Route("/api/v1/late", lambda request: None))
    assert viewer.stranger.get("/api/v1/late").status_code == 401
    late = viewer.http.get("/api/v1/late")
    assert (late.status_code, late.json()["code"]) == (404, "route_not_found")


def test_a_stranger_is_turned_away_everywhere(viewer: RunningViewer) -> None:
    for (method, template), right in HTTP.items():
        response = viewer.stranger.request(method, a_path(template), json={})
        if right is OPEN:
            assert response.status_code in {200, 404, 422}, (method, template)
        else:
            assert (response.status_code, response.json()["code"]) == (401, "not_signed_in"), (method, template)
    for path in ("/api", "/api/v1/openapi.json", "/api/v1/nothing", "/api/v2/flows", "/metrics"):
        assert viewer.stranger.get(path).status_code == 401, path


def test_without_rights_the_routes_that_need_one_are_closed(
    viewer: RunningViewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "rights_of", lambda principal: frozenset())
    for (method, template), needed in HTTP.items():
        response = viewer.http.request(method, a_path(template), json={})
        refused = response.status_code == 403
        assert refused == isinstance(needed, Right), (method, template, response.status_code)
        if refused:
            assert response.json()["code"] == "forbidden"
    assert viewer.http.get("/metrics").status_code == 403
