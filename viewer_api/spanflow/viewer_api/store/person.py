"""The person behind a user id, as lists show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spanflow.span_processors.ids import shown_id


@dataclass(frozen=True, slots=True)
class Person:
    user_id: str
    email: str | None = None
    full_name: str | None = None
    team: str | None = None

    def completed(self, other: "Person | None") -> "Person":
        """With what `other` knows where this one knows nothing."""
        if other is None:
            return self
        return Person(
            self.user_id, self.email or other.email, self.full_name or other.full_name, self.team or other.team
        )

    def shown(self) -> dict[str, Any]:
        """As autocompletion lists them."""
        return {"id": shown_id(self.user_id), "email": self.email, "full_name": self.full_name}

    def names(self) -> dict[str, Any]:
        """For a row that has the id already."""
        return {"email": self.email, "full_name": self.full_name}


def names_in(people: Mapping[str, Person], user_id: str | None) -> dict[str, Any]:
    """The address and name of a user for a row of a list; null where they are unknown."""
    return (people.get(user_id or "") or Person("")).names()
