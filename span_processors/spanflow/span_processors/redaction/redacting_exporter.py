"""The same redaction for spans that leave over OTLP.

An ended span cannot be changed any more (the SDK freezes it before `on_end`), so the exporter is given a copy.
"""

from collections.abc import Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status

from spanflow.span_processors.redaction.redaction import Redactor


class RedactingExporter(SpanExporter):
    """Hands spans without secrets to the exporter that it wraps."""

    def __init__(self, exporter: SpanExporter, redactor: Redactor) -> None:
        self.wrapped = exporter
        self._redactor = redactor

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.wrapped.export([redacted_span(span, self._redactor) for span in spans])

    def shutdown(self) -> None:
        self.wrapped.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.wrapped.force_flush(timeout_millis)


def redacted_span(span: ReadableSpan, redactor: Redactor) -> ReadableSpan:
    """The span itself when it holds no secret, else a copy without them."""
    name, hidden = redactor.text(span.name)
    attributes, count = redactor.attributes(span.attributes or {})
    changed = name != span.name or attributes is not (span.attributes or attributes)
    hidden += count
    description = span.status.description
    if description:
        description, count = redactor.text(description)
        hidden += count
    events = []
    for event in span.events:
        kept, count = redactor.attributes(event.attributes or {})
        hidden += count
        changed = changed or (event.attributes is not None and kept is not event.attributes)
        events.append(Event(event.name, dict(kept), event.timestamp))
    links = []
    for link in span.links:
        kept, count = redactor.attributes(link.attributes or {})
        hidden += count
        links.append(Link(link.context, dict(kept)))
    if not hidden and not changed:
        return span
    return ReadableSpan(
        name=name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=dict(attributes),
        events=events,
        links=links,
        kind=span.kind,
        status=Status(span.status.status_code, description),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
