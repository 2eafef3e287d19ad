"""What is known about the connection that a request came in on: who called, whether we trust them, which turn it is."""

from dataclasses import dataclass
from typing import Final

from opentelemetry.context import Context, create_key, get_current, get_value, set_value
from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, set_span_in_context

from spanflow.span_processors.identity import NOBODY, Identity, with_identity

_KEY: Final = create_key("spanflow-edge")
_CALLER: Final = create_key("spanflow-caller")


@dataclass(slots=True, eq=False)
class Edge:
    """One inbound request or connection. It is shared by every task that the request starts."""

    #: Whether the caller's trace context and identity headers are believed.
    trusted: bool = False
    #: Whether it is a connection that carries many turns.
    is_websocket: bool = False
    #: What headers and `identify` said; later turns of the same connection belong to the same person.
    identity: Identity = NOBODY
    #: The server span, once a tracer has made one.
    server_span: Span | None = None
    #: The turn that is under way on a long connection.
    turn: Span | None = None
    #: The context with that turn's span current.
    turn_context: Context | None = None
    #: Messages are read in another task than the one that handles the connection, which cannot see that context.
    reads_elsewhere: bool = False
    #: Why the connection was refused: closed with a code that says so.
    refused: str | None = None
    #: `flow()` has made the automatic turn its own.
    adopted: bool = False


def with_caller(caller: SpanContext, context: Context) -> Context:
    """A context whose next root is linked to `caller`, whose trace it does not join."""
    return set_value(_CALLER, caller, context)


def caller_of(context: Context) -> SpanContext | None:
    value = get_value(_CALLER, context)
    return value if isinstance(value, SpanContext) else None


def root_context(identity: Identity, context: Context) -> Context:
    """A context in which the next span is the root of a flow of its own."""
    return with_identity(identity, set_value(_CALLER, None, set_span_in_context(INVALID_SPAN, context)))


def with_edge(edge: Edge, context: Context | None = None) -> Context:
    return set_value(_KEY, edge, context)


def edge_of(context: Context | None = None) -> Edge | None:
    value = (get_current() if context is None else context).get(_KEY)
    return value if type(value) is Edge else None
