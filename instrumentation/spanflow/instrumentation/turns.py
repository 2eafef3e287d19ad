"""Turns of a WebSocket: each message that comes in begins a flow of its own, without a change to the gateway's code.

Otherwise a chat is one trace that ends when the browser is closed. The turn lasts until the gateway reads the next
message; a read in the middle of a step (asking the person back) belongs to that step's turn.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.trace import Link, Span, SpanKind, get_current_span, set_span_in_context

from spanflow.instrumentation.activation import AnyToken, activate, deactivate
from spanflow.instrumentation.edge import Edge, root_context
from spanflow.instrumentation.identify import inherited_identity
from spanflow.instrumentation.outcome import is_cancellation, record_error
from spanflow.instrumentation.route_names import name_mounted
from spanflow.instrumentation.runtime import runtime, say_once
from spanflow.instrumentation.semantics import OPENINFERENCE_KIND, TURN
from spanflow.instrumentation.values import text_value
from spanflow.span_processors import names

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_HTTP: Final = "HTTP "
_CONNECT: Final = "websocket.connect"
_MESSAGE: Final = "websocket.receive"
_CLOSE: Final = "websocket.close"
_ANSWER: Final = "websocket.http.response.start"
_NORMAL: Final = 1000
#: RFC 6455's policy violation, and what WebSocket protocols make of 401, 403 and 429.
_REFUSING: Final = frozenset({1008, 4401, 4403, 4429})


class Turns:
    """The turns of one connection, seen from its `receive`."""

    def __init__(self, edge: Edge, scope: MutableMapping[str, Any], receive: Receive) -> None:
        self._edge = edge
        self._scope = scope
        self._receive = receive
        self._handler = asyncio.current_task()
        self._token: AnyToken | None = None

    async def receive(self) -> Message:
        between = self._between_turns()
        message = await self._receive()
        try:
            if message["type"] == _CONNECT:
                name_connection(self._edge)
            elif between and message["type"] == _MESSAGE:
                self._begin()
        except Exception:
            say_once("turn", "A turn of a WebSocket could not be started", exc_info=True)
        return message

    def _between_turns(self) -> bool:
        """Whether the next message begins a turn; then the one before is over."""
        try:
            if self._within_turn():
                return False
            self.finish()
        except Exception:
            say_once("turn end", "A turn of a WebSocket could not be ended", exc_info=True)
        return True

    def finish(self, error: BaseException | None = None) -> None:
        """The turn that is under way is over."""
        if self._token is not None:
            deactivate(self._token)
            self._token = None
        turn, self._edge.turn, self._edge.turn_context = self._edge.turn, None, None
        if turn is None or not turn.is_recording():
            return
        try:
            if error is None and self._edge.refused is not None:
                turn.set_attributes(_denial(self._edge.refused))
            else:
                turn.set_attribute(names.ATTR_OUTCOME, _outcome(turn, error))
            turn.end()
        except Exception:
            say_once("turn end", "A turn of a WebSocket could not be ended", exc_info=True)

    def _within_turn(self) -> bool:
        """Whether this read happens inside a step of a turn, or inside a `flow()` that the gateway made itself."""
        here = get_current_span()
        if not here.is_recording():
            return False
        if here is self._edge.turn:
            return self._edge.adopted
        connection = self._edge.server_span
        return connection is None or here.get_span_context().trace_id != connection.get_span_context().trace_id

    def _begin(self) -> None:
        edge = self._edge
        if edge.server_span is None:
            return  # the connection is not traced (an excluded URL), so its messages are not either
        here = otel_context.get_current()
        connection = get_current_span(here).get_span_context()
        context = root_context(inherited_identity(here), here)
        now = runtime()
        route = getattr(self._scope.get("route"), "path", None) or self._scope.get("path", "")
        attributes = {
            "network.protocol.name": "websocket",
            "http.route": route,
            **TURN.fixed,
            **({OPENINFERENCE_KIND: TURN.openinference_kind} if now.openinference else {}),
        }
        turn = now.tracer().start_span(
            f"WS {route} message",
            context=context,
            kind=SpanKind.SERVER,
            attributes=attributes,
            links=(Link(connection, {"flow.link": "connection"}),) if connection.is_valid else (),
        )
        edge.turn = turn
        edge.adopted = False
        edge.turn_context = set_span_in_context(turn, context)
        edge.reads_elsewhere = asyncio.current_task() is not self._handler
        self._token = activate(edge.turn_context)


class Handshake:
    """Notes on the connection's span that it was refused: closed or answered before it was accepted, or closed later
    with a code that says so."""

    def __init__(self, edge: Edge, scope: MutableMapping[str, Any], send: Send) -> None:
        self._edge = edge
        self._scope = scope
        self._send = send
        self._undecided = True

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self._undecided or kind == _CLOSE:
            try:
                self._look_at(kind, message)
            except Exception:
                say_once("handshake", "The refusal of a WebSocket could not be recorded", exc_info=True)
        await self._send(message)

    def _look_at(self, kind: str, message: Message) -> None:
        undecided, self._undecided = self._undecided, False
        connection = self._edge.server_span
        if connection is None:
            return
        if undecided:
            name_connection(self._edge)
            name_mounted(self._edge, self._scope)
        if kind == _CLOSE and message.get("code", _NORMAL) in _REFUSING:
            reason = runtime().clean_text(
                text_value(message.get("reason") or f"closed with code {message['code']}"), 256
            )
            self._edge.refused = reason
            if not undecided:
                connection.set_attributes(_denial(reason))
        if undecided and kind in (_CLOSE, _ANSWER):
            # What a server makes of a close is 403.
            connection.set_attribute("http.response.status_code", message["status"] if kind == _ANSWER else 403)
            if self._edge.refused is not None:
                connection.set_attribute(names.ATTR_DENIED_REASON, self._edge.refused)


def _denial(reason: str) -> dict[str, str]:
    return {names.ATTR_OUTCOME: names.OUTCOME_DENIED, names.ATTR_DENIED_REASON: reason}


def name_connection(edge: Edge) -> None:
    """OpenTelemetry's FastAPI instrumentation names a WebSocket `HTTP /chat`, before 0.50b0 `/chat`."""
    span = edge.server_span
    name = getattr(span, "name", "")
    if span is None or not name.startswith((_HTTP, "/")):
        return
    span.update_name("WS " + name.removeprefix(_HTTP))
    pipeline = runtime().pipeline
    if pipeline is not None:
        pipeline.span_updated(span)


def _outcome(turn: Span, error: BaseException | None) -> str:
    if error is None:
        return names.OUTCOME_OK
    if is_cancellation(error):
        return names.OUTCOME_CANCELLED
    record_error(turn, error, runtime())
    return names.OUTCOME_ERROR
