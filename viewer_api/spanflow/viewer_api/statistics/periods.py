"""Minutes, hours, days and so on: what is counted together, and which of them cover a range of time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

MINUTE, HOUR, SIX_HOURS, DAY, WEEK = 60, 3600, 21_600, 86_400, 604_800
#: Each of these is rolled up into the next.
LENGTHS: Final = (MINUTE, HOUR, SIX_HOURS, DAY, WEEK)
#: Minutes are kept for so long; before that, hours are the finest.
MINUTES_KEPT: Final = timedelta(days=3)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """Periods of one length, from `low` on and before `high`."""

    seconds: int
    low: datetime
    high: datetime


def floored(moment: datetime, seconds: int) -> datetime:
    """The beginning of the period that the moment lies in."""
    whole = (moment - _EPOCH) // timedelta(seconds=seconds)
    return _EPOCH + timedelta(seconds=whole * seconds)


def ceiled(moment: datetime, seconds: int) -> datetime:
    """The first beginning of a period that is not before the moment."""
    start = floored(moment, seconds)
    return start if start == moment else start + timedelta(seconds=seconds)


def oldest_minute(now: datetime) -> datetime:
    """Where the minutes begin that are kept: with an hour."""
    return floored(now - MINUTES_KEPT, HOUR)


def aligned(since: datetime, until: datetime, now: datetime, interval: int = MINUTE) -> tuple[datetime, datetime]:
    """The range in whole periods, as fine as they are kept: no narrower than what was asked for."""
    oldest = oldest_minute(now)
    low = floored(since, max(interval, MINUTE if since >= oldest else HOUR))
    high = ceiled(until, MINUTE if until >= oldest else HOUR)
    return low, max(high, low + timedelta(seconds=MINUTE if low >= oldest else HOUR))


def parts_of(low: datetime, high: datetime, longest: int = WEEK) -> list[Part]:
    """The fewest periods that cover an aligned range exactly, none longer than `longest`."""
    parts: list[Part] = []
    _cover(low, high, [seconds for seconds in reversed(LENGTHS) if seconds <= longest], parts)
    return sorted(parts, key=lambda part: part.low)


def _cover(low: datetime, high: datetime, lengths: list[int], found: list[Part]) -> None:
    if low >= high:
        return
    seconds, *shorter = lengths
    first, last = ceiled(low, seconds), floored(high, seconds)
    if first >= last:
        _cover(low, high, shorter, found)
        return
    found.append(Part(seconds, first, last))
    _cover(low, first, shorter, found)
    _cover(last, high, shorter, found)
