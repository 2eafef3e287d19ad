"""Numbers of activities within their conversation: by time, with a number that the caller gave kept as it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

#: What the column holds.
MAX_NUMBER: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Numbered:
    """One activity in the order of its conversation."""

    activity_id: str
    time: datetime
    #: Its number; for a new one the caller's own, or None.
    number: int | None
    #: The caller gave the number.
    own: bool


@dataclass(frozen=True, slots=True)
class Tail:
    """How far a conversation has come."""

    time: datetime
    number: int


def continued(tail: Tail | None, new: Iterable[Numbered]) -> dict[str, int] | None:
    """Numbers for new activities that all come after what is stored; None when one of them does not."""
    ordered = _by_time(new)
    if tail is not None and ordered and ordered[0].time <= tail.time:
        return None
    return _walk(ordered, tail.number if tail is not None else 0)


def renumbered(stored: Iterable[Numbered], new: Iterable[Numbered]) -> dict[str, int]:
    """Numbers for the new activities, and for those stored ones of ours whose number changes by them."""
    rows = list(stored)
    numbers = _walk(_by_time([*rows, *new]), 0)
    unchanged = {line.activity_id for line in rows if numbers[line.activity_id] == line.number}
    return {activity_id: number for activity_id, number in numbers.items() if activity_id not in unchanged}


def _by_time(lines: Iterable[Numbered]) -> list[Numbered]:
    return sorted(lines, key=lambda line: (line.time, line.activity_id))


def _walk(ordered: list[Numbered], last: int) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for line in ordered:
        own = line.number if line.own else None
        numbers[line.activity_id] = own if own is not None else min(last + 1, MAX_NUMBER)
        last = max(last, numbers[line.activity_id])
    return numbers
