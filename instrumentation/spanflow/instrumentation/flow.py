"""`flow`: a flow of its own for one chat turn, linked to what was going on around it."""

from collections.abc import Mapping
from typing import Any, Self

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    get_current_span,
)

from spanflow.instrumentation.checkpoint import Checkpoint
from spanflow.instrumentation.edge import Edge, edge_of, root_context
from spanflow.instrumentation.identify import (
    Id,
    clean_identity,
    inherited_identity,
    tell_connection,
    tell_flow,
)
from spanflow.instrumentation.known_flows import identity_attributes, learned, personal_attributes
from spanflow.instrumentation.semantics import OPENINFERENCE_KIND, TURN
from spanflow.span_processors import names
from spanflow.span_processors.identity import Identity


class Flow(Checkpoint):
    """A turn that is under way: the root of a trace of its own."""

    def __init__(self, name: str, identity: Identity, kind: SpanKind, data: Mapping[str, Any]) -> None:
        self._identity = identity
        self._kind = kind
        super().__init__(names.PLAIN_SPAN, name, data, TURN)

    @property
    def flow_id(self) -> str:
        """The id under which dashboards show this flow; empty when nothing records it."""
        span_context = self.span.get_span_context()
        return f"{span_context.trace_id:032x}" if span_context.is_valid else ""

    def _again(self) -> Self:
        return type(self)(self._name or "turn", self._identity, self._kind, self._data)

    def _first_attributes(self) -> dict[str, Any]:
        attributes: dict[str, Any] = dict(self._meaning.fixed)
        if self._runtime.openinference:
            attributes[OPENINFERENCE_KIND] = self._meaning.openinference_kind
        return attributes

    def _begin(self, parent: Context) -> Span:
        edge = edge_of(parent)
        if edge is not None:
            tell_connection(edge, self._identity)
        turn = None if edge is None else _adoptable(edge, parent)
        if edge is not None and turn is not None:
            return self._adopt(edge, turn)
        identity = learned(inherited_identity(parent), self._identity)
        around = get_current_span(parent).get_span_context()
        self._parent = root_context(identity, parent)
        attributes = {**self._first_attributes(), **identity_attributes(identity), **personal_attributes(identity)}
        return self._open(self._parent, attributes, kind=self._kind, links=(Link(around),) if around.is_valid else ())

    def _adopt(self, edge: Edge, turn: Span) -> Span:
        """Take over the turn that began when the message came in: its first checkpoints are in it already."""
        edge.adopted = True
        turn.update_name(self._name or "turn")
        turn.set_attributes({**self._first_attributes(), **self._clean(self._named(self._data))})
        tell_flow(turn, self._identity)
        pipeline = self._runtime.pipeline
        if pipeline is not None:
            # Whoever follows it live saw it begin under another name.
            pipeline.span_updated(turn)
        return turn


def _adoptable(edge: Edge, context: Context) -> Span | None:
    turn = edge.turn
    if turn is None or edge.adopted or not turn.is_recording():
        return None
    here = get_current_span(context).get_span_context().trace_id
    return turn if here == turn.get_span_context().trace_id else None


def flow(
    name: str = "turn",
    /,
    *,
    user_id: Id | None = None,
    email: str | None = None,
    full_name: str | None = None,
    session_id: Id | None = None,
    conversation_id: Id | None = None,
    source: str | None = None,
    team: str | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    **data: Any,
) -> Flow:
    """A flow of its own, as context manager or decorator: one chat turn on a connection that carries many.

    with flow("chat turn", conversation_id=chat.id) as turn:
        ...

    It belongs to the surrounding connection's user and is linked to that connection.
    """
    identity = clean_identity(
        user_id=user_id,
        email=email,
        full_name=full_name,
        session_id=session_id,
        conversation_id=conversation_id,
        source=source,
        team=team,
    )
    return Flow(name, identity, kind, data)
