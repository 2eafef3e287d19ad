"""The OpenTelemetry span processor: hands spans to the pipeline and never lets anything of ours reach the request."""

import logging
from typing import Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, get_current
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind

from spanflow.span_processors.identity import identity_in_context
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.server_names import METHODS, ServerNames

_log = logging.getLogger(__name__)

_LEFT_OUT: Final = 4096


class FlowSpanProcessor(SpanProcessor):
    """`provider.add_span_processor(FlowSpanProcessor(build_pipeline(settings)))` is all there is to it.

    `shutdown` and `force_flush` act on the whole pipeline.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._span_started = pipeline.span_started
        self._span_ended = pipeline.span_ended
        #: Spans that began where nothing is to be traced; insertion-ordered, so that the oldest can be forgotten.
        self._left_out: dict[int, None] = {}
        self._complained = False
        self._server_names = ServerNames()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        try:
            here = get_current()
            # Our own threads, and code that suppresses instrumentation: exporting traces must not create traces.
            if _SUPPRESS_INSTRUMENTATION_KEY in here and here[_SUPPRESS_INSTRUMENTATION_KEY]:
                self._leave_out(span)
                return
            name = span.name
            if type(name) is str and name in METHODS and span.kind is not SpanKind.CLIENT:
                self._name_server_span(span)
            self._span_started(span, identity_in_context(here if parent_context is None else parent_context))
        except Exception:
            self._failed()

    def on_end(self, span: ReadableSpan) -> None:
        try:
            # Where it ends does not matter: a span that was begun is ended, also inside of something suppressed.
            if self._left_out and (context := span.context) is not None and context.span_id in self._left_out:
                self._left_out.pop(context.span_id, None)
                return
            self._span_ended(span)
        except Exception:
            self._failed()

    def _name_server_span(self, span: Span) -> None:
        better = self._server_names.better(span.name, span.attributes or {})
        if better is not None:
            span.update_name(better)

    def _leave_out(self, span: Span) -> None:
        self._left_out[span.get_span_context().span_id] = None
        if len(self._left_out) > _LEFT_OUT:
            self._left_out.pop(next(iter(self._left_out)), None)

    def shutdown(self) -> None:
        try:
            self.pipeline.shutdown()
        except Exception:
            self._failed()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        try:
            return self.pipeline.force_flush(timeout_millis / 1000)
        except Exception:
            self._failed()
            return False

    def _failed(self) -> None:
        """Count it, and say it once: a log line per span would be the next problem."""
        try:
            self.pipeline.count_fault()
            if not self._complained:
                self._complained = True
                _log.exception("A span was lost to a fault of Spanflow's; the request is not affected (said once)")
        except Exception:
            return
