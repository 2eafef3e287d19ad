"""Whose flow it is in the words of other instrumentations and gateways: the weakest source, for want of a better."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.ids import id_or_none

_PLACES: Final = (*names.USER_ID_ALIASES, *names.USER_EMAIL_ALIASES, *names.SESSION_ID_ALIASES)
ALIASES: Final = frozenset(_PLACES)
_USERS: Final = slice(0, len(names.USER_ID_ALIASES))
_EMAILS: Final = slice(_USERS.stop, _USERS.stop + len(names.USER_EMAIL_ALIASES))
_SESSIONS: Final = slice(_EMAILS.stop, len(_PLACES))

#: What stands at each place.
AliasValues: TypeAlias = tuple[Any, ...]
NO_ALIASES: Final[AliasValues] = (None,) * len(_PLACES)

#: A key names no person, nor does its hash, nor a word that stands for nothing.
_NO_ID: Final = re.compile(r"sk-.*|[0-9a-f]{64}|default_user_id|none|null|\[redacted\]", re.IGNORECASE)


def alias_values(attributes: Mapping[str, Any]) -> AliasValues:
    """What a span says at each place."""
    if ALIASES.isdisjoint(attributes):
        return NO_ALIASES
    return tuple(map(attributes.get, _PLACES))


def joined_aliases(before: AliasValues, newer: AliasValues) -> AliasValues:
    """What several spans say: at each place the newest counts, and it never takes the place of a better one."""
    if before is NO_ALIASES or newer is NO_ALIASES:
        return newer if before is NO_ALIASES else before
    return tuple([old if new is None else new for old, new in zip(before, newer, strict=True)])


def identity_by_alias(values: AliasValues) -> Identity:
    """The identity that the best usable places tell."""
    if values is NO_ALIASES:
        return NOBODY
    email = next((value for value in values[_EMAILS] if isinstance(value, str) and "@" in value), None)
    identity = Identity(user_id=_first_id(values[_USERS]), email=email, session_id=_first_id(values[_SESSIONS]))
    return NOBODY if identity == NOBODY else identity


def _first_id(values: Iterable[Any]) -> str | None:
    ids = (id_or_none(value) for value in values if value is not None)
    return next((value for value in ids if value is not None and not _NO_ID.fullmatch(value)), None)
