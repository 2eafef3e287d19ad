"""The same redaction for spans that leave over OTLP.

An ended span cannot be changed any more (the SDK freezes it before `on_end`), so the exporter is given a copy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status

from spanflow.span_processors import names
from spanflow.span_processors.redaction.export_redactors import ExportRedactors
from spanflow.span_processors.redaction.redacted_origins import RedactedOrigins
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redaction.trace_states import redacted_context
from spanflow.span_processors.span_name import name_of

_NOTHING: Final[Mapping[str, Any]] = {}
_WATCHED: Final[Mapping[str, Any]] = {names.ATTR_MONITORED: True}


class RedactingExporter(SpanExporter):
    """Hands spans without secrets to the exporter that it wraps. Those of watched users say so."""

    def __init__(
        self, exporter: SpanExporter, redactor: Redactor, is_watched: Callable[[str], bool] = lambda user_id: False
    ) -> None:
        self.wrapped = exporter
        self._is_watched = is_watched
        self._redactors = ExportRedactors(redactor)
        self._origins = RedactedOrigins(redactor)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._redactors.batch() as redactor_of:
            clean = [
                redacted_span(
                    span, redactor_of(span.context.trace_id if span.context else 0), self._origins, self._marks(span)
                )
                for span in spans
            ]
        return self.wrapped.export(clean)

    def shutdown(self) -> None:
        self.wrapped.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.wrapped.force_flush(timeout_millis)

    def _marks(self, span: ReadableSpan) -> Mapping[str, Any]:
        """For a Collector's sampling: the span belongs to a watched user."""
        user_id = (span.attributes or _NOTHING).get(names.ATTR_USER_ID)
        return _WATCHED if type(user_id) is str and self._is_watched(user_id) else _NOTHING


def redacted_span(
    span: ReadableSpan, redactor: Redactor, origins: RedactedOrigins, marks: Mapping[str, Any] = _NOTHING
) -> ReadableSpan:
    """The span itself when it holds no secret and there are no marks to add, else a copy."""
    name, _ = redactor.text(name_of(span.name))
    given: Mapping[str, Any] = span.attributes or {}
    attributes, _ = redactor.attributes(given)
    context, state_hidden = (None, 0) if span.context is None else redacted_context(span.context, redactor)
    description = span.status.description and redactor.text(span.status.description)[0]
    resource, scope = origins.resource(span.resource), origins.scope(span.instrumentation_scope)
    events = [_redacted_event(event, redactor) for event in span.events]
    links = [_redacted_link(link, redactor) for link in span.links]
    changed = (
        name != span.name
        or attributes is not given
        or marks
        or state_hidden
        or description != span.status.description
        or resource is not span.resource
        or scope is not span.instrumentation_scope
        or any(event is not before for event, before in zip(events, span.events, strict=True))
        or any(link is not before for link, before in zip(links, span.links, strict=True))
    )
    if not changed:
        return span
    return ReadableSpan(
        name=name,
        context=context,
        parent=span.parent,
        resource=resource,
        attributes={**attributes, **marks},
        events=events,
        links=links,
        kind=span.kind,
        status=Status(span.status.status_code, description),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )


def _redacted_event(event: Event, redactor: Redactor) -> Event:
    given: Mapping[str, Any] = event.attributes or {}
    name, attributes, _ = redactor.event(event.name, given)
    if name == event.name and attributes is given:
        return event
    return Event(name, dict(attributes), event.timestamp)


def _redacted_link(link: Link, redactor: Redactor) -> Link:
    given: Mapping[str, Any] = link.attributes or {}
    attributes, _ = redactor.attributes(given)
    context, hidden = redacted_context(link.context, redactor)
    return link if attributes is given and not hidden else Link(context, dict(attributes))
