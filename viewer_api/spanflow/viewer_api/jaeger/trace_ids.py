"""Trace ids as Jaeger's clients write and read them."""

from typing import Final

_HEX: Final = frozenset("0123456789abcdefABCDEF")
_DIGITS: Final = 32
_HALF: Final = 16
#: Of a text that is no id, so much is shown.
_MOST_SHOWN: Final = 64


class BadTraceId(ValueError):
    """It cannot be one; the message is Jaeger's."""


def flow_id_of(text: str) -> str:
    """One to 32 hexadecimal digits, filled up with zeros on the left."""
    if len(text) > _DIGITS:
        raise BadTraceId(f"TraceID cannot be longer than {_DIGITS} hex characters: {text[:_MOST_SHOWN]}")
    # Jaeger reads the halves as numbers.
    for half in (text[:-_HALF], text[-_HALF:]):
        if not _HEX.issuperset(half) or not text:
            raise BadTraceId(f'strconv.ParseUint: parsing "{half}": invalid syntax')
    return text.lower().zfill(_DIGITS)


def shown_trace_id(trace_id: str) -> str:
    """Jaeger leaves out the upper half of an id when it is zero."""
    return trace_id[_HALF:] if trace_id.startswith("0" * _HALF) else trace_id
