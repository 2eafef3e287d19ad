"""What a client may follow: a user, one flow, or a conversation."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from spanflow.span_processors.ids import shown_id


class Kind(StrEnum):
    USER = "user"
    FLOW = "flow"
    CONVERSATION = "conversation"

    @property
    def field(self) -> str:
        """How messages name it."""
        return f"{self}_id"


@dataclass(frozen=True, slots=True)
class Topic:
    """Followed by clients that may see what `owner` did. Two topics with different owners are different topics."""

    kind: Kind
    id: str
    #: Whose flows these are; None while unknown. Of a conversation only the flows of this user are shown.
    owner: str | None

    @classmethod
    def of_user(cls, user_id: str) -> "Topic":
        return cls(Kind.USER, user_id, user_id)

    @property
    def key(self) -> tuple[Kind, str]:
        """What a client calls it."""
        return self.kind, self.id

    @property
    def fields(self) -> dict[str, Any]:
        """How it stands in messages. Flow ids are never numbers."""
        return {self.kind.field: self.id if self.kind is Kind.FLOW else shown_id(self.id)}

    def shows(self, user_id: str | None) -> bool:
        """Whether a flow that was found for it may be shown although its events name this user, or no user."""
        return user_id is None or user_id == self.owner

    def covers(self, flow_id: str, user_id: str | None, conversation_id: str | None) -> bool:
        """Whether a flow with these ids belongs to it."""
        if self.kind is Kind.USER:
            return user_id == self.id
        if self.kind is Kind.FLOW:
            return flow_id == self.id and user_id == self.owner
        return conversation_id == self.id and user_id == self.owner

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
