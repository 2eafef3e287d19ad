"""OTLP/JSON read as flows: what `otlp_writer` writes, a Collector's file exporter, or the body of an export request."""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.event.json_safe import SafeValues
from spanflow.span_processors.otlp.otlp_writer import KINDS, STATUSES

#: The type of a span by its name and attributes.
Classifier = Callable[[str, Mapping[str, Any]], str]
_KINDS: Final = {number: kind for kind, number in KINDS.items()}
_STATUSES: Final = {number: status for status, number in STATUSES.items()}
_KIND_WORDS: Final = {f"SPAN_KIND_{kind.upper()}": kind for kind in KINDS}
_STATUS_WORDS: Final = {f"STATUS_CODE_{status.upper()}": status for status in STATUSES}
_MAX_DEPTH: Final = 64


class NotOtlp(ValueError):
    """Something that is no OTLP/JSON of traces; the message says why."""


@dataclass(slots=True)
class ReadFlow:
    """The spans of one trace, with what their processes and scopes are."""

    flow_id: str
    entries: list[Event] = field(default_factory=list)
    processes: dict[str, Any] = field(default_factory=dict)


def flows_in(request: Any, classify: Classifier) -> list[ReadFlow]:
    """The flows of one request, in the order of their first spans."""
    flows: dict[str, ReadFlow] = {}
    for resource_spans in _list(request, "resourceSpans"):
        about = _described(_object(resource_spans.get("resource")), resource_spans)
        process = "otlp-" + _digest(about)
        for scope_spans in _list(resource_spans, "scopeSpans"):
            scope, key = _scope(scope_spans)
            for span in _list(scope_spans, "spans"):
                flow_id = _id(span, "traceId", 32)
                flow = flows.setdefault(flow_id, ReadFlow(flow_id))
                known = flow.processes.setdefault(process, {"resource": about})
                entry = _entry(span, process, classify)
                if key:
                    known.setdefault("scopes", {})[key] = scope
                    entry["scope"] = key
                flow.entries.append(entry)
    return list(flows.values())


def _scope(scope_spans: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    scope = _object(scope_spans.get("scope"))
    name, version = str(scope.get("name", "")), str(scope.get("version", ""))
    about: dict[str, Any] = {"name": name}
    if version:
        about["version"] = version
    more = _described(scope, scope_spans)
    plain = not more["attributes"] and "schema_url" not in more
    if not plain:
        about |= {part: value for part, value in more.items() if value}
    if not name and plain and not version:
        return about, ""
    key = f"{name}@{version}" if version else name
    return about, key if plain else f"{key}#{_digest(about)}"


def _described(part: Mapping[str, Any], around: Mapping[str, Any]) -> dict[str, Any]:
    values, types = SafeValues().attributes(_attributes(part))
    about: dict[str, Any] = {"attributes": values}
    if types:
        about["types"] = types
    if url := around.get("schemaUrl"):
        about["schema_url"] = str(url)
    return about


def _entry(span: Mapping[str, Any], process: str, classify: Classifier) -> Event:
    name, attributes = str(span.get("name", "")), _attributes(span)
    event_type = classify(name, attributes)
    values = SafeValues()
    safe, types = values.attributes(attributes)
    parent = span.get("parentSpanId")
    entry: dict[str, Any] = {
        "phase": names.END if _time(span, "endTimeUnixNano") else names.START,
        "node_id": _id(span, "spanId", 16),
        "parent_id": _id(span, "parentSpanId", 16) if parent else None,
        "event_type": event_type,
        "name": name,
        "kind": _word(span.get("kind", 0), _KINDS, _KIND_WORDS, names.KIND_UNSPECIFIED),
        "start_ns": _time(span, "startTimeUnixNano") or "0",
        "process": process,
        "flags": _number(span.get("flags")),
    }
    status = _object(span.get("status"))
    if entry["phase"] == names.END:
        entry["end_ns"] = _time(span, "endTimeUnixNano")
        entry["status"] = _word(status.get("code", 0), _STATUSES, _STATUS_WORDS, names.STATUS_UNSET)
        outcome = attributes.get(names.ATTR_OUTCOME)
        if outcome in names.OUTCOMES:
            entry["outcome"] = outcome
        elif event_type != names.PLAIN_SPAN:
            entry["outcome"] = names.OUTCOME_ERROR if entry["status"] == names.STATUS_ERROR else names.OUTCOME_OK
    if message := status.get("message"):
        entry["status_message"] = str(message)
    if state := span.get("traceState"):
        entry["trace_state"] = str(state)
    if safe:
        entry["attributes"] = safe
        if types:
            entry["types"] = types
    _add_parts(entry, span)
    return entry  # type: ignore[return-value]


def _add_parts(entry: dict[str, Any], span: Mapping[str, Any]) -> None:
    if logs := [_log(log) for log in _list(span, "events")]:
        entry["logs"] = logs
    if links := [_link(link) for link in _list(span, "links")]:
        entry["links"] = links
    cut = {
        what: number
        for what, field_name in (
            ("attributes", "droppedAttributesCount"),
            ("logs", "droppedEventsCount"),
            ("links", "droppedLinksCount"),
        )
        if (number := _number(span.get(field_name)))
    }
    if cut:
        entry["cut"] = cut


def _log(log: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": str(log.get("name", "")), "time_ns": _time(log, "timeUnixNano") or "0", **_part(log)}


def _link(link: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"trace_id": _id(link, "traceId", 32), "span_id": _id(link, "spanId", 16)}
    if state := link.get("traceState"):
        fields["trace_state"] = str(state)
    if flags := _number(link.get("flags")):
        fields["flags"] = flags
    return {**fields, **_part(link)}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    values, types = SafeValues().attributes(_attributes(part))
    fields: dict[str, Any] = {"attributes": values} if values else {}
    return {**fields, "types": types} if types else fields


def _attributes(part: Mapping[str, Any]) -> dict[str, Any]:
    return {str(each.get("key", "")): _value(each.get("value"), 0) for each in _list(part, "attributes")}


def _value(value: Any, depth: int) -> Any:
    """What an `AnyValue` says. It is nested at most as deeply as the reader of JSON allows."""
    if not isinstance(value, Mapping) or not value:
        return None
    if depth > _MAX_DEPTH:
        raise NotOtlp("a value is nested too deeply")
    kind, content = next(iter(value.items()))
    try:
        if kind == "stringValue":
            return str(content)
        if kind == "boolValue":
            return bool(content)
        if kind == "intValue":
            return int(content)
        if kind == "doubleValue":
            return float(content)
        if kind == "bytesValue":
            return base64.b64decode(content, validate=True)
    except (TypeError, ValueError):
        raise NotOtlp(f"{kind} cannot be {str(content)[:50]!r}") from None
    if kind == "arrayValue":
        return [_value(item, depth + 1) for item in _list(_object(content), "values")]
    if kind == "kvlistValue":
        members = _list(_object(content), "values")
        return {str(each.get("key", "")): _value(each.get("value"), depth + 1) for each in members}
    raise NotOtlp(f"there is no kind of value {str(kind)[:50]!r}")


def _list(part: Any, name: str) -> Iterator[Mapping[str, Any]]:
    value = part.get(name) if isinstance(part, Mapping) else None
    if value is None and isinstance(part, Mapping):
        return
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise NotOtlp(f"{name} must be a list of objects")
    yield from value


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _id(part: Mapping[str, Any], name: str, digits: int) -> str:
    value = part.get(name)
    text = value.lower() if isinstance(value, str) else ""
    if len(text) != digits or not set(text) <= set("0123456789abcdef") or not text.strip("0"):
        raise NotOtlp(f"{name} must be {digits} hexadecimal digits, not {str(value)[:50]!r}")
    return text


def _time(part: Mapping[str, Any], name: str) -> str | None:
    value = part.get(name)
    if value in (None, 0, "0", ""):
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise NotOtlp(f"{name} must be nanoseconds since 1970, not {text[:50]!r}")
    return text


def _number(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def _word(value: Any, by_number: Mapping[int, str], by_word: Mapping[str, str], otherwise: str) -> str:
    if isinstance(value, str):
        return by_word.get(value, otherwise)
    return by_number.get(value, otherwise) if isinstance(value, int) else otherwise


def _digest(about: Mapping[str, Any]) -> str:
    """Stands for a resource or scope, the same for the same one."""
    return hashlib.blake2b(orjson.dumps(about, option=orjson.OPT_SORT_KEYS), digest_size=6).hexdigest()
