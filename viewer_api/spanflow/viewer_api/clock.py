"""Wall-clock time in the viewer: where it comes from, and how it is written."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeAlias

#: Seconds since 1970; tests bring their own.
Clock: TypeAlias = Callable[[], float]

#: The end of the year 9999.
_LAST_MOMENT: Final = 253_402_300_799


def moment(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as a time in UTC, clamped to what ISO 8601 can express: the table of watches is writable by
    other programs, which may have stored any number."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(min(max(seconds, 0), _LAST_MOMENT), UTC)
