"""Texts, ids and times as clients write them into queries.

Times are ISO 8601 or seconds since 1970; a date alone is a whole day in UTC.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from spanflow.span_processors.ids import IdError, as_id
from spanflow.viewer_api.http.problems import invalid_id, invalid_request, range_too_long


def checked_id(value: object) -> str:
    """An id from a client; a problem when it cannot be one."""
    try:
        return as_id(value)
    except IdError as why:
        raise invalid_id(str(why).capitalize() + ".") from None


_TRACE_ID_DIGITS: Final = 32
#: A whole trace id, or its lower half: Jaeger leaves out an upper half of zeros.
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{16}(?:[0-9a-fA-F]{16})?")


def whole_flow_id(text: str) -> str:
    """The flow's id that a trace id stands for, as other tools write trace ids: shortened, or with capital letters."""
    return text.lower().zfill(_TRACE_ID_DIGITS) if _TRACE_ID.fullmatch(text) else text


def checked_flow_id(value: object) -> str:
    """A flow's id from a client; a problem when it cannot be one."""
    return whole_flow_id(checked_id(value))


def plain(text: str) -> str:
    """As Postgres can compare it: it knows no NUL."""
    return text.replace("\0", "")


def filter_text(text: str | None) -> str | None:
    """What a filter asks for; an empty text asks for nothing."""
    return plain(text) or None if text else None


_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)


def parsed_time(text: str | None, name: str, *, end: bool = False) -> datetime | None:
    """The moment; for a date alone its first moment, or with `end` the first moment of the next day."""
    if text is None or not text.strip():
        return None
    # In a query string a `+` that was not escaped arrives as a space: 2026-03-01T00:00:00 02:00.
    text = text.strip()
    if len(text) > 10 and text[-6:-5] == " ":
        text = f"{text[:-6]}+{text[-5:]}"
    try:
        moment = _read(text, end)
    except (ValueError, OverflowError):
        raise invalid_request(
            f"{name}: write a time like 2026-03-01, 2026-03-01T12:00:00+01:00 or 1772366400 (seconds since 1970)."
        ) from None
    return min(max(moment, _FIRST), _LAST)


def check_range(begin: datetime, end: datetime, most_days: int) -> None:
    """A problem when what lies between is added up, and it is too much for one answer."""
    if begin > end:
        raise invalid_request("since: use a time before `until`.")
    if end - begin > timedelta(days=most_days):
        raise range_too_long(most_days)


def _read(text: str, end: bool) -> datetime:
    if text.replace(".", "", 1).isdecimal() and text.isascii() and "-" not in text and len(text) != 8:
        return datetime.fromtimestamp(float(text), UTC)
    if len(text) <= 10:
        day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        return day + timedelta(days=1) if end else day
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
