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
from spanflow.span_processors.encoding.clean_attributes import Clean, CleanAttributes, Who, who_of
from spanflow.span_processors.encoding.event_types import EventTypes
from spanflow.span_processors.encoding.open_flows import OpenSpan
from spanflow.span_processors.encoding.shapes import Shape, Shapes
from spanflow.span_processors.event.told_outcome import told_outcome
from spanflow.span_processors.span_attributes import LendingAttributes

_START: Final = b'{"v":1,"flow_id":"%b","node_id":"%016x","phase":"start","parent_id":%b,"start_ns":"%d",%b'
_END: Final = b'{"v":1,"flow_id":"%b","node_id":"%016x",%b}'
_END_WITH_MORE: Final = b'{"v":1,"flow_id":"%b","node_id":"%016x",%b%b}'
_UPDATE: Final = b'{"v":1,"flow_id":"%b","node_id":"%016x","phase":"update","updated_ns":"%d"%b}'
_MERGED: Final = b'{"node_id":"%016x",%b%b,%b,"late":%b}'
_ONCE: Final = (
    b'{"v":1,"flow_id":"%b","node_id":"%016x","parent_id":%b,"start_ns":"%d",%b%b,'
    b'"phase":"end","end_ns":"%d","status":%b,"late":%b}'
)
#: The same, with what stands between the times and after them put together already.
RECEIVED: Final = (
    b'{"v":1,"flow_id":"%b","node_id":"%016x","parent_id":%b,"start_ns":"%d",%b,'
    b'"phase":"end","end_ns":"%d","status":%b}'
)
_ATTRIBUTES: Final = b',"attributes":'
_TYPES: Final = b',"types":'
#: What comes before `node_id` in a span told once: the fields that all entries of a flow share.
SHARED: Final = len(_ONCE[: _ONCE.index(b'"node_id"')] % (b"f" * 32))
#: What comes before `parent_id` in every start.
_HEAD: Final = len(_START[: _START.index(b'"parent_id"')] % (b"f" * 32, 0))
_ABSENT: Final = object()
_NOTHING: Final[Mapping[str, Any]] = {}
_REMEMBERED: Final = 8192
_OUTCOMES: Final = {outcome: outcome.encode() for outcome in names.OUTCOMES}
_LATE: Final = ("end_ns", "status")
_LATE_WITH_OUTCOME: Final = ("end_ns", "outcome", "status")
#: What nearly every end says: its status and outcome, and the names of the fields that only the end says.
_USUAL: Final = (b'"unset"', orjson.dumps(_LATE))
_USUAL_CHECKPOINT: Final = (b'"unset","outcome":"ok"', orjson.dumps(_LATE_WITH_OUTCOME))
# Compared by identity: hashing an enumeration's member costs a call.
_UNSET: Final = StatusCode.UNSET
_ERROR: Final = StatusCode.ERROR

#: The start event, its shape, how many links it tells, how many values were hidden, and the `types` that stand in it,
#: as JSON; None where no end may be spliced onto it. Plain tuples, as these are made for every span.
Started: TypeAlias = tuple[bytes, Shape, int, int, bytes | None]
#: The end event, the whole span as one merged entry, whether dashboards hear of it now, how many values were hidden.
Ended: TypeAlias = tuple[bytes, bytes, bool, int]
#: Start and end in one entry as it goes into the stream, the shape, how many values were hidden, and whether it says
#: whose flow it is.
CompleteSpan: TypeAlias = tuple[bytes, Shape, int, bool]
#: What received spans have in common whose name, kind, flags, scope, status and attributes are the same: their shape,
#: what stands between their times and after them, how many values were hidden, whose flow it is, and the attributes if
#: they say whose.
SpanTemplate: TypeAlias = tuple[Shape, bytes, bytes, int, Who | None, Mapping[str, Any]]


class FastPath:
    """Every method gives None when something about the span is unusual. Used by the encoder's thread only."""

    def __init__(self, clean: CleanAttributes, types: EventTypes, shapes: Shapes) -> None:
        self._clean = clean
        self._types = types
        self._shapes = shapes
        self._late: dict[tuple[str, ...], bytes] = {}

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
        if state is not DEFAULT_TRACE_STATE and state:
            return None
        written, types, _, hidden, _ = self._cleaned(attributes, more)
        shape = self._shapes.of(name, self._types.of(name, attributes), kind, scope, flags, span._resource)
        parent_id = b"null" if parent is None else b'"%016x"' % parent[1]
        data = _START % (flow_id, span_id, parent_id, span._start_time or 0, shape.middle)
        return b"%b%b}" % (data, _group(written, types)), shape, 0, hidden + shape.hidden, types

    def end(self, flow_id: bytes, span: Any, attributes: Mapping[str, Any], opened: OpenSpan) -> Ended | None:
        """The end event, which says what the start did not, and the whole span."""
        try:
            name, status = span._name, span._status
            if opened.types is None or name != opened.name or _says_more(span, status):
                return None
        except AttributeError:
            return None
        difference = _difference(opened.attributes, attributes, span._attributes)
        if difference is None or (difference and not opened.more.keys().isdisjoint(difference)):
            return None
        shape, span_id, start = opened.shape, opened.span_id, opened.data
        written, types, hidden = b"", b"", 0
        if difference:
            if self._types.of(name, attributes) != shape.event_type:
                return None
            written, types, clean, hidden, _ = self._clean(difference)
            if clean is not difference and not clean.keys() <= difference.keys():
                return None  # a name that was cleaned may be one that the start has
            difference = clean
        status_json, late = self._said_at_end(status._status_code, difference, attributes, shape)
        tail = b'"phase":"end","end_ns":"%d","status":%b' % (span._end_time or 0, status_json)
        if not difference:
            data = _END % (flow_id, span_id, tail)
            return data, _MERGED % (span_id, start[_HEAD:-1], b"", tail, late), shape.notifies_at_end, hidden
        data = _END_WITH_MORE % (flow_id, span_id, tail, _group(written, types))
        body = start[_HEAD:-1]
        if types and (start_types := opened.types):
            types = _joined(start_types, types)
            # Nothing that a text says can look like this: its quotes are escaped.
            body = body.replace(_TYPES + start_types, b"", 1)
        if body.endswith(b"}"):
            body, more = body[:-1] + b",", written[1:]
        else:
            body, more = body + _ATTRIBUTES, written
        if types:
            more = b"%b%b%b" % (more, _TYPES, types)
        return data, _MERGED % (span_id, body, more, tail, late), shape.notifies_at_end, hidden

    def update(
        self, flow_id: bytes, span_id: int, difference: Mapping[str, Any], more: Mapping[str, Any], now_ns: int
    ) -> bytes:
        """What a running span says now and its start did not, where that is attributes only."""
        written, types, *_ = self._cleaned(difference, more)
        return _UPDATE % (flow_id, span_id, now_ns, _group(written, types))

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
        written, types, clean, hidden, tells_who = self._cleaned(attributes, more)
        if clean is not attributes and difference:
            # By the names that they have now: some may have been taken out, and a name may hold a secret itself.
            if not clean.keys() <= attributes.keys():
                return None
            difference = {key: value for key, value in difference.items() if key in clean}
        shape = self._shapes.of(name, event_type, span._kind, span._instrumentation_scope, flags, span._resource)
        status_json, late = self._said_at_end(status._status_code, difference, attributes, shape)
        data = _ONCE % (
            flow_id,
            span_id,
            b"null" if parent is None else b'"%016x"' % parent[1],
            span._start_time or 0,
            shape.middle,
            _group(written, types),
            span._end_time or 0,
            status_json,
            late,
        )
        return data, shape, hidden + shape.hidden, tells_who

    def _cleaned(self, attributes: Mapping[str, Any], more: Mapping[str, Any]) -> Clean:
        """A span's own attributes as they may be seen, and in their JSON also what is said beside them. No bytes where
        there are none."""
        cleaned = self._clean(attributes)
        written, types, clean, hidden, says_who = cleaned
        if not more:
            return cleaned if clean else (b"", b"", clean, hidden, says_who)
        # For itself: of what is said beside them there is little that was not written before.
        beside, more_types, _, more_hidden, _ = self._clean(more)
        return (
            _joined(written, beside) if clean else beside,
            _joined(types, more_types) if types and more_types else types or more_types,
            clean,
            hidden + more_hidden,
            says_who,
        )

    def template(self, span: Any) -> SpanTemplate | None:
        """What a span that another program has sent when it had ended (`Received`) shares with all that are like it."""
        if not span.is_plain:
            return None
        attributes, name, code = span.given, span._name, span._status._status_code
        written, types, clean, hidden, says_who = self._clean(attributes)
        event_type = self._types.of(name, attributes)
        shape = self._shapes.of(name, event_type, span._kind, span._instrumentation_scope, span.flags, span._resource)
        status_json, late = self._said_at_end(code, _NOTHING, attributes, shape)
        body = shape.middle + _group(written if clean else b"", types)
        end = b'%b,"late":%b' % (status_json, late)
        who, about = (who_of(attributes), attributes) if says_who else (None, _NOTHING)
        return shape, body, end, hidden + shape.hidden, who, about

    def _said_at_end(
        self, code: StatusCode, difference: Mapping[str, Any], attributes: Mapping[str, Any], shape: Shape
    ) -> tuple[bytes, bytes]:
        """Status and outcome, and the names of the fields that only the end says."""
        stated = attributes.get(names.ATTR_OUTCOME)
        outcome = _OUTCOMES.get(stated) if type(stated) is str else None
        if outcome is None and shape.is_checkpoint and (inferred := told_outcome(attributes)) is not None:
            outcome = _OUTCOMES[inferred]
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


def _group(attributes: bytes, types: bytes) -> bytes:
    """Attributes as they stand in an event: last, so that more of them can be put behind."""
    if types:
        return b"%b%b%b%b" % (_TYPES, types, _ATTRIBUTES, attributes)
    return _ATTRIBUTES + attributes if attributes else b""


def _joined(one: bytes, other: bytes) -> bytes:
    """Two objects, neither of them empty, as one."""
    return b"%b,%b" % (one[:-1], other[1:])


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
