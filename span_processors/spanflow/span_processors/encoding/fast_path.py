"""The events of spans about which nothing is unusual, written straight into bytes; all others are `SpanEncoder`'s.

Three things make it quick. A span is read through the SDK's own fields: each public property costs a call, some a copy
under a lock; a span without these fields is unusual. What is the same for all spans of a shape is written once. And the
merged entry of an ended span is spliced together from the bytes of its start and of its end, which is why `attributes`
stand last in a start.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final, TypeAlias

import orjson
from opentelemetry.trace import StatusCode
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from spanflow.span_processors import names
from spanflow.span_processors.encoding.clean_attributes import CleanAttributes, Who, who_of
from spanflow.span_processors.encoding.event_types import EventTypes
from spanflow.span_processors.encoding.open_flows import OpenSpan
from spanflow.span_processors.encoding.shapes import Shape, Shapes
from spanflow.span_processors.event.told_outcome import told_outcome
from spanflow.span_processors.span_attributes import LendingAttributes

_START: Final = b'{"v":1,"flow_id":"%b","node_id":"%016x","phase":"start","parent_id":%b,"start_ns":"%d",%b'
_END: Final = b'{"v":1,"flow_id":"%b","node_id":"%016x",%b}'
_END_WITH_MORE: Final = b'{"v":1,"flow_id":"%b","node_id":"%016x",%b,"attributes":%b}'
_MERGED: Final = b'{"node_id":"%016x",%b%b,%b,"late":%b}'
_ONCE: Final = (
    b'{"v":1,"flow_id":"%b","node_id":"%016x","parent_id":%b,"start_ns":"%d",%b%b%b,'
    b'"phase":"end","end_ns":"%d","status":%b,"late":%b}'
)
#: The same, with what stands between the times and after them put together already.
_RECEIVED: Final = (
    b'{"v":1,"flow_id":"%b","node_id":"%016x","parent_id":%b,"start_ns":"%d",%b,'
    b'"phase":"end","end_ns":"%d","status":%b}'
)
_ATTRIBUTES: Final = b',"attributes":'
#: What comes before `node_id` in a span told once: the fields that all entries of a flow share.
SHARED: Final = len(_ONCE[: _ONCE.index(b'"node_id"')] % (b"f" * 32))
#: What comes before `parent_id` in every start.
_HEAD: Final = len(_START[: _START.index(b'"parent_id"')] % (b"f" * 32, 0))
_ABSENT: Final = object()
_NOTHING: Final[Mapping[str, Any]] = {}
_REMEMBERED: Final = 8192
#: Attributes that are longer, as JSON, seldom come twice.
_SEEN_LENGTH: Final = 256
_OUTCOMES: Final = {outcome: outcome.encode() for outcome in names.OUTCOMES}
_LATE: Final = ("end_ns", "status")
_LATE_WITH_OUTCOME: Final = ("end_ns", "outcome", "status")
#: What nearly every end says: its status and outcome, and the names of the fields that only the end says.
_USUAL: Final = (b'"unset"', orjson.dumps(_LATE))
_USUAL_CHECKPOINT: Final = (b'"unset","outcome":"ok"', orjson.dumps(_LATE_WITH_OUTCOME))
# Compared by identity: hashing an enumeration's member costs a call.
_UNSET: Final = StatusCode.UNSET
_ERROR: Final = StatusCode.ERROR

#: The start event, its shape, how many links it tells, how many values were hidden, and whether an end may be spliced
#: onto it. Plain tuples, as these are made for every span.
Started: TypeAlias = tuple[bytes, Shape, int, int, bool]
#: The end event, the whole span as one merged entry, whether dashboards hear of it now, how many values were hidden.
Ended: TypeAlias = tuple[bytes, bytes, bool, int]
#: Start and end in one entry as it goes into the stream, the shape, and whether it says whose flow it is.
CompleteSpan: TypeAlias = tuple[bytes, Shape, bool]
#: The same of a received span, with what its attributes say of whose flow it is.
ReceivedSpanEntry: TypeAlias = tuple[bytes, Shape, Who | None]


class FastPath:
    """Every method gives None when something about the span is unusual. Used by the encoder's thread only."""

    def __init__(self, clean: CleanAttributes, types: EventTypes, shapes: Shapes) -> None:
        self._clean = clean
        self._types = types
        self._shapes = shapes
        self._late: dict[tuple[str, ...], bytes] = {}
        #: Of spans that were received.
        self._seen: dict[tuple[Any, ...], tuple[Shape, bytes, bytes, Who | None]] = {}

    def after_fork(self) -> None:
        """The process has another name now, and that stands in every shape."""
        self._seen.clear()

    def start(
        self, flow_id: bytes, span: Any, name: str, attributes: Mapping[str, Any], more: Mapping[str, Any]
    ) -> Started | None:
        """The start event. `more` is said beside the span's own attributes."""
        try:
            links, parent, kind, scope = span._links, span._parent, span._kind, span._instrumentation_scope
            if links if type(links) is tuple else links._dq:
                return None
        except AttributeError:
            return None
        _, span_id, _, flags, state, _ = span._context
        cleaned = self._cleaned(attributes, more)
        if cleaned is None or (state is not DEFAULT_TRACE_STATE and state):
            return None
        written, hidden, _ = cleaned
        shape = self._shapes.of(name, self._types.of(name, attributes), kind, scope, flags, span._resource)
        parent_id = b"null" if parent is None else b'"%016x"' % parent[1]
        data = _START % (flow_id, span_id, parent_id, span._start_time or 0, shape.middle)
        data = b"%b%b%b}" % (data, _ATTRIBUTES, written) if written else data + b"}"
        return data, shape, 0, hidden + shape.hidden, True

    def end(self, flow_id: bytes, span: Any, attributes: Mapping[str, Any], opened: OpenSpan) -> Ended | None:
        """The end event, which says what the start did not, and the whole span."""
        try:
            name, status = span._name, span._status
            if not opened.usual or name != opened.name or _says_more(span, status):
                return None
        except AttributeError:
            return None
        difference = _difference(opened.attributes, attributes, span._attributes)
        if difference is None or (difference and not opened.more.keys().isdisjoint(difference)):
            return None
        shape, span_id, start = opened.shape, opened.span_id, opened.data
        written, hidden = b"", 0
        if difference:
            cleaned = self._clean(difference)
            if cleaned is None or self._types.of(name, attributes) != shape.event_type:
                return None
            written, difference, hidden, _ = cleaned
        said, late = self._said_at_end(status._status_code, difference, attributes, shape)
        tail = b'"phase":"end","end_ns":"%d","status":%b' % (span._end_time or 0, said)
        if not difference:
            data = _END % (flow_id, span_id, tail)
            return data, _MERGED % (span_id, start[_HEAD:-1], b"", tail, late), shape.notifies_at_end, hidden
        data = _END_WITH_MORE % (flow_id, span_id, tail, written)
        if start.endswith(b"}}"):
            body, more = start[_HEAD:-2] + b",", written[1:]
        else:
            body, more = start[_HEAD:-1] + _ATTRIBUTES, written
        return data, _MERGED % (span_id, body, more, tail, late), shape.notifies_at_end, hidden

    def complete(
        self,
        flow_id: bytes,
        span: Any,
        attributes: Mapping[str, Any],
        event_type: str,
        name: str,
        before: Mapping[str, Any],
        more: Mapping[str, Any],
    ) -> CompleteSpan | None:
        """A span that has ended already, in one entry. `event_type`, `name` and `before` are what its start had."""
        status, parent = span._status, span._parent
        _, span_id, _, flags, state, _ = span._context
        if span._name != name or _says_more(span, status) or (state is not DEFAULT_TRACE_STATE and state):
            return None
        difference = _difference(before, attributes, span._attributes)
        if difference is None or (difference and self._types.of(name, attributes) != event_type):
            return None
        cleaned = self._cleaned(attributes, more)
        if cleaned is None or cleaned[1]:
            return None
        written = cleaned[0]
        shape = self._shapes.of(name, event_type, span._kind, span._instrumentation_scope, flags, span._resource)
        said, late = self._said_at_end(status._status_code, difference, attributes, shape)
        data = _ONCE % (
            flow_id,
            span_id,
            b"null" if parent is None else b'"%016x"' % parent[1],
            span._start_time or 0,
            shape.middle,
            _ATTRIBUTES if written else b"",
            written,
            span._end_time or 0,
            said,
            late,
        )
        return data, shape, cleaned[2]

    def _cleaned(self, attributes: Mapping[str, Any], more: Mapping[str, Any]) -> tuple[bytes, int, bool] | None:
        """A span's own attributes and what is said beside them as JSON, how many values were hidden, and whether its
        own ones say whose flow it is. No bytes where there are none."""
        own = self._clean(attributes)
        if own is None:
            return None
        written, clean, hidden, says_who = own
        if not more:
            return (written if clean else b""), hidden, says_who
        # For itself: of what is said beside them there is little that was not written before.
        beside = self._clean(more)
        if beside is None:
            return None
        if clean:
            written = b"%b,%b" % (written[:-1], beside[0][1:])
        else:
            written = beside[0]
        return written, hidden + beside[2], says_who

    def received(self, flow_id: bytes, span: Any) -> ReceivedSpanEntry | None:
        """A span that another program has sent when it had ended (`Received`), in one entry.

        What its name, attributes, scope and status say together is found once for all spans that have the same.
        """
        if not span.is_plain:
            return None
        attributes, name, kind, scope = span.given, span._name, span._kind, span._instrumentation_scope
        code = span._status._status_code
        try:
            written = orjson.dumps(attributes)
        except (TypeError, ValueError):
            return None
        # By identity, as in `Shapes`, which keeps scopes alive.
        key = (written, name, id(kind), id(scope), span.flags, id(code))
        said = self._seen.get(key)
        if said is None:
            said = self._read_once(span, attributes)
            if said is None:
                return None
            if len(written) <= _SEEN_LENGTH:
                if len(self._seen) >= _REMEMBERED:
                    self._seen.clear()
                self._seen[key] = said
        shape, body, tail, who = said
        parent_id = span.parent_id
        parent = b'"%016x"' % parent_id if parent_id else b"null"
        return _RECEIVED % (flow_id, span.span_id, parent, span._start_time, body, span._end_time, tail), shape, who

    def _read_once(self, span: Any, attributes: Mapping[str, Any]) -> tuple[Shape, bytes, bytes, Who | None] | None:
        """The shape of a received span, what stands between its times, what stands after them, and whose it is."""
        cleaned = self._clean(attributes)
        if cleaned is None or cleaned[2]:
            return None
        name, code = span._name, span._status._status_code
        event_type = self._types.of(name, attributes)
        shape = self._shapes.of(name, event_type, span._kind, span._instrumentation_scope, span.flags, span._resource)
        said, late = self._said_at_end(code, _NOTHING, attributes, shape)
        body = b"%b%b%b" % (shape.middle, _ATTRIBUTES, cleaned[0]) if attributes else shape.middle
        return shape, body, b'%b,"late":%b' % (said, late), who_of(attributes) if cleaned[3] else None

    def _said_at_end(
        self, code: StatusCode, difference: Mapping[str, Any], attributes: Mapping[str, Any], shape: Shape
    ) -> tuple[bytes, bytes]:
        """Status and outcome, and the names of the fields that only the end says."""
        said = attributes.get(names.ATTR_OUTCOME)
        outcome = _OUTCOMES.get(said) if type(said) is str else None
        if outcome is None and shape.is_checkpoint and (told := told_outcome(attributes)) is not None:
            outcome = _OUTCOMES[told]
        if outcome is None and code is _UNSET and not difference:
            return _USUAL_CHECKPOINT if shape.is_checkpoint else _USUAL
        status = b"unset" if code is _UNSET else b"error" if code is _ERROR else b"ok"
        if outcome is None:
            if not shape.is_checkpoint:
                return b'"%b"' % status, self._late_fields(_LATE, difference)
            outcome = b"error" if code is _ERROR else b"ok"
        return b'"%b","outcome":"%b"' % (status, outcome), self._late_fields(_LATE_WITH_OUTCOME, difference)

    def _late_fields(self, fields: tuple[str, ...], difference: Mapping[str, Any]) -> bytes:
        key = (*fields, *difference)
        late = self._late.get(key)
        if late is None:
            if len(self._late) > _REMEMBERED:
                self._late.clear()
            late = self._late[key] = orjson.dumps(sorted([*fields, *(f"attributes/{name}" for name in difference)]))
        return late


def _says_more(span: Any, status: Any) -> bool:
    """Whether the end has to say more than status, outcome and attributes. Raises `AttributeError` for a strange span.

    The SDK keeps events and links in lists of its own kind, quick spans an empty tuple while there are none.
    """
    events, links = span._events, span._links
    return bool(
        status._description
        or (events if type(events) is tuple else events._dq)
        or (links if type(links) is tuple else links._dq)
        or span._attributes.dropped
    )


def _difference(before: Mapping[str, Any], after: Mapping[str, Any], own: object) -> Mapping[str, Any] | None:
    """The attributes that are new; None when one of them was there before with another value. `own` are the span's as
    it holds them."""
    if after is before:
        return _NOTHING
    if type(own) is LendingAttributes and own.only_added:
        return {key: after[key] for key in islice(after, len(before), None)}
    difference: dict[str, Any] | None = None
    for key, value in after.items():
        old = before.get(key, _ABSENT)
        # Unchanged values are the same objects, so this is quick.
        if old is not value:
            if old is not _ABSENT:
                if type(old) is type(value) and old == value:
                    continue
                return None
            if difference is None:
                difference = {}
            difference[key] = value
    return _NOTHING if difference is None else difference
