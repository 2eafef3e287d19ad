"""`identify`: say whose flow this is, as soon as it is known, also for what has already started."""

from typing import Final
from uuid import UUID

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span

from spanflow.instrumentation.activation import activate
from spanflow.instrumentation.edge import Edge, edge_of
from spanflow.instrumentation.known_flows import KnownFlows, identity_attributes, learned, personal_attributes
from spanflow.instrumentation.runtime import runtime, say_once
from spanflow.instrumentation.values import text_value
from spanflow.span_processors.identity import NOBODY, Identity, identity_of, with_identity
from spanflow.span_processors.ids import MAX_ID_LENGTH, id_or_none

Id = str | int | UUID

#: The flows of this process. The span processor fills it; without one there is nothing to look up.
KNOWN_FLOWS: Final = KnownFlows()

_MAX_NAME: Final = 256


def identify(
    *,
    user_id: Id | None = None,
    email: str | None = None,
    full_name: str | None = None,
    session_id: Id | None = None,
    conversation_id: Id | None = None,
    source: str | None = None,
    team: str | None = None,
) -> None:
    """Say whose flow this is, at any time during it: the whole flow counts as this user's, from its beginning.

    Give only what you know; what was known stays. Outside of any flow it counts for the flows that this task starts.
    An id that cannot be one (empty, longer than 128 characters, with control characters, braces or a slash) is left out
    and logged once; nothing is ever raised.
    """
    try:
        newer = clean_identity(
            user_id=user_id,
            email=email,
            full_name=full_name,
            session_id=session_id,
            conversation_id=conversation_id,
            source=source,
            team=team,
        )
        if newer is not NOBODY:
            _learn(newer)
    except Exception:
        say_once("identify", "The identity of a flow could not be recorded", exc_info=True)


def clean_identity(
    *,
    user_id: object = None,
    email: object = None,
    full_name: object = None,
    session_id: object = None,
    conversation_id: object = None,
    source: object = None,
    team: object = None,
) -> Identity:
    """An identity of what can serve as one; `NOBODY` itself where nothing can."""
    clean = Identity(
        user_id=_id("user_id", user_id),
        email=_text(email),
        full_name=_text(full_name),
        session_id=_id("session_id", session_id),
        conversation_id=_id("conversation_id", conversation_id),
        source=_id("source", source),
        team=_text(team),
    )
    return NOBODY if clean == NOBODY else clean


def inherited_identity(context: Context) -> Identity:
    """Whose flow a new root would be that starts here: the context's, the connection's, the surrounding flow's."""
    identity = identity_of(context)
    edge = edge_of(context)
    trace_id = get_current_span(context).get_span_context().trace_id
    around = KNOWN_FLOWS.get(trace_id)
    if edge is not None and edge.server_span is not None:
        if around is not None and edge.server_span.get_span_context().trace_id == trace_id:
            # On a long connection its own span was identified first; each turn may know better since.
            return learned(learned(identity, around.identity), edge.identity)
    if edge is not None:
        identity = learned(identity, edge.identity)
    return identity if around is None else learned(identity, around.identity)


def _learn(newer: Identity) -> None:
    context = otel_context.get_current()
    edge = edge_of(context)
    if edge is not None:
        edge.identity = learned(edge.identity, newer)
    span = get_current_span(context)
    if span.get_span_context().is_valid:
        tell_flow(span, newer)
    else:
        activate(with_identity(learned(identity_of(context), newer), context))
    if edge is not None:
        tell_connection(edge, newer)


def tell_connection(edge: Edge, newer: Identity) -> None:
    """A WebSocket's own flow, if it has no user yet, belongs to the first user whom one of its turns identifies.

    Only the user is set: session and conversation may be those of one turn. An HTTP request that makes flows of
    several users has no user.
    """
    connection = edge.server_span
    if connection is None or not edge.is_websocket or newer.user_id is None:
        return
    flow = KNOWN_FLOWS.get(connection.get_span_context().trace_id)
    if flow is not None and flow.identity.user_id is None:
        tell_flow(connection, Identity(user_id=newer.user_id, email=newer.email, full_name=newer.full_name))


def tell_flow(span: Span, newer: Identity) -> None:
    """The flow of `span` belongs to `newer`: say it on its open spans, and to the pipeline for the rest."""
    if newer is NOBODY:
        return
    trace_id = span.get_span_context().trace_id
    _tell_open_spans(span, trace_id, newer)
    pipeline = runtime().pipeline
    if pipeline is not None:
        known_flow = KNOWN_FLOWS.get(trace_id)
        pipeline.identify(trace_id, known_flow.identity if known_flow is not None else newer)


def _tell_open_spans(current: Span, trace_id: int, newer: Identity) -> None:
    flow = KNOWN_FLOWS.get(trace_id)
    if flow is None:
        current.set_attributes({**identity_attributes(newer), **personal_attributes(newer)})
        return
    if flow.learn(newer):
        for span in list(flow.open_spans.values()):
            span.set_attributes(flow.attributes)
        personal = personal_attributes(flow.identity)
        if personal and flow.root is not None:
            flow.root.set_attributes(personal)


def _id(field: str, value: object) -> str | None:
    if value is None:
        return None
    clean = id_or_none(value)
    if clean is None:
        say_once(
            f"id {field}",
            "A %s was left out: an id is a string or whole number of at most %d characters without control characters, "
            "braces or slashes",
            field,
            MAX_ID_LENGTH,
        )
    return clean


def _text(value: object) -> str | None:
    return text_value(value, _MAX_NAME) if isinstance(value, str) and value else None
