"""Who may use the gateway. All of them are made up; their addresses lead nowhere."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Person:
    user_id: int
    name: str
    token: str
    role: str = "member"
    blocked: bool = False
    #: Questions per run of the gateway.
    quota: int = 1_000_000

    @property
    def email(self) -> str:
        return f"{self.name.lower().replace(' ', '.')}@example.com"


ANN: Final = Person(1, "Ann Archer", "demo-ann", role="admin")
BEN: Final = Person(2, "Ben Baker", "demo-ben")
CLEO: Final = Person(3, "Cleo Carver", "demo-cleo")
DAN: Final = Person(4, "Dan Dyer", "demo-dan", blocked=True)
EVE: Final = Person(5, "Eve Ember", "demo-eve", quota=3)
FAY: Final = Person(6, "Fay Fisher", "demo-fay", role="guest")

PEOPLE: Final = (ANN, BEN, CLEO, DAN, EVE, FAY)
_BY_TOKEN: Final = {person.token: person for person in PEOPLE}


def person_with(token: str) -> Person | None:
    return _BY_TOKEN.get(token)
