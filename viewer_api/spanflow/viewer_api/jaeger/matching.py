"""Whether a trace has a span that a search asks for. One span must have all of it, as in Jaeger."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, restored
from spanflow.span_processors.otlp.otlp_writer import resource_attributes, scope_about, service_of
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.jaeger.span_query import SpanQuery
from spanflow.viewer_api.jaeger.v1_json import shown_kind, text_of

_RESOURCE: Final = "resource."


def has_match(trace: Flow, query: SpanQuery, now_ns: int) -> bool:
    services = {key: service_of(process) for key, process in trace.processes.items()}
    return any(_matches(entry, trace, services, query, now_ns) for entry in trace.entries)


def _matches(entry: Event, trace: Flow, services: Mapping[str, str], query: SpanQuery, now_ns: int) -> bool:
    process = entry.get("process", "")
    if services.get(process, service_of({})) != query.service:
        return False
    if query.operation is not None and entry.get("name") != query.operation:
        return False
    start = int(entry.get("start_ns", "0"))
    if not query.start_ns <= start <= query.end_ns:
        return False
    lasted = int(entry.get("end_ns") or now_ns) - start
    if query.min_duration_ns is not None and lasted < query.min_duration_ns:
        return False
    if query.max_duration_ns is not None and lasted > query.max_duration_ns:
        return False
    if not query.tags:
        return True
    whole, about = restored(entry), trace.processes.get(process, {})
    return all(_has(whole, about, key, value) for key, value in query.tags.items())


def _has(entry: Event, process: Mapping[str, Any], key: str, value: str) -> bool:
    name, version, scope = scope_about(process, entry.get("scope", ""))
    status = entry.get("status", names.STATUS_UNSET)
    if key == "error" and value in ("true", "false"):
        return (status == names.STATUS_ERROR) == (value == "true")
    said = {
        "span.kind": shown_kind(entry),
        "span.status": status.upper(),
        "otel.status_code": status.upper(),
        "otel.status_description": entry.get("status_message", ""),
        "scope.name": name,
        "otel.scope.name": name,
        "scope.version": version,
        "otel.scope.version": version,
    }.get(key)
    if said is not None:
        return said == value
    if key.startswith(_RESOURCE) and _equal(resource_attributes(process), key.removeprefix(_RESOURCE), value):
        return True
    return any(_equal(attributes, key, value) for attributes in _everywhere(entry, process, scope))


def _everywhere(entry: Event, process: Mapping[str, Any], scope: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield entry.get("attributes", {})
    yield scope
    yield resource_attributes(process)
    for log in entry.get("logs", ()):
        yield log.get("attributes", {})
    for link in entry.get("links", ()):
        yield link.get("attributes", {})


def _equal(attributes: Mapping[str, Any], key: str, value: str) -> bool:
    return key in attributes and text_of(attributes[key]) == value
