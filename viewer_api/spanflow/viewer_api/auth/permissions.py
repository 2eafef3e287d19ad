"""Who may do what. `allowed` is the one place where that is decided."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Right(StrEnum):
    #: Read flows and conversations, and look people up.
    READ = "read"
    #: Decide who is watched.
    MONITOR = "monitor"
    #: Look live; at somebody who is not watched only with a reason.
    LIVE = "live"
    #: Read the audit log.
    AUDIT = "audit"


class Via(StrEnum):
    """How somebody proved who they are."""

    TOKEN = "token"
    SESSION = "session"
    PROXY = "proxy"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who is signed in."""

    name: str
    via: Via
    expires_at: datetime | None = None
    #: Hash of the signed token behind a session, so that it can be looked up whether it was signed out.
    credential: bytes | None = None


def allowed(principal: Principal, right: Right) -> bool:
    """Whether `principal` has `right`. Everybody who can sign in is an operator with every right."""
    return right in rights_of(principal)


def rights_of(principal: Principal) -> frozenset[Right]:
    return frozenset(Right)
