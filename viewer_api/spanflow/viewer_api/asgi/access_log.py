"""Sees every request and socket from the outside: counts them, takes their time, and writes a line about each."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spanflow.span_processors.ids import is_id
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.remote import remote_address
from spanflow.viewer_api.http.trace_links import trace_link
from spanflow.viewer_api.operations.metrics import Metrics

log = logging.getLogger(__name__)

#: The client has gone.
CLIENT_GONE: Final = 499
#: Of an address, so much is written down.
MAX_LOGGED_PATH: Final = 512
_OTHER: Final = "(other)"
_STREAMS: Final = b"text/event-stream"


class AccessLogMiddleware:
    """ASGI middleware, the outermost. The query is never logged: it is private and may hold a token
    that was put there by mistake."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        peers: ProxyPeers,
        trace_url: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._peers = peers
        self._trace_url = trace_url
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = self._monotonic()
        status = CLIENT_GONE
        endless = False

        async def watched(message: Message) -> None:
            nonlocal status, endless
            if message["type"] == "http.response.start":
                status = message["status"]
                endless = any(
                    value.startswith(_STREAMS) for name, value in message["headers"] if name == b"content-type"
                )
            await send(message)

        try:
            with self._metrics.request_running():
                await self._app(scope, receive, watched)
        finally:
            seconds = self._monotonic() - began
            self._metrics.request_done(scope["method"], route_of(scope), status, None if endless else seconds)
            level = logging.INFO if _is_api(scope) or status >= 500 else logging.DEBUG
            if log.isEnabledFor(level):
                fields = {"method": scope["method"], "status": status, **self._about(scope, seconds)}
                log.log(level, "request", extra=fields)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = self._monotonic()
        accepted = False
        code: int | None = None

        async def watched(message: Message) -> None:
            nonlocal accepted, code
            await send(message)
            if message["type"] == "websocket.accept":
                accepted = True
                log.info("socket opened", extra=self._about(scope))
            elif message["type"] == "websocket.close":
                code = message.get("code", 1000)

        async def heard() -> Message:
            nonlocal code
            message = await receive()
            if message["type"] == "websocket.disconnect" and code is None:
                code = message.get("code", 1005)
            return message

        try:
            await self._app(scope, heard, watched)
        finally:
            self._metrics.socket_done(route_of(scope), code if accepted else None)
            what = "socket closed" if accepted else "socket refused"
            log.info(what, extra={"code": code, **self._about(scope, self._monotonic() - began)})

    def _about(self, scope: Scope, seconds: float | None = None) -> dict[str, Any]:
        principal = scope.get("state", {}).get("principal")
        return {
            "path": scope["path"][:MAX_LOGGED_PATH],
            "who": principal.name if principal else None,
            "remote": remote_address(HTTPConnection(scope), self._peers),
            **self._flow(scope),
        } | ({} if seconds is None else {"ms": round(seconds * 1000, 1)})

    def _flow(self, scope: Scope) -> dict[str, str]:
        """The flow that was asked for, and its page in another tool."""
        named = scope.get("path_params", {})
        flow_id = named.get("flow_id", named.get("trace_id"))
        if not isinstance(flow_id, str) or not is_id(flow_id):
            return {}
        return {"flow_id": flow_id, **trace_link(self._trace_url, flow_id)}


def route_of(scope: Scope) -> str:
    """The route's template, which bounds the label cardinality."""
    template = getattr(scope.get("route"), "path", None)
    if template is None:
        return _OTHER
    return "(dashboard)" if template == "/{path:path}" else str(template)


def _is_api(scope: Scope) -> bool:
    return "/api/" in scope["path"]
