"""The checks that every question passes before a model sees it. Each is one checkpoint and may refuse."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from example_gateway.people import Person, person_with
from example_gateway.tracing import checkpoint, identify

#: Parts of a message that this stand-in for a security filter takes for an attack.
_SUSPICIOUS: Final = ("ignore all previous instructions", "reveal your system prompt", "drop table")
#: Tools that change something, and who may use them.
_RESTRICTED: Final[Mapping[str, frozenset[str]]] = {"restart_service": frozenset({"admin"})}
#: Tools that a guest is not even offered.
_NOT_FOR_GUESTS: Final = frozenset({"restart_service", "search_documents"})


class Refused(Exception):
    """A gate said no."""

    def __init__(self, gate: str, status_code: int, detail: str) -> None:
        super().__init__(detail)
        self.gate = gate
        self.status_code = status_code
        self.detail = detail


class Gates:
    """The checks and what they remember: how many questions each person has asked."""

    def __init__(self) -> None:
        self._asked: Counter[int] = Counter()

    def authenticate(self, authorization: str | None) -> Person:
        with checkpoint("auth_check", method="bearer") as step:
            scheme, _, token = (authorization or "").partition(" ")
            person = person_with(token) if scheme.lower() == "bearer" else None
            if person is None:
                step.deny("unknown token" if authorization else "no token")
                raise Refused("auth_check", 401, "Sign in first.")
            identify(user_id=person.user_id, email=person.email, full_name=person.name, team=person.team)
            step.set(role=person.role)
            return person

    def admit(self, person: Person, message: str) -> None:
        """Every further check that needs no tool."""
        self._harmless(message)
        self._not_blocked(person)
        self._within_quota(person)

    def offered(self, person: Person, tools: list[str]) -> list[str]:
        """The tools offered to this user's model."""
        with checkpoint("tool_filter", available=len(tools)) as step:
            kept = [name for name in tools if person.role != "guest" or name not in _NOT_FOR_GUESTS]
            step.set(offered=len(kept), removed=sorted(set(tools) - set(kept)))
            return kept

    def may_call(self, person: Person, mcp: str, tool: str) -> bool:
        with checkpoint("mcp_permission_check", mcp=mcp, tool=tool, role=person.role) as step:
            allowed = _RESTRICTED.get(tool)
            if allowed is not None and person.role not in allowed:
                step.deny(f"{tool} needs the role {' or '.join(sorted(allowed))}")
                return False
            return True

    def _harmless(self, message: str) -> None:
        with checkpoint("security_check", scanner="phrases") as step:
            found = [phrase for phrase in _SUSPICIOUS if phrase in message.lower()]
            step.set(score=0.97 if found else 0.02)
            if found:
                step.deny("the message looks like an attack on the model")
                raise Refused("security_check", 403, "This message cannot be answered.")

    def _not_blocked(self, person: Person) -> None:
        with checkpoint("block_check") as step:
            if person.blocked:
                step.deny("this account is blocked")
                raise Refused("block_check", 403, "This account is blocked.")

    def _within_quota(self, person: Person) -> None:
        with checkpoint("usage_check", limit=person.quota) as step:
            remaining = person.quota - self._asked[person.user_id]
            step.set(remaining=max(0, remaining))
            if remaining <= 0:
                step.deny("no questions left for today")
                raise Refused("usage_check", 429, "No questions left for today.")
            self._asked[person.user_id] += 1
