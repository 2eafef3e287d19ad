"""Names and ids as somebody else states them: a proxy's header, a token's claim."""

import unicodedata
from collections.abc import Iterable
from typing import Final

from spanflow.span_processors.ids import IdError, as_id
from spanflow.viewer_api.auth.rejected import Rejected

EVERYBODY: Final = "*"
_MAX_NAME: Final = 128
_MAX_USERS: Final = 1000


def clean_name(text: str) -> str:
    """A name as the audit log keeps it."""
    name = text.strip()
    if not name or len(name) > _MAX_NAME or any(unicodedata.category(char).startswith("C") for char in name):
        raise Rejected("a name that cannot be shown")
    return name


def clean_id(value: object) -> str:
    try:
        return as_id(value)
    except (IdError, ValueError):
        raise Rejected("a user id that cannot be one") from None


def clean_scope(values: Iterable[object]) -> frozenset[str] | None:
    """The users whom a monitor may see; None for everybody."""
    listed = list(values)
    if EVERYBODY in listed:
        return None
    if len(listed) > _MAX_USERS:
        raise Rejected(f"more than {_MAX_USERS} users")
    return frozenset(clean_id(value) for value in listed)
