"""The process's propagator behind a guard: an inbound trace context is linked to, and followed only where trusted.

Without it any caller could choose the trace id (and write into another user's flow), hide with an unsampled context,
or plant baggage that the gateway would send on to every third party it calls.
"""

from typing import Any

from opentelemetry import baggage, propagate
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.propagators import textmap
from opentelemetry.trace import SpanContext, get_current_span, set_span_in_context

from spanflow.instrumentation.edge import Edge, edge_of, with_caller, with_edge
from spanflow.instrumentation.runtime import logger, say_once
from spanflow.span_processors.identity import NOBODY, identity_of, with_identity


class EdgePropagator(textmap.TextMapPropagator):
    """What it wraps, except that `extract` believes only trusted callers and never returns None."""

    def __init__(self, wrapped: textmap.TextMapPropagator, join_caller: bool = False) -> None:
        self.wrapped = wrapped
        self._join_caller = join_caller

    def extract(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        getter: textmap.Getter[textmap.CarrierT] = textmap.default_getter,
    ) -> Context:
        base = _base(context)
        try:
            extracted: Context | None = self.wrapped.extract(carrier, base, getter)
        except Exception:
            say_once("extract", "An inbound trace context could not be read", exc_info=True)
            extracted = None
        if extracted is None:  # a composite of no propagators answers so, and its callers fail on it
            return base
        edge = edge_of(otel_context.get_current())
        if self._join_caller or (edge is not None and edge.trusted):
            return base if _is_followed_already(extracted, base, edge) else extracted
        return _distrusted(extracted, base)

    def inject(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        setter: textmap.Setter[textmap.CarrierT] = textmap.default_setter,
    ) -> None:
        self.wrapped.inject(carrier, context, setter)

    @property
    def fields(self) -> set[str]:
        return self.wrapped.fields


def _base(context: Context | None) -> Context:
    """Where to extract into. Instrumentations say nothing, which means an empty context: ours must survive that."""
    if context is not None:
        return context
    here = otel_context.get_current()
    base = Context()
    edge = edge_of(here)
    if edge is not None:
        base = with_edge(edge, base)
        current = get_current_span(here)
        if edge.server_span is not None and current.is_recording():
            # Middleware of the application extracts once more: what starts there is part of the request.
            base = set_span_in_context(current, base)
    identity = identity_of(here)
    return base if identity is NOBODY else with_identity(identity, base)


def _is_followed_already(extracted: Context, base: Context, edge: Edge | None) -> bool:
    """Whether the request's own server span has the extracted caller as its parent."""
    caller = get_current_span(extracted).get_span_context()
    parent = None if edge is None else getattr(edge.server_span, "parent", None)
    return parent is not None and caller == parent and get_current_span(base).is_recording()


def _distrusted(extracted: Context, base: Context) -> Context:
    """What was extracted, without the caller's span and baggage; a new root that starts in it links to the caller."""
    remote = get_current_span(base)
    caller = get_current_span(extracted).get_span_context()
    if caller.is_valid and caller != remote.get_span_context():
        # Not the caller's tracestate either: it would be propagated to every callee of the gateway.
        plain = SpanContext(caller.trace_id, caller.span_id, is_remote=True, trace_flags=caller.trace_flags)
        extracted = with_caller(plain, set_span_in_context(remote, extracted))
    planted = baggage.get_all(extracted)
    before = baggage.get_all(base)
    if planted != before:
        extracted = baggage.clear(extracted)
        for name, value in before.items():
            extracted = baggage.set_baggage(name, value, extracted)
    return extracted


def guard_propagator(join_caller: bool) -> EdgePropagator:
    """Put the guard before the global propagator; logs a warning if that one would have failed every request."""
    wrapped = propagate.get_global_textmap()
    if isinstance(wrapped, EdgePropagator):
        return wrapped
    if _is_broken(wrapped):
        logger.warning(
            "The configured propagators (OTEL_PROPAGATORS=none, or a configuration file without a propagator section) "
            "would make every request fail; repaired: no trace context is read or sent"
        )
    guard = EdgePropagator(wrapped, join_caller)
    propagate.set_global_textmap(guard)
    return guard


def _is_broken(propagator: Any) -> bool:
    try:
        return propagator.extract({}) is None
    except Exception:
        return True
