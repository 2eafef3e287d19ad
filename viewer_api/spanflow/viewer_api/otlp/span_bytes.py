"""A span's bytes taken apart without reading them: ids and times, and all else, which is the same in most spans."""

from struct import Struct
from struct import error as StructError
from typing import Final, TypeAlias

#: Trace id, span id, parent's id (0 where there is none), start and end, what stands before the times (name and kind)
#: and what stands after them (attributes, events, links, status, flags).
SpanPieces: TypeAlias = tuple[int, int, int, tuple[int, int], bytes, bytes]

#: Fields with their tags: the ids, and the two times.
_IDS: Final = Struct(">HQQHQHQ").unpack_from
_TIMES: Final = Struct("<BQBQ").unpack_from
_TRACE_ID: Final = 0x0A10
_SPAN_ID: Final = 0x1208
_PARENT_ID: Final = 0x2208
_NAME: Final = 0x2A
_KIND: Final = 0x30
_START: Final = 0x39
_END: Final = 0x41
#: Where the fields after the span id begin, and those after the parent's id.
_AFTER_SPAN_ID: Final = 28
_AFTER_PARENT_ID: Final = 38
_SIZE_OF_TIMES: Final = 18
#: From here on, lengths take several bytes.
_LONG: Final = 0x80
_LAST_BEFORE: Final = 8
#: By wire type: how many bytes a value has.
_FIXED: Final = {1: 8, 5: 4}


def pieces_of(span: bytes) -> SpanPieces | None:
    """None unless the fields stand in order, as all exporters write them, and everything usual is there."""
    try:
        first, high, low, second, span_id, third, parent_id = _IDS(span)
        if first != _TRACE_ID or second != _SPAN_ID:
            return None
        if third == _PARENT_ID:
            begin = _AFTER_PARENT_ID
        else:
            begin, parent_id = _AFTER_SPAN_ID, 0
        at = begin
        if span[at] == _NAME:
            length = span[at + 1]
            if length >= _LONG:
                return None
            at += 2 + length
        if span[at] == _KIND:
            if span[at + 1] >= _LONG:
                return None
            at += 2
        start_tag, start_ns, end_tag, end_ns = _TIMES(span, at)
    except (StructError, IndexError):
        return None
    if start_tag != _START or end_tag != _END:
        return None
    return (high << 64) | low, span_id, parent_id, (start_ns, end_ns), span[begin:at], span[at + _SIZE_OF_TIMES :]


def follows(tail: bytes) -> bool:
    """Whether these fields may stand after the times: one that is repeated there would count instead of the first."""
    at = 0
    while at < len(tail):
        tag, at = _varint(tail, at)
        kind = tag & 7
        if tag >> 3 <= _LAST_BEFORE:
            return False
        if kind == 0:
            _, at = _varint(tail, at)
        elif kind == 2:
            length, at = _varint(tail, at)
            at += length
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            return False
    return at == len(tail)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at] if at < len(data) else 0
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < _LONG:
            return value, at
        shift += 7
