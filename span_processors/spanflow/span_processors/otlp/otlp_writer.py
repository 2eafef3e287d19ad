"""Flows written as OTLP/JSON: spans go out as they came in.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, restored
from spanflow.span_processors.event.json_safe import restored_attributes

KINDS: Final = {"unspecified": 0, "internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
STATUSES: Final = {names.STATUS_UNSET: 0, names.STATUS_OK: 1, names.STATUS_ERROR: 2}
_HEX: Final = frozenset("0123456789abcdef")


def traces(flow_id: str, flow: Iterable[Event], processes: Mapping[str, Any]) -> dict[str, Any]:
    """The merged entries of a flow, and its processes as they are stored, as the body of an export request."""
    by_origin: dict[tuple[str, str], list[Event]] = {}
    for entry in flow:
        by_origin.setdefault((entry.get("process", ""), entry.get("scope", "")), []).append(entry)
    resources: dict[str, dict[str, Any]] = {}
    trace_id = hex_id(flow_id, 32)
    for (process, scope), entries in by_origin.items():
        about = processes.get(process)
        about = about if isinstance(about, Mapping) else {}
        if process not in resources:
            resources[process] = {**_resource(about), "scopeSpans": []}
        resources[process]["scopeSpans"].append(
            {**_scope(scope, about), "spans": [span_of(entry, trace_id) for entry in entries]}
        )
    return {"resourceSpans": list(resources.values())}


def _resource(about: Mapping[str, Any]) -> dict[str, Any]:
    resource = about.get("resource")
    resource = resource if isinstance(resource, Mapping) else {}
    found: dict[str, Any] = {"resource": {"attributes": _stored_attributes(resource)}}
    if isinstance(url := resource.get("schema_url"), str):
        found["schemaUrl"] = url
    return found


def _scope(key: str, about: Mapping[str, Any]) -> dict[str, Any]:
    scopes = about.get("scopes")
    known = scopes.get(key) if isinstance(scopes, Mapping) else None
    known = known if isinstance(known, Mapping) else {"name": key}
    scope: dict[str, Any] = {"name": known.get("name", "")}
    if "version" in known:
        scope["version"] = known["version"]
    if attributes := _stored_attributes(known):
        scope["attributes"] = attributes
    found: dict[str, Any] = {"scope": scope}
    if isinstance(url := known.get("schema_url"), str):
        found["schemaUrl"] = url
    return found


def _stored_attributes(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    attributes, types = part.get("attributes"), part.get("types")
    if not isinstance(attributes, Mapping):
        return []
    return _attributes(restored_attributes(attributes, types if isinstance(types, Mapping) else None))


def span_of(entry: Event, trace_id: str) -> dict[str, Any]:
    """One span. What is still open has no end."""
    event = restored(entry)
    cut = event.get("cut", {})
    span: dict[str, Any] = {"traceId": trace_id, "spanId": hex_id(event["node_id"], 16)}
    if event.get("trace_state"):
        span["traceState"] = event["trace_state"]
    if (parent := event.get("parent_id")) is not None:
        span["parentSpanId"] = hex_id(parent, 16)
    if event.get("flags"):
        span["flags"] = event["flags"]
    span["name"] = event.get("name", "")
    span["kind"] = KINDS.get(event.get("kind", ""), 0)
    for field, name in (("start_ns", "startTimeUnixNano"), ("end_ns", "endTimeUnixNano")):
        if field in event:
            span[name] = event[field]  # type: ignore[literal-required]
    span["attributes"] = _attributes(event.get("attributes", {}))
    logs, links = event.get("logs", ()), event.get("links", ())
    if logs:
        span["events"] = [
            {
                "timeUnixNano": log.get("time_ns", "0"),
                "name": log.get("name", ""),
                "attributes": _attributes(log.get("attributes", {})),
            }
            for log in logs
        ]
    if links:
        span["links"] = [_link(link) for link in links]
    for what, name in (
        ("attributes", "droppedAttributesCount"),
        ("logs", "droppedEventsCount"),
        ("links", "droppedLinksCount"),
    ):
        if cut.get(what):
            span[name] = cut[what]
    status: dict[str, Any] = {}
    if event.get("status_message"):
        status["message"] = event["status_message"]
    if code := STATUSES.get(event.get("status", ""), 0):
        status["code"] = code
    span["status"] = status
    return span


def _link(link: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"traceId": link.get("trace_id", ""), "spanId": link.get("span_id", "")}
    if link.get("trace_state"):
        found["traceState"] = link["trace_state"]
    found["attributes"] = _attributes(link.get("attributes", {}))
    if link.get("flags"):
        found["flags"] = link["flags"]
    return found


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def any_value(value: Any) -> dict[str, Any]:
    """An `AnyValue`. Attributes are at most a few levels deep: the encoder has cut what was deeper."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _NOT_FINITE[str(value)]}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": _attributes(value)}}
    if isinstance(value, Sequence):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    return {"stringValue": str(value)}


_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def hex_id(value: str, digits: int) -> str:
    """The id itself, or another that always stands for it, where older gateways gave one of their own."""
    if len(value) == digits and _HEX.issuperset(value):
        return value
    return hashlib.blake2b(value.encode(), digest_size=digits // 2).hexdigest()
