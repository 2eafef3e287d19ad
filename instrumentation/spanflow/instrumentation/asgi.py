"""Stands before an ASGI application: says whose request it is and where its flow begins, and touches nothing else.

Every message passes through as the very object that it was. What can fail in here is caught in here.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, get_current_span, set_span_in_context

from spanflow.instrumentation.activation import activate, deactivate
from spanflow.instrumentation.body_user import BodyUser, BodyWatch
from spanflow.instrumentation.collecting import Freezer
from spanflow.instrumentation.edge import Edge, edge_of, with_edge
from spanflow.instrumentation.exporting import flush_exporters
from spanflow.instrumentation.extractors import Extractors, HeaderExtractor, NamedExtractor
from spanflow.instrumentation.first_flow import remove_mark
from spanflow.instrumentation.jwt_claims import JwtClaims
from spanflow.instrumentation.propagation import guard_propagator
from spanflow.instrumentation.route_names import name_mounted
from spanflow.instrumentation.runtime import PipelinePort, runtime, say_once
from spanflow.instrumentation.trusted_peers import TrustedPeers
from spanflow.instrumentation.turns import Handshake, Turns
from spanflow.span_processors import names
from spanflow.span_processors.identity import with_identity
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Marks a scope that has been here: a mounted application is part of the same request.
_SEEN: Final = "spanflow.edge"
_STARTED: Final = "lifespan.startup.complete"
_STOPPED: Final = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed"})
#: Of the time that is left for ending when the pipeline is ready for it.
_FOR_EXPORTERS: Final = 0.6


class EdgeGuard:
    """What is done for every inbound connection of this process."""

    def __init__(self, settings: Settings) -> None:
        claims = JwtClaims.from_settings(settings)
        headers = HeaderExtractor.from_settings(settings)
        self.extractors = Extractors([headers] if claims is None else [claims, headers])
        self._body_user = BodyUser.from_settings(settings)
        self.extractors.add([NamedExtractor(name) for name in settings.extractors])
        self._callers = TrustedPeers(settings.trusted_callers)
        self._join_caller = settings.join_caller
        self._websocket_turns = settings.websocket_turns
        self._flush_timeout = settings.flush_timeout
        self._freezer = Freezer(settings)

    async def __call__(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if _SEEN in scope:
            await app(scope, receive, send)
        elif kind == "lifespan":
            await app(scope, receive, self._watching(send))
        elif kind in ("http", "websocket"):
            await self._guard(app, scope, receive, send)
        else:
            await app(scope, receive, send)

    async def _guard(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            edge, context = await self._open(scope)
        except Exception:
            say_once("edge", "The identity of a request could not be looked at", exc_info=True)
            await app(scope, receive, send)
            return
        token = activate(context)
        try:
            if scope["type"] == "http":
                watch = _Exchange(edge, scope, receive, send, self._body_user)
                await app(scope, watch.receive, watch.send)
            elif self._websocket_turns:
                await _in_turns(app, edge, scope, receive, Handshake(edge, scope, send).send)
            else:
                await app(scope, receive, Handshake(edge, scope, send).send)
        finally:
            deactivate(token)
            if self._freezer.wanted:
                # A server that does not ask whether the application has started.
                self._freeze()

    async def _open(self, scope: Scope) -> tuple[Edge, Context]:
        guard_propagator(self._join_caller)  # the application may have set another one since
        edge = Edge(
            trusted=self._join_caller or self._callers.includes(scope),
            is_websocket=scope["type"] == "websocket",
            identity=await self.extractors.identity(scope),
        )
        scope[_SEEN] = edge
        return edge, with_edge(edge, with_identity(edge.identity, _clean(otel_context.get_current())))

    def _watching(self, send: Send) -> Send:
        """Wait for the last flows while the application stops. At exit it would be too late: no thread starts then.

        The same goes for what is exported: uvicorn ends by the signal that stopped it, and no exit handler runs.
        """

        async def settle_first(message: Message) -> None:
            pipeline = runtime().pipeline
            if message["type"] == _STARTED:
                self._prepare(pipeline)
                self._freeze()
            elif message["type"] in _STOPPED and pipeline is not None:
                try:
                    await asyncio.to_thread(self._end, pipeline)
                except Exception:
                    say_once("flush", "The last flows could not be flushed", exc_info=True)
            await send(message)

        return settle_first

    def _end(self, pipeline: PipelinePort) -> None:
        """One budget for all: where the process goes on to its exit, the pipeline has there what is left of it."""
        deadline = time.monotonic() + self._flush_timeout
        pipeline.prepare_to_end(self._flush_timeout)
        remove_mark()
        flush_exporters(max(0.0, deadline - time.monotonic()) * _FOR_EXPORTERS)

    def _prepare(self, pipeline: PipelinePort | None) -> None:
        """Or who watches the first request would see it late. The application does not wait for it."""
        try:
            if pipeline is not None:
                pipeline.prepare()
        except Exception:
            say_once("prepare", "Spanflow could not be made ready before the first request", exc_info=True)

    def _freeze(self) -> None:
        try:
            self._freezer.application_started()
        except Exception:
            say_once("freeze", "What the application has loaded could not be frozen", exc_info=True)


class EdgeMiddleware:
    """The same for an ASGI application that is not made with FastAPI: `app = EdgeMiddleware(app)`."""

    def __init__(self, app: App, settings: Settings | None = None) -> None:
        self._app = app
        self._guard = EdgeGuard(settings or _settings())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guard(self._app, scope, receive, send)


def _settings() -> Settings:
    """The environment's settings; the defaults, and a line in the log, where those cannot be used."""
    try:
        return Settings.from_environ()
    except SettingsError as mistakes:
        say_once("settings", "Spanflow is off, these settings cannot be used:\n%s", mistakes, level=logging.ERROR)
        return Settings()


def _clean(here: Context) -> Context:
    """A request's own beginning.

    A pipelined request on a kept-alive connection inherits the context of the one before it, whose span is over.
    """
    span = get_current_span(here)
    if not span.get_span_context().is_valid or (span.is_recording() and edge_of(here) is None):
        return here
    return set_span_in_context(INVALID_SPAN, here)


class _Exchange:
    """Watches one request and its response: for its route, for whom its body names, and for a client that leaves."""

    __slots__ = ("_body", "_complete", "_edge", "_left", "_receive", "_scope", "_send")

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send, body_user: BodyUser | None) -> None:
        self._body = None if body_user is None else _watched_body(body_user, edge, scope)
        self._edge = edge
        self._scope = scope
        self._receive = receive
        self._send = send
        self._complete = False
        #: Bytes of the announced length that have not been sent; None where no length was announced.
        self._left: int | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._complete:
            _mark_cancelled(self._edge)
        elif self._body is not None:
            try:
                self._body.add(message)
            except Exception:
                say_once("body", "Whom the body of a request names could not be read", exc_info=True)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and "app_root_path" in self._scope:
            self._name()
        try:
            await self._send(message)
        except OSError:  # how a server of ASGI 2.4 says that the client has gone
            _mark_cancelled(self._edge)
            raise
        if message["type"] == "http.response.body":
            if self._left is not None:
                self._left -= len(message.get("body", b""))
            # Whoever has got the announced length may go, though middleware has yet to send its empty last message.
            self._complete = not message.get("more_body", False) or (self._left is not None and self._left <= 0)
        elif message["type"] == "http.response.start":
            self._left = _announced(message)

    def _name(self) -> None:
        try:
            name_mounted(self._edge, self._scope)
        except Exception:
            say_once("mounted", "The request of a mounted application could not be named", exc_info=True)


def _watched_body(body_user: BodyUser, edge: Edge, scope: Scope) -> BodyWatch | None:
    try:
        return body_user.watch(edge, scope)
    except Exception:
        say_once("body", "Whom the body of a request names could not be read", exc_info=True)
        return None


def _announced(message: Message) -> int | None:
    try:
        return next(
            (int(value) for name, value in message.get("headers", ()) if name.lower() == b"content-length"), None
        )
    except (TypeError, ValueError, AttributeError):
        return None


def _mark_cancelled(edge: Edge) -> None:
    try:
        if edge.server_span is not None and edge.server_span.is_recording():
            edge.server_span.set_attribute(names.ATTR_OUTCOME, names.OUTCOME_CANCELLED)
    except Exception:
        say_once("cancelled", "A client's disconnect could not be recorded", exc_info=True)


async def _in_turns(app: App, edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
    turns = Turns(edge, scope, receive)
    try:
        await app(scope, turns.receive, send)
    except BaseException as error:
        turns.finish(error)
        raise
    finally:
        turns.finish()
