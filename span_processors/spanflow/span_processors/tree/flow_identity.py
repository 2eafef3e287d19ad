"""Whose flow it is, read from the flow's own spans."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.ids import id_or_none

#: Where the spans carry it, and whether it is an id.
_FIELDS: Final = (
    ("user_id", names.ATTR_USER_ID, True),
    ("session_id", names.ATTR_FLOW_SESSION_ID, True),
    ("conversation_id", names.ATTR_CONVERSATION_ID, True),
    ("email", names.ATTR_USER_EMAIL, False),
    ("full_name", names.ATTR_USER_FULL_NAME, False),
    ("source", names.ATTR_SOURCE, False),
)
_PLACES: Final = tuple(name for _, name, _ in _FIELDS)
_NAMES: Final = frozenset(_PLACES)


def identity_in(entry: Event) -> Identity:
    """What one span says about its flow's owner."""
    attributes = entry.get("attributes")
    return said_in(attributes) if attributes else NOBODY


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
    )


def identity_of_flow(entries: Iterable[Event]) -> Identity:
    """The flow's owner: what its root says counts most, then what the span that started last says.

    The root hears of a late `identify` in its update or end; spans that had ended by then do not. `entries` are in
    start order; of several roots the first counts.
    """
    by_any: dict[str, str] = {}
    by_root: dict[str, str] = {}
    last: tuple[Any, ...] = ()
    for entry in entries:
        attributes = entry.get("attributes")
        if not attributes or _NAMES.isdisjoint(attributes):
            continue
        is_root = entry.get("parent_id") is None
        said = tuple(map(attributes.get, _PLACES))
        if said == last and not is_root:  # most spans of a flow repeat it
            continue
        last = said
        for (field, _, is_id_field), value in zip(_FIELDS, said, strict=True):
            if value is None or value == by_any.get(field) and not is_root:
                continue
            known = id_or_none(value) if is_id_field else _text(value)
            if known is not None:
                by_any[field] = known
                if is_root:
                    by_root.setdefault(field, known)
    return Identity(**{**by_any, **by_root})


def _id(value: object) -> str | None:
    return None if value is None else id_or_none(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
