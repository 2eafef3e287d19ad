"""Whose flow it is, read from the flow's own spans."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.ids import id_or_none
from spanflow.span_processors.tree.identity_aliases import (
    ALIASES,
    NO_ALIASES,
    alias_values,
    identity_by_alias,
    joined_aliases,
)

#: Where the spans carry it, in the order of `Identity`'s fields.
_PLACES: Final = (
    names.ATTR_USER_ID,
    names.ATTR_USER_EMAIL,
    names.ATTR_USER_FULL_NAME,
    names.ATTR_FLOW_SESSION_ID,
    names.ATTR_CONVERSATION_ID,
    names.ATTR_SOURCE,
    names.ATTR_USER_TEAM,
)
_NAMES: Final = frozenset(_PLACES)
_IDS: Final = frozenset({names.ATTR_USER_ID, names.ATTR_FLOW_SESSION_ID, names.ATTR_CONVERSATION_ID})
_REMEMBERED_LENGTH: Final = 512
_NOTHING: Final[tuple[str | None, ...]] = (None,) * len(_PLACES)


def identity_in(entry: Event) -> Identity:
    """What one span says about its flow's owner."""
    attributes = entry.get("attributes")
    return identity_by_alias(alias_values(attributes)).merged(said_in(attributes)) if attributes else NOBODY


def said_in(attributes: Mapping[str, Any]) -> Identity:
    """What a span's attributes say about its flow's owner."""
    say = attributes.get
    return Identity(
        user_id=_id(say(names.ATTR_USER_ID)),
        email=_text(say(names.ATTR_USER_EMAIL)),
        full_name=_text(say(names.ATTR_USER_FULL_NAME)),
        session_id=_id(say(names.ATTR_FLOW_SESSION_ID)),
        conversation_id=_id(say(names.ATTR_CONVERSATION_ID)),
        source=_text(say(names.ATTR_SOURCE)),
        team=_text(say(names.ATTR_USER_TEAM)),
    )


def identity_of_flow(entries: Iterable[Event], stated: Identity = NOBODY) -> Identity:
    """The flow's owner: what its root says counts most, then what the span that started last says, then what is
    `stated` beside the spans, then what other instrumentations say in attributes of their own.

    The root hears of a late `identify` in its update or end; spans that had ended by then do not. `entries` are in
    start order; of several roots the first counts.
    """
    by_any = by_root = _NOTHING
    by_alias = NO_ALIASES
    last: tuple[Any, ...] = ()
    for entry in entries:
        attributes = entry.get("attributes")
        if not attributes:
            continue
        if not ALIASES.isdisjoint(attributes):
            by_alias = joined_aliases(by_alias, alias_values(attributes))
        if _NAMES.isdisjoint(attributes):
            continue
        is_root = entry.get("parent_id") is None
        values = tuple(map(attributes.get, _PLACES))
        if values == last and not is_root:  # most spans of a flow repeat it
            continue
        last = values
        fields = _known(values)
        by_any = _first_of(fields, by_any)
        if is_root:
            by_root = _first_of(by_root, fields)
    by_spans = made_identity(_first_of(by_root, by_any))
    if by_alias is NO_ALIASES and stated is NOBODY:
        return by_spans
    return identity_by_alias(by_alias).merged(stated).merged(by_spans)


def made_identity(known: tuple[str | None, ...]) -> Identity:
    """The identity with these fields, cached: most flows belong to a user who has been seen before."""
    return _remembered(*known) if len("".join(filter(None, known))) <= _REMEMBERED_LENGTH else Identity(*known)


_remembered: Final = lru_cache(maxsize=4096)(Identity)


def _known(values: Iterable[Any]) -> tuple[str | None, ...]:
    return tuple([(_id if place in _IDS else _text)(value) for place, value in zip(_PLACES, values, strict=True)])


def _first_of(one: tuple[str | None, ...], other: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """Field by field what the one knows, else what the other knows."""
    if one is _NOTHING or other is _NOTHING:
        return other if one is _NOTHING else one
    return tuple([second if first is None else first for first, second in zip(one, other, strict=True)])


def _id(value: object) -> str | None:
    return None if value is None else id_or_none(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
