"""What may serve as an id, and how JSON shows it.

Ids of users, sessions, conversations and nodes are opaque strings that gateways choose. They become parts of Redis
keys, channel names and URL paths, so a few characters are refused.
"""

import re
from typing import Final
from uuid import UUID

MAX_ID_LENGTH: Final = 128
#: The largest integer that every JSON reader keeps exactly.
MAX_SAFE_INTEGER: Final = 2**53 - 1

# Control characters (C0, DEL, C1), lone surrogates, braces (they would move a Redis Cluster key), the path separator.
_REFUSED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff{}/]")
_CANONICAL_INTEGER: Final = re.compile(r"(?:0|-?[1-9][0-9]{0,15})", re.ASCII)


class IdError(ValueError):
    """A value that cannot serve as an id; the message says why."""


def is_id(value: object) -> bool:
    """Whether `value` is a string that may serve as an id."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LENGTH:
        return False
    # Letters and digits, which most ids are made of, are never refused, and are quicker to tell.
    return value.isalnum() or _REFUSED.search(value) is None


def as_id(value: object) -> str:
    """The id that a gateway's value stands for: strings, whole numbers and UUIDs; `IdError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        raise IdError(f"an id is a string or a whole number, not {type(value).__name__}")
    text = str(value)
    if not text:
        raise IdError("an id must not be empty")
    if len(text) > MAX_ID_LENGTH:
        raise IdError(f"an id has at most {MAX_ID_LENGTH} characters, this one has {len(text)}")
    if _REFUSED.search(text):
        raise IdError("an id must not contain control characters, braces or '/'")
    return text


def id_or_none(value: object) -> str | None:
    """Like `as_id`, but None for what cannot serve as an id. For the request path, where nothing may be raised."""
    if type(value) is str:
        return value if 0 < len(value) <= MAX_ID_LENGTH and _REFUSED.search(value) is None else None
    try:
        return as_id(value)
    except (IdError, ValueError):
        return None


def shown_id(value: str | None) -> str | int | None:
    """The id as JSON shows it: canonical integers as numbers, because existing dashboards compare numbers."""
    if value is not None and _CANONICAL_INTEGER.fullmatch(value) and abs(int(value)) <= MAX_SAFE_INTEGER:
        return int(value)
    return value
