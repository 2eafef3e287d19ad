"""Watches as clients see them: the list, what an extension answers and what the live socket tells."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.clock import moment
from spanflow.viewer_api.store.person import Person, names_in
from spanflow.viewer_api.store.users import UserStore
from spanflow.viewer_api.store.watches import Watch

#: Of the times that a watch was extended, so many are shown; the audit log has all.
_SHOWN_EXTENSIONS = 5


async def watch_documents(users: UserStore, watches: Iterable[Watch], now: float) -> list[dict[str, Any]]:
    """Each with the name of the person, in the order given."""
    listed = list(watches)
    people = await users.names_of(watch.user_id for watch in listed)
    return [_document(watch, people, now) for watch in listed]


def _document(watch: Watch, people: Mapping[str, Person], now: float) -> dict[str, Any]:
    endless = math.isinf(watch.expires_at)
    return {
        "user_id": shown_id(watch.user_id),
        "expires_at": None if endless else moment(watch.expires_at),
        "seconds_left": None if endless else max(int(watch.expires_at - now), 0),
        "reason": watch.reason,
        "by": watch.by,
        "enabled_at": moment(watch.enabled_at),
        "metadata_only": bool(watch.metadata_only),
        "extensions": [_extension(each) for each in watch.extensions[-_SHOWN_EXTENSIONS:]],
        **names_in(people, watch.user_id),
    }


def _extension(stored: Any) -> dict[str, Any]:
    """Stored by us, or by another writer of the table."""
    at, until = stored.get("at"), stored.get("expires_at")
    return {
        "by": stored.get("by"),
        "at": moment(at) if isinstance(at, int) else None,
        "reason": stored.get("reason"),
        "expires_at": moment(until) if isinstance(until, int) else None,
    }
