"""Spans from elsewhere as the encoder reads the SDK's own: the same fields, filled from OTLP messages."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from spanflow.span_processors.encoding.span_events import UNSPECIFIED

#: By OTLP's number.
_KINDS: Final = (
    UNSPECIFIED,
    SpanKind.INTERNAL,
    SpanKind.SERVER,
    SpanKind.CLIENT,
    SpanKind.PRODUCER,
    SpanKind.CONSUMER,
)
_CODES: Final = (StatusCode.UNSET, StatusCode.OK, StatusCode.ERROR)
_UNSET: Final = Status()
#: https://www.w3.org/TR/trace-context/#tracestate-header-field-values, as strictly as the SDK has it.
_MEMBER: Final = re.compile(
    r"([a-z][_0-9a-z*/-]{0,255}|[a-z0-9][_0-9a-z*/-]{0,240}@[a-z][_0-9a-z*/-]{0,13})"
    r"=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)
_MOST_MEMBERS: Final = 32
#: Flags of a span or link: whether it is known where the parent was, and whether it was in another process.
_KNOWS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
#: Of clients that do not say: spans that another process has usually called.
_CALLED: Final = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})


class ReceivedAttributes:
    """Attributes in the form of the SDK's, of which the encoder reads these two fields."""

    __slots__ = ("_dict", "dropped")

    def __init__(self, attributes: dict[str, Any], dropped: int) -> None:
        self._dict = attributes
        self.dropped = dropped


class ReceivedResource(Resource):
    """What a service says of itself; nested values are kept."""

    def __init__(self, attributes: Mapping[str, Any], schema_url: str) -> None:
        self._attributes = attributes  # type: ignore[assignment]
        self._schema_url = schema_url


class ReceivedScope(InstrumentationScope):
    """The library that made spans; nested values are kept."""

    def __init__(self, name: str, version: str, schema_url: str, attributes: Mapping[str, Any]) -> None:
        super().__init__(name, version or None, schema_url or None)
        self._attributes = attributes  # type: ignore[assignment]


class ReceivedStatus(Status):
    """The SDK's own refuses a description of anything but an error, and writes a log line."""

    def __init__(self, code: StatusCode, description: str) -> None:
        super().__init__(code)
        self._description = description or None


class ReceivedSpan(ReadableSpan):
    """One ended span. It has the fields by which the encoder reads the SDK's spans quickly."""

    def __init__(self, message: Message, resource: ReceivedResource, scope: ReceivedScope) -> None:
        kind = _KINDS[message.kind] if 0 <= message.kind < len(_KINDS) else UNSPECIFIED
        trace_id = int.from_bytes(message.trace_id, "big")
        flags = message.flags
        self._name = message.name
        self._context = _context(trace_id, message.span_id, flags, message.trace_state)
        self._kind = kind
        self._instrumentation_scope = scope
        self._parent = None
        if any(message.parent_span_id):
            remote = bool(flags & _IS_REMOTE) if flags & _KNOWS_REMOTE else kind in _CALLED
            parent_id = int.from_bytes(message.parent_span_id, "big")
            self._parent = SpanContext(trace_id, parent_id, remote, TraceFlags(flags & 0xFF))
        self._start_time = message.start_time_unix_nano
        self._end_time = message.end_time_unix_nano
        self._attributes = ReceivedAttributes(  # type: ignore[assignment]
            attributes_of(message.attributes), message.dropped_attributes_count
        )
        self._events = tuple(
            Event(event.name, attributes_of(event.attributes), event.time_unix_nano) for event in message.events
        )
        self._links = tuple(
            Link(
                _context(int.from_bytes(link.trace_id, "big"), link.span_id, link.flags, link.trace_state),
                attributes_of(link.attributes),
            )
            for link in message.links
        )
        self._resource = resource
        status = message.status
        self._status = _UNSET
        if status.code or status.message:
            code = _CODES[status.code] if 0 <= status.code < len(_CODES) else StatusCode.UNSET
            self._status = ReceivedStatus(code, status.message)
        self._dropped_events = message.dropped_events_count
        self._dropped_links = message.dropped_links_count

    @property
    def attributes(self) -> Mapping[str, Any]:
        held: ReceivedAttributes = self._attributes  # type: ignore[assignment]
        return held._dict

    @property
    def dropped_attributes(self) -> int:
        held: ReceivedAttributes = self._attributes  # type: ignore[assignment]
        return held.dropped

    @property
    def dropped_events(self) -> int:
        return self._dropped_events

    @property
    def dropped_links(self) -> int:
        return self._dropped_links


def _context(trace_id: int, span_id: bytes, flags: int, state: str) -> SpanContext:
    span = int.from_bytes(span_id, "big")
    return SpanContext(trace_id, span, False, TraceFlags(flags), _trace_state(state) if state else DEFAULT_TRACE_STATE)


def _trace_state(text: str) -> TraceState:
    """None of it counts unless all of it is valid. The SDK's own reader would write what is not into the log."""
    members = [member for each in text.split(",", _MOST_MEMBERS) if (member := each.strip(" \t"))]
    pairs = [(match[1], match[2]) for member in members if (match := _MEMBER.fullmatch(member)) is not None]
    if not pairs or len(pairs) < len(members) or len(pairs) > _MOST_MEMBERS or len(dict(pairs)) < len(pairs):
        return DEFAULT_TRACE_STATE
    return TraceState(pairs)


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Of a key that comes twice the first counts, as the protocol allows."""
    attributes: dict[str, Any] = {}
    for pair in pairs:
        if pair.key not in attributes:
            attributes[pair.key] = value_of(pair.value)
    return attributes


def value_of(value: AnyValue) -> Any:
    """Recursion is bounded: the reader of messages refuses a hundred levels."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(value_of(member) for member in value.array_value.values)
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)
