"""The query string of a list, read strictly: a filter that is silently ignored looks like an answer.

Every list reads its filters, its cursor and its kind of count with this.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import Any, Final

import orjson
from starlette.datastructures import QueryParams

from spanflow.viewer_api.http.paging import cursor_of_another_search, packed, unpacked, unreadable_cursor
from spanflow.viewer_api.http.problems import invalid_request
from spanflow.viewer_api.http.query_values import checked_id, parsed_time

#: Values of one filter.
MAX_VALUES: Final = 50
#: Of names of tools, servers, models and the like; longer ones are not stored.
MAX_NAME: Final = 200
MAX_TEXT: Final = 200
_MAX_NUMBER: Final = 1e15
#: Parameters that choose a part of the answer, and not another search.
_PRESENTATION: Final = frozenset({"cursor", "limit", "count"})


class Counting(StrEnum):
    """Whether an answer says how many there are in all."""

    NONE = "none"
    EXACT = "exact"
    ESTIMATED = "estimated"


class ListQuery:
    """`known` are the parameters of the list, `visible` the users whose data the client may see (None: all).

    Every method raises a problem that names the parameter and what is wrong with it. An empty value is no filter.
    """

    def __init__(self, params: QueryParams, known: Collection[str], visible: Collection[str] | None) -> None:
        asked = [(name, value) for name, value in params.multi_items() if value != ""]
        unknown = sorted({name for name, _ in asked}.difference(known))
        if unknown:
            raise invalid_request(f"{unknown[0][:50]}: there is no such filter. Known are {', '.join(sorted(known))}.")
        values: dict[str, list[str]] = {}
        for name, value in asked:
            values.setdefault(name, []).append(value.replace("\0", ""))
        self._values: Mapping[str, list[str]] = values
        self.counting = Counting(self.one_of("count", [counting.value for counting in Counting], Counting.NONE.value))
        self._fingerprint = _fingerprint(((n, v) for n, v in asked if n not in _PRESENTATION), visible)

    def searched(self, *left_out: str) -> dict[str, str]:
        """What was asked, for the audit log."""
        names = self._values.keys() - _PRESENTATION - set(left_out)
        return {name: ", ".join(self._values[name]) for name in sorted(names)}

    def single(self, name: str) -> str | None:
        values = self._values.get(name, [])
        if len(values) > 1:
            raise invalid_request(f"{name}: give it once.")
        return values[0] if values else None

    def text(self, name: str) -> str | None:
        text = (self.single(name) or "").strip()
        if len(text) > MAX_TEXT:
            raise invalid_request(f"{name}: at most {MAX_TEXT} characters.")
        return text or None

    def several(self, name: str) -> list[str]:
        values = list(dict.fromkeys(self._values.get(name, [])))
        if len(values) > MAX_VALUES:
            raise invalid_request(f"{name}: at most {MAX_VALUES} values.")
        return values

    def ids(self, name: str) -> tuple[str, ...] | None:
        return tuple(checked_id(value) for value in self.several(name)) or None

    def words(self, name: str, known: Collection[str] | None = None, *, most: int = MAX_NAME) -> tuple[str, ...] | None:
        values = self.several(name)
        for value in values:
            if len(value) > most:
                raise invalid_request(f"{name}: at most {most} characters.")
            if known is not None and value not in known:
                raise invalid_request(f"{name}: one of {', '.join(known)}.")
        return tuple(value for value in values if value) or None

    def one_of(self, name: str, known: Collection[str], default: str) -> str:
        value = self.single(name)
        if value is not None and value not in known:
            raise invalid_request(f"{name}: one of {', '.join(known)}.")
        return default if value is None else value

    def number(self, name: str) -> float | None:
        value = self.single(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not isfinite(number) or not 0 <= number <= _MAX_NUMBER:
            raise invalid_request(f"{name}: a number from 0 on.")
        return number

    def whole_number(self, name: str) -> int | None:
        number = self.number(name)
        if number is not None and number != int(number):
            raise invalid_request(f"{name}: a whole number from 0 on.")
        return None if number is None else int(number)

    def bounds(self, name: str) -> tuple[float | None, float | None]:
        """`min_…` and `max_…`, both included."""
        low, high = self.number(f"min_{name}"), self.number(f"max_{name}")
        if low is not None and high is not None and low > high:
            raise invalid_request(f"min_{name} is greater than max_{name}: nothing can be found.")
        return low, high

    def time(self, name: str, *, end: bool = False) -> datetime | None:
        """A moment; a date alone is its first, or with `end` the first of the next day."""
        return parsed_time(self.single(name), name, end=end)

    def times(self, since: str = "since", until: str = "until") -> tuple[datetime | None, datetime | None]:
        """From `since` on and before `until`."""
        low, high = self.time(since), self.time(until, end=True)
        if low is not None and high is not None and low >= high:
            raise invalid_request(f"{since} is not before {until}: nothing can be found.")
        return low, high

    def cursor(self, *place: Any) -> str:
        """Where the next page begins, for this search only."""
        return packed([self._fingerprint, *place])

    def place(self, cursor: str | None, parts: int) -> list[Any] | None:
        """The so many parts that `cursor` was made of, for this search; None without one."""
        if not cursor:
            return None
        try:
            place: list[Any]
            fingerprint, *place = unpacked(cursor)
        except (ValueError, TypeError):
            raise unreadable_cursor() from None
        if len(place) != parts:
            raise unreadable_cursor()
        if fingerprint != self._fingerprint:
            raise cursor_of_another_search()
        return place


def _fingerprint(asked: Iterable[tuple[str, str]], visible: Collection[str] | None) -> str:
    """What a cursor carries, so that it is used with its own search and by a client that may see the same."""
    search = [sorted(asked), None if visible is None else sorted(visible)]
    return hashlib.blake2b(orjson.dumps(search), digest_size=9).hexdigest()
