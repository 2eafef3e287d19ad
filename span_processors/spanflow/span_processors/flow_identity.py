"""Whose flow it is, read from the flow's own spans."""

from collections.abc import Iterable
from typing import Final

from spanflow.span_processors import names
from spanflow.span_processors.event import Event
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.ids import id_or_none

_IDS: Final = {
    "user_id": (names.ATTR_USER_ID,),
    "session_id": (names.ATTR_FLOW_SESSION_ID,),
    "conversation_id": (names.ATTR_CONVERSATION_ID,),
}
_TEXTS: Final = {
    "email": names.ATTR_USER_EMAIL,
    "full_name": names.ATTR_USER_FULL_NAME,
    "source": names.ATTR_SOURCE,
}


def identity_in(entry: Event) -> Identity:
    """What one span says about its flow's owner."""
    attributes = entry.get("attributes", {})
    known: dict[str, str | None] = {}
    for field, sources in _IDS.items():
        known[field] = next((value for name in sources if (value := id_or_none(attributes.get(name)))), None)
    for field, name in _TEXTS.items():
        value = attributes.get(name)
        known[field] = value if isinstance(value, str) and value else None
    return Identity(**known)


def identity_of_flow(entries: Iterable[Event]) -> Identity:
    """The flow's owner: what its root says counts most, then what the span that started last says.

    The root hears of a late `identify` in its update or end; spans that had ended by then do not.
    """
    identity = Identity()
    roots: list[Event] = []
    for entry in entries:
        identity = identity.merged(identity_in(entry))
        if entry.get("parent_id") is None:
            roots.append(entry)
    for root in reversed(roots):
        identity = identity.merged(identity_in(root))
    return identity
