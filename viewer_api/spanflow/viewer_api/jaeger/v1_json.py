"""A flow in the JSON that Jaeger's page and Grafana read (`/api/traces`): what OTLP says, as Jaeger's tags."""

import base64
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import orjson

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, restored
from spanflow.span_processors.ids import MAX_SAFE_INTEGER
from spanflow.span_processors.otlp.otlp_writer import (
    SERVICE_NAME,
    resource_attributes,
    scope_about,
    service_of,
    span_id_of,
    trace_id_of,
)
from spanflow.viewer_api.jaeger.trace_ids import shown_trace_id

NOT_ENDED: Final = "This span has not ended."
_CHILD_OF: Final = "CHILD_OF"
_FOLLOWS_FROM: Final = "FOLLOWS_FROM"
_INT64: Final = (-(2**63), 2**63 - 1)
#: Doubles that are written without an exponent, from the first on and below the second.
_PLAIN_FLOATS: Final = (1e-6, 1e21)

Object = dict[str, Any]


def trace_v1(flow_id: str, entries: Iterable[Event], processes: Mapping[str, Any], now_ns: int | None) -> Object:
    """One trace. A running span lasts until `now_ns`, with a warning. Without `now_ns` it is a trace
    of the past, and what did not end lasted as long as is known."""
    trace_id = trace_id_of(flow_id)
    entries = list(entries)
    until_ns = _last_known(entries) if now_ns is None else now_ns
    process_ids: dict[str, str] = {}
    shown: dict[str, Object] = {}
    spans = []
    for entry in entries:
        process = processes.get(entry.get("process", ""), {})
        about = _process(process)
        key = orjson.dumps(about, option=orjson.OPT_SORT_KEYS).decode()
        if key not in process_ids:
            process_ids[key] = f"p{len(process_ids) + 1}"
            shown[process_ids[key]] = about
        spans.append(_span(trace_id, restored(entry), process, process_ids[key], until_ns))
    return {"traceID": shown_trace_id(trace_id), "spans": spans, "processes": shown, "warnings": None}


def _last_known(entries: Iterable[Event]) -> int:
    return max((int(entry.get("end_ns") or entry.get("start_ns", "0")) for entry in entries), default=0)


def _process(process: Object) -> Object:
    attributes = resource_attributes(process)
    return {
        "serviceName": service_of(process),
        "tags": tags({k: v for k, v in attributes.items() if k != SERVICE_NAME}),
    }


def _span(trace_id: str, entry: Event, process: Object, process_id: str, until_ns: int) -> Object:
    start = int(entry.get("start_ns", "0"))
    end = entry.get("end_ns")
    return {
        "traceID": shown_trace_id(trace_id),
        "spanID": span_id_of(entry["node_id"]),
        "operationName": entry.get("name", ""),
        "references": _references(trace_id, entry),
        "startTime": start // 1000,
        "duration": max(0, (until_ns if end is None else int(end)) - start) // 1000,
        "tags": _span_tags(entry, process),
        "logs": [_log(log) for log in entry.get("logs", ())],
        "processID": process_id,
        "warnings": [NOT_ENDED] if end is None else None,
    }


def _references(trace_id: str, entry: Event) -> list[Object]:
    references = []
    parent = entry.get("parent_id")
    if parent is not None:
        references.append(_reference(_CHILD_OF, trace_id, span_id_of(parent)))
    for link in entry.get("links", ()):
        linked = trace_id_of(link.get("trace_id", ""))
        if parent is None and linked == trace_id:
            # Jaeger's page would draw this root as a child of the span that it is only linked to.
            continue
        child = link.get("attributes", {}).get("opentracing.ref_type") == "child_of"
        kind = _CHILD_OF if child else _FOLLOWS_FROM
        references.append(_reference(kind, linked, span_id_of(link.get("span_id", ""))))
    return references


def _reference(kind: str, trace_id: str, span_id: str) -> Object:
    return {"refType": kind, "traceID": shown_trace_id(trace_id), "spanID": span_id}


def _span_tags(entry: Event, process: Object) -> list[Object]:
    """In Jaeger's order: scope, attributes by key, kind, status."""
    name, version, _ = scope_about(process, entry.get("scope", ""))
    span_tags = []
    if name:
        span_tags.append(tag("otel.scope.name", name))
    if version:
        span_tags.append(tag("otel.scope.version", version))
    span_tags += tags(entry.get("attributes", {}))
    if kind := shown_kind(entry):
        span_tags.append(tag("span.kind", kind))
    status = entry.get("status", names.STATUS_UNSET)
    if status != names.STATUS_UNSET:
        span_tags.append(tag("otel.status_code", status.upper()))
    if status == names.STATUS_ERROR:
        span_tags.append(tag("error", True))
    if message := entry.get("status_message"):
        span_tags.append(tag("otel.status_description", message))
    if state := entry.get("trace_state"):
        span_tags.append(tag("w3c.tracestate", state))
    return span_tags


def shown_kind(entry: Event) -> str:
    """The span's kind as a tag says it; nothing where it has none."""
    kind = entry.get("kind", "")
    return "" if kind == names.KIND_UNSPECIFIED else kind


def _log(log: Mapping[str, Any]) -> Object:
    attributes = log.get("attributes", {})
    fields = [] if "event" in attributes or not log.get("name") else [tag("event", log["name"])]
    return {"timestamp": int(log.get("time_ns", "0")) // 1000, "fields": fields + tags(attributes)}


def tags(attributes: Mapping[str, Any]) -> list[Object]:
    return [tag(key, attributes[key]) for key in sorted(attributes)]


def tag(key: str, value: Any) -> Object:
    """Typed; what Jaeger has no type for is text, lists and objects as JSON."""
    if isinstance(value, bool):
        return {"key": key, "type": "bool", "value": value}
    if isinstance(value, int):
        return {"key": key, "type": "int64", "value": value if abs(value) <= MAX_SAFE_INTEGER else str(value)}
    if isinstance(value, float) and math.isfinite(value):
        return {"key": key, "type": "float64", "value": value}
    if isinstance(value, bytes):
        return {"key": key, "type": "binary", "value": base64.b64encode(value).decode()}
    return {"key": key, "type": "string", "value": text_of(value)}


def text_of(value: Any) -> str:
    """A value as Jaeger writes and compares it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping | list | tuple):
        return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS).decode()
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and math.isfinite(value):
        return orjson.Fragment(_float_text(value))
    if isinstance(value, int) and not _INT64[0] <= value <= _INT64[1]:
        return str(value)
    return value


def _float_text(value: float) -> str:
    """As Go's JSON has doubles: the fewest digits, without a fraction where there is none, an exponent only if it is
    far from zero."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size and not _PLAIN_FLOATS[0] <= size < _PLAIN_FLOATS[1]:
        digits, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
        return f"{digits}e{exponent[0]}{exponent[1:].lstrip('0')}"
    shown = f"{Decimal(repr(value)):f}"
    return shown.removesuffix(".0")
