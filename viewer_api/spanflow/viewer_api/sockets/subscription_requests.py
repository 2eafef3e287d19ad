"""What a client asks to follow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spanflow.span_processors.ids import IdError, as_id
from spanflow.viewer_api.http.problems import invalid_id, invalid_request
from spanflow.viewer_api.http.query_values import whole_flow_id
from spanflow.viewer_api.live.cursor import separated
from spanflow.viewer_api.live.topic import Kind


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    kind: Kind
    id: str
    #: Where the client says it was; None when it has nothing. Not read before it is known what the client may see.
    cursor: str | None = None

    @property
    def key(self) -> tuple[Kind, str]:
        return self.kind, self.id


def subscription_requests(named: Mapping[Kind, Iterable[Any]], cursor: object) -> list[SubscriptionRequest]:
    """A wanted for each id; `Problem` when an id cannot be one or there is none."""
    keys: dict[tuple[Kind, str], None] = {}
    for kind, values in named.items():
        for value in values:
            try:
                checked = as_id(value)
                keys[kind, whole_flow_id(checked) if kind is Kind.FLOW else checked] = None
            except IdError as why:
                raise invalid_id(f"{kind.field}: {why}.") from None
    if not keys:
        raise invalid_request("Say whom or what: user_id, flow_id or conversation_id.")
    if cursor is None:
        return [SubscriptionRequest(*key) for key in keys]
    word = cursor if isinstance(cursor, str) else ""
    several = separated(word)
    # Of several, those for other topics say nothing about this one.
    return [SubscriptionRequest(*key, several.get(key) if several else word) for key in keys]


def requests_in_message(message: Mapping[str, Any]) -> list[SubscriptionRequest]:
    """Those of a message; each of its ids may be one or a list."""
    named = {kind: _several(message[kind.field]) for kind in Kind if message.get(kind.field) is not None}
    return subscription_requests(named, message.get("cursor"))


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
