"""Spans from elsewhere as the encoder reads the SDK's own: the same fields, filled from OTLP messages."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status as StatusMessage
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.trace.span import DEFAULT_TRACE_STATE as _NO_STATE

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
#: By their number: those that a span usually has.
_FLAGS: Final = tuple(map(TraceFlags, range(0x400)))
#: What is cut from most spans: attributes, events, links.
_WHOLE: Final = (0, 0, 0)
#: Makes a named tuple without the detour over its constructor.
_made: Final = tuple.__new__
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

    def __init__(self, attributes: dict[str, Any], dropped: bool) -> None:
        self._dict = attributes
        #: Whether limits have cut anything from the span: the encoder's fast path asks nothing else.
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
    """One ended span. It has the fields by which the encoder reads the SDK's spans quickly.

    Thousands are made in a second: what most spans do not have is not looked for in them.
    """

    def __init__(self, message: Message, resource: ReceivedResource, scope: ReceivedScope) -> None:
        kind = _KINDS[message.kind] if 0 <= message.kind < len(_KINDS) else UNSPECIFIED
        trace_id = int.from_bytes(message.trace_id, "big")
        flags = message.flags
        state = message.trace_state
        self._name = message.name
        self._context = _context(trace_id, message.span_id, flags, _trace_state(state) if state else _NO_STATE)
        self._kind = kind
        self._instrumentation_scope = scope
        self._parent = None
        if (parent := message.parent_span_id) and any(parent):
            remote = bool(flags & _IS_REMOTE) if flags & _KNOWS_REMOTE else kind in _CALLED
            self._parent = _context(trace_id, parent, flags & 0xFF, _NO_STATE, remote)
        self._start_time = message.start_time_unix_nano
        self._end_time = message.end_time_unix_nano
        self._cut = cut = (
            message.dropped_attributes_count,
            message.dropped_events_count,
            message.dropped_links_count,
        )
        attributes = attributes_of(message.attributes)
        self._attributes = ReceivedAttributes(attributes, cut != _WHOLE)  # type: ignore[assignment]
        events, links = message.events, message.links
        self._events = tuple(map(_event, events)) if events else ()
        self._links = tuple(map(_link, links)) if links else ()
        self._resource = resource
        self._status = _status(message.status) if message.HasField("status") else _UNSET

    @property
    def attributes(self) -> Mapping[str, Any]:
        held: ReceivedAttributes = self._attributes  # type: ignore[assignment]
        return held._dict

    @property
    def dropped_attributes(self) -> int:
        return self._cut[0]

    @property
    def dropped_events(self) -> int:
        return self._cut[1]

    @property
    def dropped_links(self) -> int:
        return self._cut[2]


def _context(trace_id: int, span_id: bytes, flags: int, state: TraceState, remote: bool = False) -> SpanContext:
    """As the SDK makes it, without asking whether the ids are any: those of spans have been looked at."""
    shown = _FLAGS[flags] if flags < len(_FLAGS) else TraceFlags(flags)
    return _made(SpanContext, (trace_id, int.from_bytes(span_id, "big"), remote, shown, state, True))


def _event(event: Message.Event) -> Event:
    return Event(event.name, attributes_of(event.attributes), event.time_unix_nano)


def _link(link: Message.Link) -> Link:
    # What it names may be no span at all.
    state = _trace_state(link.trace_state) if link.trace_state else _NO_STATE
    trace_id, span_id = int.from_bytes(link.trace_id, "big"), int.from_bytes(link.span_id, "big")
    context = SpanContext(trace_id, span_id, False, TraceFlags(link.flags), state)
    return Link(context, attributes_of(link.attributes))


def _status(status: StatusMessage) -> Status:
    if not (status.code or status.message):
        return _UNSET
    code = _CODES[status.code] if 0 <= status.code < len(_CODES) else StatusCode.UNSET
    return ReceivedStatus(code, status.message)


def _trace_state(text: str) -> TraceState:
    """None of it counts unless all of it is valid. The SDK's own reader would write what is not into the log."""
    members = [member for each in text.split(",", _MOST_MEMBERS) if (member := each.strip(" \t"))]
    pairs = [(match[1], match[2]) for member in members if (match := _MEMBER.fullmatch(member)) is not None]
    if not pairs or len(pairs) < len(members) or len(pairs) > _MOST_MEMBERS or len(dict(pairs)) < len(pairs):
        return _NO_STATE
    return TraceState(pairs)


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Of a key that comes twice the first counts, as the protocol allows."""
    attributes: dict[str, Any] = {}
    for pair in pairs:
        key, value = pair.key, pair.value
        if key not in attributes:
            # Nearly all are texts.
            attributes[key] = value.string_value or value_of(value)
    return attributes


def value_of(value: AnyValue) -> Any:
    """Recursion is bounded: the reader of messages refuses a hundred levels."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(value_of(member) for member in value.array_value.values)
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)
