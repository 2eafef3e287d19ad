"""Who may use the gateway. All of them are made up; their addresses lead nowhere."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Person:
    user_id: int
    name: str
    token: str
    role: str = "member"
    team: str = "operations"
    blocked: bool = False
    #: Questions per run of the gateway.
    quota: int = 1_000_000
    #: How often this person asks, beside the others.
    weight: int = 4

    @property
    def email(self) -> str:
        return f"{self.name.lower().replace(' ', '.')}@example.com"


ANN: Final = Person(1, "Ann Archer", "demo-ann", role="admin")
BEN: Final = Person(2, "Ben Baker", "demo-ben")
CLEO: Final = Person(3, "Cleo Carver", "demo-cleo", team="data")
DAN: Final = Person(4, "Dan Dyer", "demo-dan", team="support", blocked=True, weight=1)
EVE: Final = Person(5, "Eve Ember", "demo-eve", team="support", quota=3, weight=1)
FAY: Final = Person(6, "Fay Fisher", "demo-fay", role="guest", team="partners", weight=2)
GIL: Final = Person(7, "Gil Grove", "demo-gil", team="data", weight=2)
HANA: Final = Person(8, "Hana Hill", "demo-hana", team="support", weight=2)

PEOPLE: Final = (ANN, BEN, CLEO, DAN, EVE, FAY, GIL, HANA)
WEIGHTS: Final = tuple(person.weight for person in PEOPLE)
_BY_TOKEN: Final = {person.token: person for person in PEOPLE}


def person_with(token: str) -> Person | None:
    return _BY_TOKEN.get(token)
