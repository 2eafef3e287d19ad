"""Trace ids as Jaeger's clients write them."""

import re
from typing import Final

_ID: Final = re.compile(r"[0-9A-Fa-f]{1,32}")
_DIGITS: Final = 32


class BadTraceId(ValueError):
    """It cannot be one; the message is Jaeger's."""


def flow_id_of(text: str) -> str:
    """One to 32 hexadecimal digits, filled up with zeros on the left."""
    if not _ID.fullmatch(text):
        raise BadTraceId(f"invalid trace id {text[:64]!r}: use 1 to 32 hexadecimal digits")
    return text.lower().zfill(_DIGITS)
