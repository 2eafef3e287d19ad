"""A stored flow as OTLP/JSON, as Collectors write it: what came in by OTLP goes out as it was.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, restored
from spanflow.span_processors.event.json_safe import restored_attributes

#: OTLP's numbers.
KINDS: Final = {names.KIND_UNSPECIFIED: 0, "internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
STATUSES: Final = {names.STATUS_UNSET: 0, names.STATUS_OK: 1, names.STATUS_ERROR: 2}
SERVICE_NAME: Final = "service.name"
NO_SERVICE: Final = "missing-service-name"
_TRACE_ID_DIGITS: Final = 32
_SPAN_ID_DIGITS: Final = 16
_HEX: Final = frozenset("0123456789abcdef")

Object = dict[str, Any]


def resource_spans(flow_id: str, entries: Iterable[Event], processes: Mapping[str, Any]) -> list[Object]:
    """The flow's spans by process and scope, each in the order of `entries`. `processes` are those of
    the stored document; spans of one that is not among them have a resource without attributes."""
    trace_id = trace_id_of(flow_id)
    groups: dict[str, dict[str, list[Object]]] = {}
    for entry in entries:
        scopes = groups.setdefault(entry.get("process", ""), {})
        scopes.setdefault(entry.get("scope", ""), []).append(_span(trace_id, entry))
    return [_of_resource(_object(processes.get(process)), scopes) for process, scopes in groups.items()]


def trace_id_of(flow_id: str) -> str:
    """The flow's trace id. Flows of gateways older than Spanflow have ids of other kinds: theirs is derived."""
    return _hex_id(flow_id, _TRACE_ID_DIGITS)


def span_id_of(node_id: str) -> str:
    """The span's id, likewise."""
    return _hex_id(node_id, _SPAN_ID_DIGITS)


def attributes_json(attributes: Mapping[str, Any]) -> list[Object]:
    """Key-value pairs. Values are as spans have them: bytes, large integers and doubles are themselves."""
    return [{"key": key, "value": value_json(value)} for key, value in attributes.items()]


def value_json(value: Any) -> Object:
    if value is None:
        return {}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _NON_FINITE[str(value)]}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": attributes_json(value)}}
    return {"arrayValue": {"values": [value_json(member) for member in value]}}


_NON_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def resource_attributes(process: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored process says of itself."""
    return _described(_object(process.get("resource")))


def service_of(process: Any) -> str:
    """The name of the service that a stored process is of; Jaeger's word where it has none."""
    name = resource_attributes(_object(process)).get(SERVICE_NAME)
    return str(name) if name else NO_SERVICE


def scope_about(process: Mapping[str, Any], key: str) -> tuple[str, str, dict[str, Any]]:
    """Name, version and attributes of a scope; its key tells name and version when nothing more is known."""
    about = _object(_object(process.get("scopes")).get(key))
    if about:
        return about.get("name", ""), about.get("version", ""), _described(about)
    name, _, version = key.partition("@")
    return name, version, {}


def _of_resource(process: Object, scopes: Mapping[str, list[Object]]) -> Object:
    group: Object = {"resource": {"attributes": attributes_json(resource_attributes(process))}}
    scope_spans = []
    for key, spans in scopes.items():
        name, version, attributes = scope_about(process, key)
        scope: Object = {"name": name} if name else {}
        if version:
            scope["version"] = version
        if attributes:
            scope["attributes"] = attributes_json(attributes)
        scoped: Object = {"scope": scope, "spans": spans}
        if url := _object(_object(process.get("scopes")).get(key)).get("schema_url"):
            scoped["schemaUrl"] = url
        scope_spans.append(scoped)
    group["scopeSpans"] = scope_spans
    if url := _object(process.get("resource")).get("schema_url"):
        group["schemaUrl"] = url
    return group


def _span(trace_id: str, entry: Event) -> Object:
    """One span; one that has not ended has no end."""
    entry = restored(entry)
    span: Object = {"traceId": trace_id, "spanId": span_id_of(entry["node_id"])}
    if state := entry.get("trace_state"):
        span["traceState"] = state
    if (parent := entry.get("parent_id")) is not None:
        span["parentSpanId"] = span_id_of(parent)
    if flags := entry.get("flags"):
        span["flags"] = flags
    span["name"] = entry.get("name", "")
    if kind := KINDS.get(entry.get("kind", ""), 1):
        span["kind"] = kind
    span["startTimeUnixNano"] = entry.get("start_ns", "0")
    if end := entry.get("end_ns"):
        span["endTimeUnixNano"] = end
    if attributes := entry.get("attributes"):
        span["attributes"] = attributes_json(attributes)
    cut = entry.get("cut", {})
    _add_count(span, "droppedAttributesCount", cut.get("attributes"))
    if logs := entry.get("logs"):
        span["events"] = [_log(log) for log in logs]
    _add_count(span, "droppedEventsCount", cut.get("logs"))
    if links := entry.get("links"):
        span["links"] = [_link(link) for link in links]
    _add_count(span, "droppedLinksCount", cut.get("links"))
    span["status"] = _status(entry)
    return span


def _status(entry: Event) -> Object:
    status: Object = {}
    if message := entry.get("status_message"):
        status["message"] = message
    if code := STATUSES.get(entry.get("status", "")):
        status["code"] = code
    return status


def _log(log: Mapping[str, Any]) -> Object:
    event: Object = {"timeUnixNano": log.get("time_ns", "0")}
    if name := log.get("name"):
        event["name"] = name
    if attributes := log.get("attributes"):
        event["attributes"] = attributes_json(attributes)
    return event


def _link(link: Mapping[str, Any]) -> Object:
    written: Object = {"traceId": trace_id_of(link.get("trace_id", "")), "spanId": span_id_of(link.get("span_id", ""))}
    if state := link.get("trace_state"):
        written["traceState"] = state
    if attributes := link.get("attributes"):
        written["attributes"] = attributes_json(attributes)
    if flags := link.get("flags"):
        written["flags"] = flags
    return written


def _add_count(span: Object, name: str, count: Any) -> None:
    if count:
        span[name] = count


def _described(about: Mapping[str, Any]) -> dict[str, Any]:
    return restored_attributes(_object(about.get("attributes")), about.get("types"))


def _hex_id(id: str, digits: int) -> str:
    if len(id) == digits and _HEX.issuperset(id):
        return id
    return hashlib.blake2b(id.encode(errors="replace"), digest_size=digits // 2).hexdigest()


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}
