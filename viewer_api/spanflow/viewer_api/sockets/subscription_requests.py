"""What a client asks to follow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spanflow.span_processors.ids import IdError, as_id
from spanflow.viewer_api.http.problems import invalid_id, invalid_request
from spanflow.viewer_api.live.cursor import Cursor, decoded, separated
from spanflow.viewer_api.live.topic import Kind


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    kind: Kind
    id: str
    #: Where the client was; None when it has nothing.
    cursor: Cursor | None = None
    #: It sent a cursor that cannot be used.
    cursor_is_useless: bool = False

    @property
    def key(self) -> tuple[Kind, str]:
        return self.kind, self.id


def subscription_requests(named: Mapping[Kind, Iterable[Any]], cursor: object) -> list[SubscriptionRequest]:
    """A wish for each id; `Problem` when an id cannot be one or there is none."""
    keys: dict[tuple[Kind, str], None] = {}
    for kind, values in named.items():
        for value in values:
            try:
                keys[kind, as_id(value)] = None
            except IdError as why:
                raise invalid_id(f"{kind.field}: {why}.") from None
    if not keys:
        raise invalid_request("Say whom or what: user_id, flow_id or conversation_id.")
    if cursor is None:
        return [SubscriptionRequest(*key) for key in keys]
    if len(keys) == 1 and (only := decoded(cursor)) is not None:
        return [SubscriptionRequest(*key, only) for key in keys]
    several = separated(cursor) if isinstance(cursor, str) else {}
    return [SubscriptionRequest(*key, several.get(key), cursor_is_useless=not several) for key in keys]


def requests_in_message(message: Mapping[str, Any]) -> list[SubscriptionRequest]:
    """Those of a message; each of its ids may be one or a list."""
    named = {kind: _several(message[kind.field]) for kind in Kind if message.get(kind.field) is not None}
    return subscription_requests(named, message.get("cursor"))


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
