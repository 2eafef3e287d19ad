"""Vendors write into a trace's state what they like, and clients send it along."""

from opentelemetry.trace import SpanContext, TraceState

from spanflow.span_processors.redaction.redaction import Redactor


def redacted_trace_state(state: TraceState, redactor: Redactor) -> tuple[TraceState, int]:
    """The state without secrets, and how many were hidden. The same object when there were none."""
    if not state:
        return state, 0
    entries = dict(state.items())
    clean, hidden = redactor.recorded(entries)
    if not hidden:
        return state, 0
    # What is no key any more once a secret in it is hidden cannot be written.
    return TraceState([(key, str(value)) for key, value in clean.items() if key in entries]), hidden


def redacted_context(context: SpanContext, redactor: Redactor) -> tuple[SpanContext, int]:
    """The same for the context of a span or of a link."""
    state, hidden = redacted_trace_state(context.trace_state, redactor)
    if not hidden:
        return context, 0
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags, state), hidden
