"""Where spans and log records come from, without secrets: their resources and their scopes."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from spanflow.span_processors.redaction.redaction import Redactor

Origin = TypeVar("Origin", Resource, InstrumentationScope)


class RedactedOrigins:
    """Each is made once. Used by the exporter's thread."""

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
        cached = self._known.get(id(origin))
        if cached is None:
            if len(self._known) >= self._MOST:
                self._known.clear()
            cached = self._known[id(origin)] = (origin, redacted(origin))
        return cast(Origin, cached[1])

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
