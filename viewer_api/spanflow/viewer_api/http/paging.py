"""Cursors: where the next page begins, as one opaque word."""

import base64
from datetime import datetime
from typing import Any, Final

import orjson

from spanflow.viewer_api.http.problems import Problem, invalid_request

#: The longest cursor that is looked at.
MAX_CURSOR: Final = 4096


def packed(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).rstrip(b"=").decode()


def unpacked(cursor: str) -> Any:
    """What was packed; a `ValueError` for anything else."""
    return orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def cursor_of(moment: datetime, row_id: str) -> str:
    return packed([moment.isoformat(), row_id])


def read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if not cursor:
        return None
    try:
        moment, row_id = unpacked(cursor)
        return checked_moment(moment), checked_row_id(row_id)
    except (ValueError, TypeError):
        raise unreadable_cursor() from None


def place_cursor(number: int, moment: datetime, row_id: str) -> str:
    """For lists that are numbered, and ordered by time where numbers are the same."""
    return packed([number, moment.isoformat(), row_id])


def read_place(cursor: str | None) -> tuple[int, datetime, str] | None:
    if not cursor:
        return None
    try:
        number, moment, row_id = unpacked(cursor)
        # The largest number that a column takes.
        if not isinstance(number, int) or abs(number) >= 2**31:
            raise ValueError
        return number, checked_moment(moment), checked_row_id(row_id)
    except (ValueError, TypeError):
        raise unreadable_cursor() from None


def checked_moment(text: str) -> datetime:
    """One that can be in a database; at the ends of the calendar, time zones lead out of it. `ValueError` otherwise."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not 1000 <= moment.year < 9999:
        raise ValueError
    return moment


def checked_row_id(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value


def unreadable_cursor() -> Problem:
    return invalid_request("cursor: use the value of `next` from the page before, unchanged.")


def cursor_of_another_search() -> Problem:
    return Problem(
        422,
        "cursor_of_another_search",
        "cursor: this one belongs to a search with other filters. Leave it out to begin with the first page.",
    )
