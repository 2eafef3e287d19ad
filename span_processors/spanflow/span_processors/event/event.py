"""The event: the start, an update or the end of a span, as it is written to Redis and, merged, to Postgres.

`docs/events.md` says what each field means, and `event.schema.json` is the same as JSON Schema.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict, cast

import orjson

from spanflow.span_processors import names
from spanflow.span_processors.event.json_safe import SafeValues, TypeSpec, is_plain, restored_attributes
from spanflow.span_processors.event.legacy_event import from_legacy
from spanflow.span_processors.ids import is_id


class EventError(ValueError):
    """Something that is no event. The message says why; the record should be put aside, not retried."""


class Link(TypedDict, total=False):
    """Another span that this one refers to. Its ids are hex strings."""

    trace_id: str
    span_id: str
    trace_state: str
    flags: int
    attributes: dict[str, Any]
    types: dict[str, TypeSpec]


class Log(TypedDict, total=False):
    """Something that happened at one moment of a span: an OpenTelemetry span event, or a log record about the span."""

    name: str
    time_ns: str
    #: It is a log record: it came by itself, perhaps long after the span and from another program.
    record: bool
    attributes: dict[str, Any]
    types: dict[str, TypeSpec]


class Event(TypedDict, total=False):
    """One event. Only `phase` and `node_id` are always there; times are nanoseconds since 1970 as decimal strings."""

    v: int
    phase: str
    flow_id: str
    node_id: str
    parent_id: str | None
    event_type: str
    name: str
    kind: str
    start_ns: str
    end_ns: str
    #: When an update was made: the latest of several updates counts.
    updated_ns: str
    status: str
    status_message: str
    outcome: str
    attributes: dict[str, Any]
    types: dict[str, TypeSpec]
    links: list[Link]
    logs: list[Log]
    process: str
    scope: str
    flags: int
    trace_state: str
    #: In a merged entry: only log records have come; times, name and type are theirs and not the span's.
    stub: bool
    #: Attributes, logs and links that a limit has cut, counted.
    cut: dict[str, int]
    #: In a merged entry: what came after the start (field names, and `attributes/<key>`), ...
    late: list[str]
    #: ... and what the start had said where a later event said something else.
    was: dict[str, Any]


_MAX_DIGITS: Final = 20
#: So much nesting is written again by every JSON writer; what has more brackets is looked at more closely.
_MAX_NESTING: Final = 100


def encode(event: Event) -> bytes:
    """The event as JSON that JSONB, JavaScript and Redis can keep. Any attribute value is accepted; it never raises
    because of one."""
    if "links" not in event and "logs" not in event and is_plain(event.get("attributes", {})):
        try:
            encoded = orjson.dumps(event)
        except (TypeError, ValueError):
            pass
        else:
            if b"\\u0000" not in encoded:
                return encoded
    return orjson.dumps(made_safe(event))


def made_safe(event: Event) -> Event:
    """The event with every value in a form that JSON can carry, and `types` for what JSON could not say. For events
    whose attributes are as the span had them: once, where the event is made."""
    values = SafeValues()
    source = cast(dict[str, Any], event)
    safe = _safe_part(source, values)
    for field in ("links", "logs"):
        if field in source:
            safe[field] = [_safe_part(part, values) for part in source[field]]
    return cast(Event, safe)


_TYPED: Final = frozenset({"attributes", "types", "links", "logs"})


def _safe_part(part: Mapping[str, Any], values: SafeValues) -> dict[str, Any]:
    safe = {key: values.convert(value)[0] for key, value in part.items() if key not in _TYPED}
    if "attributes" in part:
        safe["attributes"], types = values.attributes(part["attributes"])
        if types:
            safe["types"] = types
    return safe


def decode(data: bytes | bytearray | memoryview | str) -> Event:
    """The event that was written, by `encode` or by a gateway older than Spanflow. `EventError` if it is none."""
    try:
        value = orjson.loads(data)
    except ValueError as why:
        raise EventError(f"not JSON: {why}") from None
    if isinstance(data, str):
        data = data.encode(errors="replace")
    if bytes(data).count(b"[") + bytes(data).count(b"{") > _MAX_NESTING:
        try:
            orjson.dumps(value)
        except TypeError:
            raise EventError("nested too deeply") from None
    if b"\\u0000" in bytes(data):
        value = SafeValues().convert(value)[0]
    return checked(value)


def checked(value: Any) -> Event:
    """`value` as an event: itself when it is one, translated when it is one of an existing gateway's own events."""
    if not isinstance(value, dict):
        raise EventError(f"an event is an object, not {type(value).__name__}")
    if "phase" not in value:
        value = from_legacy(value)
    if not is_id(value.get("node_id")):
        raise EventError("node_id must be a string of 1 to 128 characters without control characters, braces or '/'")
    for field, content in value.items():
        if type(content) is _SUFFICIENT.get(field):
            continue
        check = _CHECKS.get(field)
        if check is not None and not check[0](content):
            raise EventError(f"{field} must be {check[1]}")
    return cast(Event, value)


def _is_time(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_DIGITS and value.isascii() and value.isdigit()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_list_of_parts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_part, value))


def _is_part(value: object) -> bool:
    """A link or a log."""
    return isinstance(value, dict) and all(
        check(value[field]) for field, check in _PART_CHECKS.items() if field in value
    )


_PART_CHECKS: Final[dict[str, Callable[[object], bool]]] = {
    "attributes": _is_object,
    "types": _is_object,
    "trace_id": _is_text,
    "span_id": _is_text,
    "trace_state": _is_text,
    "name": _is_text,
    "time_ns": _is_time,
    "flags": _is_number,
}


_A_TIME: Final = (_is_time, "a string of decimal digits")
_A_TEXT: Final = (_is_text, "a string")
_AN_OBJECT: Final = (_is_object, "an object")
_PARTS: Final = (_is_list_of_parts, "a list of objects whose fields are of their types")
_CHECKS: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "phase": (lambda value: isinstance(value, str) and value in names.PHASES, "one of " + ", ".join(names.PHASES)),
    "parent_id": (lambda value: value is None or is_id(value), "an id or null"),
    "start_ns": _A_TIME,
    "end_ns": _A_TIME,
    "updated_ns": _A_TIME,
    "attributes": _AN_OBJECT,
    "types": _AN_OBJECT,
    "links": _PARTS,
    "logs": _PARTS,
    "flags": (_is_number, "a whole number from 0 on"),
} | dict.fromkeys(
    ("flow_id", "event_type", "name", "kind", "status", "status_message", "outcome", "process", "scope", "trace_state"),
    _A_TEXT,
)

#: Fields of which a value of this very type needs no closer look.
_SUFFICIENT: Final[dict[str, type]] = {
    field: str if check is _A_TEXT else dict for field, check in _CHECKS.items() if check in (_A_TEXT, _AN_OBJECT)
}


def restored(event: Event) -> Event:
    """The event with the attribute values that the span had: `types` has been applied and is gone."""
    source = cast(dict[str, Any], event)
    result = _restored_part(source)
    for field in ("links", "logs"):
        if field in source:
            result[field] = [_restored_part(part) for part in source[field]]
    return cast(Event, result)


def _restored_part(part: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: value for key, value in part.items() if key != "types"}
    if "attributes" in part:
        result["attributes"] = restored_attributes(part["attributes"], part.get("types"))
    return result


def is_checkpoint(event: Event) -> bool:
    """Whether the span is a step that a person would name, and not an HTTP call or a query beneath one."""
    return event.get("event_type", names.PLAIN_SPAN) != names.PLAIN_SPAN
