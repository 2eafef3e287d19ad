"""A tracer of the SDK that makes the usual spans, roots and those with a parent in this process, in half the time."""

from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import Tracer
from opentelemetry.sdk.trace._tracer_metrics import NoOpTracerMetrics
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.util.types import Attributes

from spanflow.instrumentation.quick.current_span import CurrentSpan
from spanflow.instrumentation.quick.quick_span import QuickSpan
from spanflow.span_processors.opentelemetry_versions import AlwaysRecordSampler

_SAMPLED: Final = int(TraceFlags.SAMPLED)
_SAMPLED_RANDOM: Final = int(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)


class QuickTracer(Tracer):
    """Never made: a `Tracer` becomes one. Links, odd attributes and unusual samplers go the SDK's way."""

    #: The sampler that the two answers below are about.
    _asked: Sampler | None = None
    _samples_roots = False
    _follows_parents = False

    # The SDK's returns a generator's context manager; ours is entered, left and used as a decorator in the same way.
    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> CurrentSpan:
        options = (name, context, kind, attributes, links, start_time)
        return CurrentSpan(self, options, record_exception, set_status_on_exception, end_on_exit)

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        if not links and (attributes is None or type(attributes) is dict):
            place = self._place(get_current() if context is None else context)
            if place is not None:
                span_context, parent = place
                return QuickSpan.begin(
                    self,
                    name,
                    span_context,
                    parent,
                    kind,
                    attributes,
                    start_time,
                    context,
                    record_exception,
                    set_status_on_exception,
                )
        return super().start_span(
            name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        )

    def _place(self, context: Context) -> tuple[SpanContext, SpanContext | None] | None:
        """A new span's context and its parent's, if the sampler just samples and spans are not counted."""
        if type(self._tracer_metrics) is not NoOpTracerMetrics or not self._tracer_config.is_enabled:
            return None
        if self.sampler is not self._asked:
            self._ask_sampler()
        within: Any = context.get(_SPAN_KEY)
        if within is None or within is INVALID_SPAN:
            return (self._root_context(), None) if self._samples_roots else None
        # Asking for the exact type first: `Span` is an abstract class, and those take their time to answer.
        if self._follows_parents and (type(within) is QuickSpan or isinstance(within, SdkSpan)):
            parent = within._context
            if type(parent) is SpanContext:
                trace_id, _, is_remote, flags, state, is_valid = parent
                if is_valid and not is_remote and (flags == _SAMPLED or flags == _SAMPLED_RANDOM):
                    span_id = self.id_generator.generate_span_id()
                    parts = (trace_id, span_id, False, flags, state, span_id != 0)
                    return tuple.__new__(SpanContext, parts), parent
        return None

    def _root_context(self) -> SpanContext:
        ids = self.id_generator
        trace_id = ids.generate_trace_id()
        flags = TraceFlags(_SAMPLED_RANDOM if ids.is_trace_id_random() else _SAMPLED)
        return SpanContext(trace_id, ids.generate_span_id(), False, flags)

    def _ask_sampler(self) -> None:
        """Whether the sampler only returns RECORD_AND_SAMPLE for roots and for children of sampled local spans."""
        asked = self.sampler
        inner = asked._root if type(asked) is AlwaysRecordSampler else asked
        by_parent = inner if isinstance(inner, ParentBased) else None
        if by_parent is not None and type(by_parent).should_sample is not ParentBased.should_sample:
            by_parent = None
        self._samples_roots = inner is ALWAYS_ON or (by_parent is not None and by_parent._root is ALWAYS_ON)
        self._follows_parents = inner is ALWAYS_ON or (
            by_parent is not None and by_parent._local_parent_sampled is ALWAYS_ON
        )
        self._asked = asked
