"""The class that a tracer provider of the SDK is given."""

from functools import cache
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, Tracer, TracerProvider, _Span
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanContext, TraceFlags, set_span_in_context

from spanflow.instrumentation.quick.quick_span import fits
from spanflow.instrumentation.quick.quick_tracer import QuickTracer


class QuickTracerProvider(TracerProvider):
    """Never made: a `TracerProvider` becomes one."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return self.adopt(super().get_tracer(*args, **kwargs))

    @staticmethod
    def adopt(tracer: trace.Tracer) -> trace.Tracer:
        if type(tracer) is Tracer:
            tracer.__class__ = QuickTracer
        return tracer


@cache
def is_known_sdk() -> bool:
    """Whether this SDK's spans and span contexts consist of what ours are made of."""
    provider = TracerProvider(
        shutdown_on_exit=False,
        sampler=ALWAYS_ON,
        resource=Resource.get_empty(),
        span_limits=SpanLimits(max_span_attributes=2),
    )
    tracer: Any = provider.get_tracer("spanflow")
    parent = tracer.start_span("", Context())
    span = tracer.start_span("", set_span_in_context(parent, Context()), attributes={"a": 1})
    if type(span) is not _Span:
        return False
    whole = SpanContext(1, 2, False, TraceFlags(1))
    if tuple(whole) != (1, 2, False, 1, whole.trace_state, True):
        return False
    return fits(QuickTracerProvider.adopt(tracer), span)  # type: ignore[arg-type]
