"""`/legacy/api/…`: the API's own routes, with answers in the shapes of dashboards that were written before Spanflow."""

from typing import Any, Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from spanflow.viewer_api.auth.route_access import API, inner_path

PREFIX: Final = "/legacy"


class LegacyPrefix:
    """ASGI middleware: takes the prefix away before anything decides by the path, so that the same gate, permissions
    and routes serve both."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            inner = inner_path(scope)
            if inner.startswith(f"{PREFIX}{API}/"):
                folder = scope["path"][: len(scope["path"]) - len(inner)]
                scope["path"] = folder + inner.removeprefix(PREFIX)
                scope["raw_path"] = scope["path"].encode("utf-8")
                scope.setdefault("state", {})["legacy"] = True
        await self._app(scope, receive, send)


def is_legacy(connection: HTTPConnection) -> bool:
    """Whether the answer is for a dashboard that was written before Spanflow."""
    state: dict[str, Any] = connection.scope.get("state", {})
    return bool(state.get("legacy"))
