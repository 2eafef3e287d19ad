"""Reads a call whose signature differs from one gateway to the next: nothing that is passed is a mistake.

The trackers take `*args, **data` and find out here what was meant. A `TypeError` would reach the gateway's request.
"""

from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from spanflow.instrumentation.values import given_value

#: Keywords that name the gateway's database session, whatever is passed for them.
SESSIONS: Final = frozenset({"db", "db_session"})
_SCALARS: Final = (str, int, float, bytes, bytearray, date, time, timedelta, Decimal, Enum, UUID)
_CONTAINERS: Final = (Mapping, list, tuple, set, frozenset)
_MAX_DEPTH: Final = 8


def given(names: Sequence[str], args: Sequence[Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Each argument by its name. A keyword wins over a position, and positions beyond the names are left out."""
    return {**dict(zip(names, args, strict=False)), **keywords}


def plain_data(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What can be recorded: without database sessions, clients, requests and whatever else has no value to show."""
    return {
        word: _pruned(given_value(value))
        for word, value in arguments.items()
        if word not in SESSIONS and _is_data(value)
    }


def is_plain(value: object) -> bool:
    """Whether this is a single value rather than an object of the application."""
    return value is None or isinstance(value, _SCALARS)


def _is_data(value: object) -> bool:
    return is_plain(value) or isinstance(value, _CONTAINERS)


def _pruned(value: Any, depth: int = 0) -> Any:
    """The value without the objects in it. What nests deeper than any attribute may is cut later."""
    if depth >= _MAX_DEPTH or not isinstance(value, _CONTAINERS):
        return value
    if isinstance(value, Mapping):
        return {word: _pruned(item, depth + 1) for word, item in value.items() if _is_data(item)}
    return [_pruned(item, depth + 1) for item in value if _is_data(item)]
