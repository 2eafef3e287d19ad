"""A tracer of the SDK that makes the usual spans, those with a parent in this process, in half the time."""

from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import Tracer
from opentelemetry.sdk.trace._tracer_metrics import NoOpTracerMetrics
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, AlwaysRecordSampler, ParentBased, Sampler
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.util.types import Attributes

from spanflow.instrumentation.quick.current_span import CurrentSpan
from spanflow.instrumentation.quick.quick_span import QuickSpan

_SAMPLED: Final = int(TraceFlags.SAMPLED)
_SAMPLED_RANDOM: Final = int(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)


class QuickTracer(Tracer):
    """Never made: a `Tracer` becomes one. Roots, links, odd attributes and unusual samplers go the SDK's way."""

    _followed: Sampler | None = None

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
        within: Any = (get_current() if context is None else context).get(_SPAN_KEY)
        if isinstance(within, SdkSpan) and not links and (attributes is None or type(attributes) is dict):
            parent = within._context
            if type(parent) is SpanContext:
                trace_id, _, is_remote, flags, state, is_valid = parent
                if (
                    is_valid
                    and not is_remote
                    and (flags == _SAMPLED or flags == _SAMPLED_RANDOM)
                    and (self.sampler is self._followed or self._follows_parents())
                    and type(self._tracer_metrics) is NoOpTracerMetrics
                    and self._tracer_config.is_enabled
                ):
                    span_id = self.id_generator.generate_span_id()
                    parts = (trace_id, span_id, False, flags, state, span_id != 0)
                    return QuickSpan.begin(
                        self,
                        name,
                        tuple.__new__(SpanContext, parts),
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

    def _follows_parents(self) -> bool:
        """Whether the sampler, asked about the child of a sampled local span, says «sampled» and nothing more."""
        asked = self.sampler
        inner = asked._root if type(asked) is AlwaysRecordSampler else asked
        follows = inner is ALWAYS_ON or (
            isinstance(inner, ParentBased)
            and type(inner).should_sample is ParentBased.should_sample
            and inner._local_parent_sampled is ALWAYS_ON
        )
        if follows:
            self._followed = asked
        return follows
