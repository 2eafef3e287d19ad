"""The same redaction for spans that leave over OTLP.

An ended span cannot be changed any more (the SDK freezes it before `on_end`), so the exporter is given a copy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Status

from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redaction.trace_states import redacted_context

Origin = TypeVar("Origin", Resource, InstrumentationScope)


class RedactingExporter(SpanExporter):
    """Hands spans without secrets to the exporter that it wraps."""

    def __init__(self, exporter: SpanExporter, redactor: Redactor) -> None:
        self.wrapped = exporter
        self._redactor = redactor
        self._origins = RedactedOrigins(redactor)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.wrapped.export([redacted_span(span, self._redactor, self._origins) for span in spans])

    def shutdown(self) -> None:
        self.wrapped.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.wrapped.force_flush(timeout_millis)


class RedactedOrigins:
    """Where spans come from: resources and scopes without secrets, each found once. Used by the exporter's thread."""

    _MOST = 1024

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        # By identity, because a scope's own hash and equality look at all its attributes.
        self._known: dict[int, tuple[Any, Any]] = {}

    def resource(self, resource: Resource) -> Resource:
        return self._of(resource, self._redacted_resource)

    def scope(self, scope: InstrumentationScope | None) -> InstrumentationScope | None:
        return None if scope is None else self._of(scope, self._redacted_scope)

    def _of(self, origin: Origin, redacted: Callable[[Origin], Origin]) -> Origin:
        known = self._known.get(id(origin))
        if known is None:
            if len(self._known) >= self._MOST:
                self._known.clear()
            known = self._known[id(origin)] = (origin, redacted(origin))
        return cast(Origin, known[1])

    def _redacted_resource(self, resource: Resource) -> Resource:
        attributes, _ = self._redactor.attributes(resource.attributes)
        schema_url = self._text(resource.schema_url)
        if attributes is resource.attributes and schema_url == resource.schema_url:
            return resource
        return Resource(dict(attributes), schema_url)

    def _redacted_scope(self, scope: InstrumentationScope) -> InstrumentationScope:
        given: Mapping[str, Any] = scope.attributes or {}
        attributes, _ = self._redactor.attributes(given)
        name, version, schema_url = self._text(scope.name), self._text(scope.version), self._text(scope.schema_url)
        if attributes is given and (name, version, schema_url) == (scope.name, scope.version, scope.schema_url):
            return scope
        return InstrumentationScope(name or "", version, schema_url, dict(attributes))

    def _text(self, text: str | None) -> str | None:
        return text and self._redactor.text(text)[0]


def redacted_span(span: ReadableSpan, redactor: Redactor, origins: RedactedOrigins) -> ReadableSpan:
    """The span itself when it holds no secret, else a copy without them."""
    name, _ = redactor.text(span.name)
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
        attributes=dict(attributes),
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
