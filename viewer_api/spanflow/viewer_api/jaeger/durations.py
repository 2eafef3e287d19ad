"""Durations as Go writes them: 1.2s, 100ms, 1h30m."""

import re
from decimal import Decimal
from typing import Final

_UNITS: Final = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})([^0-9.]*)")
_LONGEST: Final = 2**63 - 1
#: Of a text that is no duration, so much is shown.
_MOST_SHOWN: Final = 64


def duration_ns(text: str) -> int:
    """Nanoseconds. `ValueError` with Go's words when it is no duration."""
    if text == "0":
        return 0
    total = place = 0
    while part := _PART.match(text, place):
        if part[2] not in _UNITS:
            raise _no_duration(f'unknown unit "{part[2][:_MOST_SHOWN]}" in' if part[2] else "missing unit in", text)
        total += int(Decimal(part[1]) * _UNITS[part[2]])
        place = part.end()
    if not text or place < len(text) or total > _LONGEST:
        raise _no_duration("invalid", text)
    return total


def _no_duration(why: str, text: str) -> ValueError:
    return ValueError(f'time: {why} duration "{text[:_MOST_SHOWN]}"')
