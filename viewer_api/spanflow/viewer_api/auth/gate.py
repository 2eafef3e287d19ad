"""The gate before every route: refuses requests that are not signed in or come from another site's page.

It runs before routing and before a body is read. A route without declared access is never served.
"""

from contextlib import AsyncExitStack
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spanflow.viewer_api.auth.authenticator import Authenticator
from spanflow.viewer_api.auth.limits import RateLimits
from spanflow.viewer_api.auth.own_cookies import keep_own_cookies
from spanflow.viewer_api.auth.permissions import Principal, Right, Via
from spanflow.viewer_api.auth.route_access import AccessRule, RouteAccess, inner_path, is_api
from spanflow.viewer_api.auth.secret_query import hide_secrets, names_a_secret
from spanflow.viewer_api.http.problems import (
    Problem,
    address_too_long,
    host_not_allowed,
    no_such_address,
    not_signed_in,
)

MAX_BODY: Final = 256 * 1024
#: The longest that a search needs: fifty long names of several kinds and a cursor.
MAX_ADDRESS: Final = 16 * 1024
_SAFE: Final = frozenset({"GET", "HEAD"})
_LIMITED_ELSEWHERE: Final = frozenset({Right.LIVE, Right.INGEST})
#: No browser sends such a credential by itself, so no other site's page can make it do so.
_BEARERS: Final = frozenset({Via.TOKEN, Via.JWT, Via.OIDC})


class Gate:
    """ASGI middleware. `scope["state"]["principal"]` is who it is; a socket may also sign in by its first message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        keep_own_cookies(scope)
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > MAX_ADDRESS:
            await _refuse(address_too_long(), scope, receive, send)
            return
        if scope["type"] == "http":
            hide_secrets(scope, inner_path(scope))
        doors: RouteAccess = scope["app"].state.doors
        declared = doors.of(scope)
        if declared is not None and declared.is_open and not is_api(scope):
            await self._app(scope, receive, send)
            return
        try:
            await self._signed_in(scope)
        except Problem as why:
            await _refuse(why, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._socket(declared, scope, receive, send)
        else:
            await self._request(declared, scope, receive, send)

    @staticmethod
    async def _signed_in(scope: Scope) -> None:
        # Made when the application starts, which is after this middleware.
        authenticator: Authenticator = scope["app"].state.viewer.authenticator
        rates: RateLimits = scope["app"].state.viewer.rates
        principal = await authenticator.principal_of(HTTPConnection(scope))
        scope.setdefault("state", {})["principal"] = principal
        if principal is not None:
            rates.request(principal)

    async def _socket(self, declared: AccessRule | None, scope: Scope, receive: Receive, send: Send) -> None:
        # No socket takes parameters, and the server logs the address: a token that was put there must not be.
        scope["state"]["secret_in_address"] = names_a_secret(scope)
        scope["query_string"] = b""
        if not _origin_allowed(scope):
            await _refuse_socket(receive, send, "origin_not_allowed")
        elif not _by_bearer(scope) and not _host_allowed(scope):
            await _refuse_socket(receive, send, "host_not_allowed")
        elif declared is None:
            await _refuse_socket(receive, send, "route_not_found")
        else:
            await self._app(scope, receive, send)

    async def _request(self, declared: AccessRule | None, scope: Scope, receive: Receive, send: Send) -> None:
        principal: Principal | None = scope["state"]["principal"]
        by_bearer = _by_bearer(scope)
        problem = None
        leads_here = declared is not None and declared.is_open and _leads_here(scope)
        if not by_bearer and not _host_allowed(scope):
            problem = host_not_allowed()
        elif not by_bearer and not leads_here and not _origin_allowed(scope):
            problem = Problem(
                403, "origin_not_allowed", "This origin is not listed in SPANFLOW_VIEWER_ALLOWED_ORIGINS."
            )
        elif principal is None and not (declared is not None and declared.is_open):
            problem = not_signed_in(with_token="authorization" in HTTPConnection(scope).headers)
        elif declared is None:
            problem = no_such_address()
        elif _declared_length(scope) > _most(declared):
            problem = too_large(_most(declared))
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        async with AsyncExitStack() as stack:
            # An endless answer has a limit of its own, as sockets have; so have received spans.
            if principal is not None and not (declared is not None and declared.right in _LIMITED_ELSEWHERE):
                rates: RateLimits = scope["app"].state.viewer.rates
                try:
                    await stack.enter_async_context(rates.turn(principal))
                except Problem as why:
                    await why.response()(scope, receive, send)
                    return
            await self._app(scope, _limited(receive, _most(declared)), send)


def _leads_here(scope: Scope) -> bool:
    """Whether this is a navigation from a link, which any site may have. That site cannot read the answer; but a read
    that shows a user's data would be in the audit log as if it had been intended."""
    return scope["method"] in _SAFE and HTTPConnection(scope).headers.get("sec-fetch-mode") == "navigate"


def _by_bearer(scope: Scope) -> bool:
    principal: Principal | None = scope["state"]["principal"]
    return principal is not None and principal.via in _BEARERS


def _host_allowed(scope: Scope) -> bool:
    authenticator: Authenticator = scope["app"].state.viewer.authenticator
    return authenticator.address.is_own_host(HTTPConnection(scope))


def _origin_allowed(scope: Scope) -> bool:
    authenticator: Authenticator = scope["app"].state.viewer.authenticator
    return authenticator.origins.allow(HTTPConnection(scope))


def _declared_length(scope: Scope) -> int:
    length = HTTPConnection(scope).headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0


def _most(declared: AccessRule | None) -> int:
    return MAX_BODY if declared is None or declared.max_body is None else declared.max_body


def _limited(receive: Receive, most: int) -> Receive:
    """A body without a declared length is counted while it comes."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise too_large(most)
        return message

    return counted


def too_large(most: int) -> Problem:
    return Problem(413, "body_too_large", f"A body may have at most {most} bytes.")


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Say no before the request, or the socket, is accepted."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await _refuse_socket(receive, send, problem.code)
    else:
        await problem.response()(scope, receive, send)


async def _refuse_socket(receive: Receive, send: Send, why: str) -> None:
    """Closed before it is accepted: the browser sees a failed handshake (403)."""
    await receive()
    await send({"type": "websocket.close", "code": 4403, "reason": why})
