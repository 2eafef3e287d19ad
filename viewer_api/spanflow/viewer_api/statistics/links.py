"""Addresses of the flows behind a number: a search that finds them, and as many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import urlencode

from spanflow.span_processors import names

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Links:
    """`filters` are those of the question, but for the range of time."""

    filters: Pairs
    since: datetime
    until: datetime

    def within(self, start: datetime, until: datetime) -> "Links":
        """The same for one interval of the range."""
        return replace(self, since=max(start, self.since), until=min(until, self.until))

    def number(
        self,
        count: int,
        outcomes: Sequence[str] = names.OUTCOMES,
        more: Iterable[tuple[str, str]] = (),
        *,
        at_least: bool = False,
    ) -> Any:
        """How many flows there are, and where they are. `at_least`: some may have been counted among others."""
        number = {"count": count, "link": self._to(outcomes, tuple(more)) if count or at_least else None}
        return number | {"at_least": True} if at_least else number

    def _to(self, outcomes: Sequence[str], more: Pairs) -> str | None:
        if not self.filters:
            return self._written(more, tuple(outcomes))
        given = {name for name, _ in self.filters}
        if any(name in given and self.filters.count((name, value)) != len(self._of(name)) for name, value in more):
            return None  # a search for both would find the flows of either
        asked = {value for name, value in self.filters if name == "outcome"}
        ends = tuple(outcome for outcome in outcomes if not asked or outcome in asked)
        narrower = {name for name, _ in more}
        kept = [(name, value) for name, value in self.filters if name not in {"outcome", *narrower}]
        return self._written((*kept, *more), ends)

    def _written(self, pairs: Pairs, outcomes: tuple[str, ...]) -> str:
        parts = _encoded(pairs), _encoded(tuple(("outcome", outcome) for outcome in outcomes)), self._times
        return f"/api/v1/flows?{'&'.join(filter(None, parts))}"

    @cached_property
    def _times(self) -> str:
        """Encoded once: an answer may have thousands of links."""
        return urlencode([("started_since", _text(self.since)), ("started_until", _text(self.until))])

    def _of(self, name: str) -> list[str]:
        return [value for known, value in self.filters if known == name]


@lru_cache(1000)
def _encoded(pairs: Pairs) -> str:
    """Each value has several numbers, and many values have the same."""
    return urlencode(pairs)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
