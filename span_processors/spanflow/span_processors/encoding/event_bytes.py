"""Writes the usual events straight into bytes; what is unusual goes the way of `span_events`, with the same result.

Three things make it quick: what does not change between spans of one name is written once; the merged entry of an
ended span is spliced together from the bytes of its start and of its end (`attributes` therefore stand last in a
start); and a span that ends before its start was written is written once, as its merged entry.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from spanflow.span_processors import names
from spanflow.span_processors.event.json_safe import is_plain
from spanflow.span_processors.ids import MAX_SAFE_INTEGER
from spanflow.span_processors.redaction.redaction import Redactor

_START: Final = b'{"v":1,"flow_id":"%b","node_id":"%016x","phase":"start","parent_id":%b,"start_ns":"%d",%b'
_ONCE: Final = (
    b'{"v":1,"flow_id":"%b","node_id":"%016x","parent_id":"%016x","start_ns":"%d",%b%b%b,'
    b'"phase":"end","end_ns":"%d","status":"%b"%b,"late":%b}'
)
#: What comes before `node_id` in it: the fields that all entries of a flow share.
_SHARED: Final = len(_ONCE[: _ONCE.index(b'"node_id"')] % (b"f" * 32))
#: What comes before `parent_id` in every start.
_HEAD: Final = len(_START[: _START.index(b'"parent_id"')] % (b"f" * 32, 0))
_ATTRIBUTES: Final = b',"attributes":'
_NOTHING: Final[Mapping[str, Any]] = {}
_REMEMBERED: Final = 8192
_REMEMBERED_LENGTH: Final = 128
_BAD_TEXT: Final = b"\\u0000"
_LATE: Final = ("end_ns", "status")
_LATE_WITH_OUTCOME: Final = ("end_ns", "outcome", "status")
_JUST_LATE: Final = orjson.dumps(_LATE)
_JUST_WITH_OUTCOME: Final = orjson.dumps(_LATE_WITH_OUTCOME)
_OUTCOMES: Final = {outcome: outcome.encode() for outcome in names.OUTCOMES}


class Shape(NamedTuple):
    """What all spans of one name, type, kind and scope have in common."""

    #: From `event_type` to `scope`, as it stands in a start.
    middle: bytes
    event_type: str
    is_checkpoint: bool
    #: When dashboards hear of it.
    rings_at_start: bool
    rings_at_end: bool
    #: How many values were hidden in the name.
    hidden: int


class CleanAttributes:
    """Redaction and the check for JSON in one pass over values that have mostly been seen before."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        #: Texts with their keys, keys of which any text is kept, and keys of numbers: they need neither redaction nor
        #: conversion.
        self._texts: set[tuple[str, str]] = set()
        self._kept_keys: set[str] = set()
        self._number_keys: set[str] = set()

    def __call__(self, attributes: Mapping[str, Any]) -> tuple[Mapping[str, Any], int, bool]:
        """The attributes without secrets, how many were hidden, and whether they can be written as they are."""
        texts = self._texts
        kept_keys = self._kept_keys
        number_keys = self._number_keys
        for key, value in attributes.items():
            kind = type(value)
            if kind is str:
                if (key, value) in texts or key in kept_keys:
                    continue
            elif key in number_keys and (
                kind is bool or (kind is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
            ):
                continue
            return self._slowly(attributes)
        return attributes, 0, True

    def _slowly(self, attributes: Mapping[str, Any]) -> tuple[Mapping[str, Any], int, bool]:
        clean, hidden = self._redactor.attributes(attributes)
        plain = is_plain(clean)
        if clean is attributes and not hidden and plain:
            self._remember(attributes)
        return clean, hidden, plain

    def _remember(self, attributes: Mapping[str, Any]) -> None:
        if len(self._texts) + len(self._kept_keys) + len(self._number_keys) > _REMEMBERED:
            self._texts.clear()
            self._kept_keys.clear()
            self._number_keys.clear()
        for key, value in attributes.items():
            if type(value) is str:
                if self._redactor.keeps(key):
                    self._kept_keys.add(key)
                elif len(value) <= _REMEMBERED_LENGTH:
                    self._texts.add((key, value))
            elif type(value) is int or type(value) is bool:
                self._number_keys.add(key)


def start_bytes(
    flow_id: bytes, span: ReadableSpan, span_id: int, shape: Shape, attributes: Mapping[str, Any]
) -> bytes | None:
    """The start event; None when something in it cannot be written as it is."""
    parent = span.parent
    data = _START % (
        flow_id,
        span_id,
        b"null" if parent is None else b'"%016x"' % parent.span_id,
        span.start_time or 0,
        shape.middle,
    )
    if not attributes:
        return data + b"}"
    written = to_json(attributes)
    return None if written is None else b"%b%b%b}" % (data, _ATTRIBUTES, written)


def to_json(attributes: Mapping[str, Any]) -> bytes | None:
    """Plain attributes as JSON; None when a text among them is no text that JSON or Postgres can keep."""
    try:
        written = orjson.dumps(attributes)
    except (TypeError, ValueError):
        return None
    return None if _BAD_TEXT in written else written


class EndWriter:
    """Writes ends of spans about which nothing but status, outcome and new attributes is to be said."""

    def __init__(self) -> None:
        self._late: dict[tuple[str, ...], bytes] = {}

    def end(
        self,
        flow_id: bytes,
        span: ReadableSpan,
        span_id: int,
        start: bytes,
        difference: Mapping[str, Any],
        is_checkpoint: bool,
    ) -> tuple[bytes, bytes] | None:
        """The end event and the merged entry. `difference` must be plain and not say anew what the start said."""
        status, outcome = _status_and_outcome(span, difference, is_checkpoint)
        tail = b'"phase":"end","end_ns":"%d","status":"%b"' % (span.end_time or 0, status)
        if outcome is not None:
            tail = b'%b,"outcome":"%b"' % (tail, outcome)
        late = self._late_fields(difference, outcome is not None)
        if not difference:
            data = b'{"v":1,"flow_id":"%b","node_id":"%016x",%b}' % (flow_id, span_id, tail)
            return data, b'{"node_id":"%016x",%b,%b,"late":%b}' % (span_id, start[_HEAD:-1], tail, late)
        written = to_json(difference)
        if written is None:
            return None
        data = b'{"v":1,"flow_id":"%b","node_id":"%016x",%b%b%b}' % (flow_id, span_id, tail, _ATTRIBUTES, written)
        if start.endswith(b"}}"):
            body, more = start[_HEAD:-2] + b",", written[1:]
        else:
            body, more = start[_HEAD:-1] + _ATTRIBUTES, written
        return data, b'{"node_id":"%016x",%b%b,%b,"late":%b}' % (span_id, body, more, tail, late)

    def once(
        self,
        flow_id: bytes,
        span: ReadableSpan,
        span_id: int,
        parent_id: int,
        shape: Shape,
        attributes: Mapping[str, Any],
        difference: Mapping[str, Any],
    ) -> tuple[bytes, bytes] | None:
        """Start and end in one: as it goes into the stream, and the merged entry, which is the same.

        `attributes` are all that the span has; `difference` is what its start did not have.
        """
        status, outcome = _status_and_outcome(span, difference, shape.is_checkpoint)
        written = to_json(attributes) if attributes else b""
        if written is None:
            return None
        data = _ONCE % (
            flow_id,
            span_id,
            parent_id,
            span.start_time or 0,
            shape.middle,
            _ATTRIBUTES if written else b"",
            written,
            span.end_time or 0,
            status,
            b"" if outcome is None else b',"outcome":"%b"' % outcome,
            self._late_fields(difference, outcome is not None),
        )
        return data, b"{" + data[_SHARED:]

    def _late_fields(self, difference: Mapping[str, Any], with_outcome: bool) -> bytes:
        fields = _LATE_WITH_OUTCOME if with_outcome else _LATE
        if not difference:
            return _JUST_WITH_OUTCOME if with_outcome else _JUST_LATE
        key = (*fields, *difference)
        late = self._late.get(key)
        if late is None:
            if len(self._late) > _REMEMBERED:
                self._late.clear()
            marks = sorted([*fields, *(f"attributes/{name}" for name in difference)])
            late = self._late[key] = orjson.dumps(marks)
        return late


def _status_and_outcome(
    span: ReadableSpan, difference: Mapping[str, Any], is_checkpoint: bool
) -> tuple[bytes, bytes | None]:
    code = span.status.status_code
    status, usual = _NOTHING_SAID if code is _UNSET else _FAILED if code is _ERROR else _SUCCEEDED
    said = difference.get(names.ATTR_OUTCOME) if difference else None
    outcome = _OUTCOMES.get(said) if type(said) is str else None
    return status, usual if outcome is None and is_checkpoint else outcome


# Compared by identity: hashing an enumeration's member costs a call.
_UNSET: Final = StatusCode.UNSET
_ERROR: Final = StatusCode.ERROR
#: A status, and the outcome of a checkpoint that says nothing else.
_NOTHING_SAID: Final = (b"unset", b"ok")
_SUCCEEDED: Final = (b"ok", b"ok")
_FAILED: Final = (b"error", b"error")
