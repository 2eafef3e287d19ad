"""Puts whose flow it is on every span, and links a new root to the caller whose trace it did not join."""

from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind

from spanflow.instrumentation.checkpoint import within_type
from spanflow.instrumentation.edge import Edge, caller_of, edge_of
from spanflow.instrumentation.identify import KNOWN_FLOWS
from spanflow.instrumentation.known_flows import KnownFlow, KnownFlows, learned, personal_attributes
from spanflow.instrumentation.runtime import say_once
from spanflow.span_processors import names
from spanflow.span_processors.identity import Identity, identity_of
from spanflow.span_processors.span_attributes import attributes_in_place, put_first, share

_CALLER_LINK: Final = {"flow.link": "caller"}
_MCP_METHOD: Final = "mcp.method.name"
_TOOLS_CALL: Final = "tools/call"


class IdentitySpanProcessor(SpanProcessor):
    """Stands before every other processor, so that those see the identity from a span's first moment."""

    def __init__(self, flows: KnownFlows = KNOWN_FLOWS) -> None:
        self._flows = flows

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        try:
            parent = span.parent
            flow = None if parent is None or parent.is_remote else self._flows.child_started(span)
            known = flow is not None
            if flow is None:
                flow = self._started(span, parent_context)
            if names.ATTR_CHECKPOINT_TYPE in attributes_in_place(span):
                # Most spans: steps of a user who is known.
                (share if known else put_first)(span, flow.attributes)
            else:
                _put_identity(span, flow, parent_context)
        except Exception:
            say_once("identity on_start", "The identity could not be put on a span", exc_info=True)

    def on_end(self, span: ReadableSpan) -> None:
        try:
            span_context = span.context
            if span_context is not None:
                self._flows.ended(span_context[0], span_context[1])
        except Exception:
            say_once("identity on_end", "The end of a span could not be noted", exc_info=True)

    def shutdown(self) -> None:
        """Nothing is held here that would have to be closed."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True

    def _started(self, span: Span, parent_context: Context | None) -> KnownFlow:
        """The flow of a root, or of a span whose flow's user is not known yet."""
        here = otel_context.get_current()
        context = here if parent_context is None else parent_context
        parent = span.parent
        is_root = parent is None or parent.is_remote
        edge = edge_of(here) if is_root else None
        identity = _identity(context, here, edge)
        span_context = span.get_span_context()
        flow = self._flows.started(span, span_context.trace_id, span_context.span_id, is_root, identity)
        if is_root:
            if edge is not None and edge.server_span is None and span.kind is SpanKind.SERVER:
                edge.server_span = span
            caller = caller_of(context)
            if caller is not None:
                span.add_link(caller, _CALLER_LINK)
            if personal := personal_attributes(flow.identity):
                span.set_attributes(personal)
        return flow


def _put_identity(span: Span, flow: KnownFlow, context: Context | None) -> None:
    """Of a span that is no checkpoint: its own one may be the step around it."""
    attributes = flow.attributes
    within = within_type(otel_context.get_current() if context is None else context)
    parent = span.parent
    if within is None and parent is not None and parent.is_remote:
        if attributes_in_place(span).get(_MCP_METHOD) == _TOOLS_CALL:
            within = names.TOOL_CALL  # the caller, whose flow this is, has the call's own span
    put_first(span, attributes if within is None else {**attributes, names.ATTR_WITHIN: within})


def _identity(context: Context, here: Context, edge: Edge | None) -> Identity:
    """What the span's own context says. Instrumentations extract into an empty one; then the current one counts."""
    identity = identity_of(context)
    if context is not here:
        identity = learned(identity_of(here), identity)
    return identity if edge is None else learned(edge.identity, identity)
