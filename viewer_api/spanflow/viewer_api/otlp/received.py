"""Spans from elsewhere as the encoder reads the SDK's own: the same fields, filled from OTLP messages."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status as StatusMessage
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.trace.span import DEFAULT_TRACE_STATE as _NO_STATE

from spanflow.span_processors.encoding.receiving_encoder import Received
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
#: What is cut from most spans: attributes, events, links.
_WHOLE: Final = (0, 0, 0)
_number: Final = int.from_bytes
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
#: By OTLP's number of their kind, of clients that do not say: spans that another process has usually called.
_CALLED: Final = frozenset({2, 5})


class ReceivedResource(Resource):
    """What a service says of itself; nested values are kept."""

    def __init__(self, attributes: Mapping[str, Any], schema_url: str) -> None:
        self._attributes = attributes  # type: ignore[assignment]
        self._schema_url = schema_url


class ReceivedScope(InstrumentationScope):
    """The library that made spans; nested values are kept."""

    def __init__(
        self, name: str, version: str, schema_url: str, attributes: Mapping[str, Any], number: int = 0
    ) -> None:
        super().__init__(name, version or None, schema_url or None)
        #: Tells it from all other scopes of this process.
        self.number = number
        self._attributes = attributes  # type: ignore[assignment]


class ReceivedStatus(Status):
    """The SDK's own refuses a description of anything but an error, and writes a log line."""

    def __init__(self, code: StatusCode, description: str) -> None:
        super().__init__(code)
        self._description = description or None


class ReceivedSpan(Received):
    """One ended span. The encoder's fast path reads plain fields; the SDK's objects are made for the thorough one only.

    Thousands are made in a second: what most spans do not have is not looked for in them.
    """

    def __init__(self, message: Message, resource: ReceivedResource, scope: ReceivedScope) -> None:
        number = message.kind
        self._kind = _KINDS[number] if 0 <= number < len(_KINDS) else UNSPECIFIED
        self.flags = flags = message.flags
        self.trace_id = _number(message.trace_id, "big")
        self.span_id = _number(message.span_id, "big")
        #: 0 where there is none.
        self.parent_id = parent_id = _number(message.parent_span_id, "big")
        self.from_elsewhere = bool(flags & _IS_REMOTE) if flags & _KNOWS_REMOTE else number in _CALLED
        self.is_root = not parent_id or self.from_elsewhere
        self._name = message.name
        self._resource = resource
        self._instrumentation_scope = scope
        self._start_time = message.start_time_unix_nano
        self._end_time = message.end_time_unix_nano
        self.given = attributes_of(message.attributes)
        self._events: Sequence[Event] = ()
        self._links: Sequence[Link] = ()
        self._status = _UNSET
        self._cut = _WHOLE
        self._state = _NO_STATE
        #: Whether there is no more to it than these fields.
        self.is_plain = True
        if message.HasField("status"):
            self._status = status = _status(message.status)
            self.is_plain = status is _UNSET or not status.description
        events, links = message.events, message.links
        cut = message.dropped_attributes_count, message.dropped_events_count, message.dropped_links_count
        if events or links or cut != _WHOLE or message.trace_state:
            self.is_plain = False
            self._events = tuple(map(_event, events))
            self._links = tuple(map(_link, links))
            self._cut = cut
            self._state = _trace_state(message.trace_state) if message.trace_state else _NO_STATE

    @property
    def _context(self) -> SpanContext:  # type: ignore[override]
        return _context(self.trace_id, self.span_id, False, self.flags, self._state)

    @property
    def _parent(self) -> SpanContext | None:  # type: ignore[override]
        if not self.parent_id:
            return None
        return _context(self.trace_id, self.parent_id, self.from_elsewhere, self.flags & 0xFF, _NO_STATE)

    @property
    def attributes(self) -> Mapping[str, Any]:
        return self.given

    @property
    def dropped_attributes(self) -> int:
        return self._cut[0]

    @property
    def dropped_events(self) -> int:
        return self._cut[1]

    @property
    def dropped_links(self) -> int:
        return self._cut[2]


def _context(trace_id: int, span_id: int, remote: bool, flags: int, state: TraceState) -> SpanContext:
    """Without asking whether the ids are any: those of spans have been looked at."""
    return _made(SpanContext, (trace_id, span_id, remote, TraceFlags(flags), state, True))


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
