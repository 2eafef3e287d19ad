"""The gate before every route: nobody is served who is not signed in, and no other site's page.

It stands before routing and before a body is read, so that a route which forgets to ask is still closed.
"""

from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spanflow.viewer_api.auth.authenticator import Authenticator
from spanflow.viewer_api.auth.permissions import Via
from spanflow.viewer_api.problems import Problem, not_signed_in

#: The one door that is open to everybody: exchanging a one-time code.
OPEN: Final = frozenset({("POST", "/api/v1/session")})
MAX_BODY: Final = 256 * 1024
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """ASGI middleware. `scope["state"]["principal"]` is who it is; a socket may also sign in by its first message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or not _inner_path(scope).startswith("/api"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        # Made when the application starts, which is after this middleware.
        authenticator: Authenticator = scope["app"].state.viewer.authenticator
        principal = await authenticator.principal_of(connection)
        scope.setdefault("state", {})["principal"] = principal
        if scope["type"] == "websocket":
            # No socket takes parameters, and the server logs the address: a token that somebody put there must not be.
            scope["query_string"] = b""
            if not authenticator.origins.allow(connection):
                await _refuse_socket(receive, send)
                return
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        by_bearer = principal is not None and principal.via is Via.TOKEN
        problem = None
        if method not in _SAFE and not by_bearer and not authenticator.origins.allow(connection):
            problem = Problem(
                403, "origin_not_allowed", "This origin is not listed in SPANFLOW_VIEWER_ALLOWED_ORIGINS."
            )
        elif principal is None and (method, _inner_path(scope)) not in OPEN:
            problem = not_signed_in()
        elif _declared_length(connection) > MAX_BODY:
            problem = too_large()
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, _limited(receive), send)


def _inner_path(scope: Scope) -> str:
    """The path below the folder that a reverse proxy serves us at."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _declared_length(connection: HTTPConnection) -> int:
    length = connection.headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0


def _limited(receive: Receive) -> Receive:
    """A body without a declared length is counted while it comes."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            raise too_large()
        return message

    return counted


def too_large() -> Problem:
    return Problem(413, "body_too_large", f"A body may have at most {MAX_BODY} bytes.")


async def _refuse_socket(receive: Receive, send: Send) -> None:
    """Closed before it is accepted: the browser sees a failed handshake (403)."""
    await receive()
    await send({"type": "websocket.close", "code": 4403, "reason": "origin_not_allowed"})
