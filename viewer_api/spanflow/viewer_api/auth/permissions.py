"""Who may do what, and to whom. `allowed` and `Principal.sees` are the two places where that is decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import quote


class Right(StrEnum):
    #: Read flows and conversations, and look people up.
    READ = "read"
    #: Decide who is watched, and see who is.
    MONITOR = "monitor"
    #: Follow live; another user who is not watched only with a reason.
    LIVE = "live"
    #: Read the audit log.
    AUDIT = "audit"
    #: Export or erase everything a user did.
    ERASE = "erase"
    #: Write notes and verdicts on flows, and read those of others.
    ANNOTATE = "annotate"
    #: Show others what one sees: one flow by a link without a sign-in.
    SHARE = "share"
    #: Send spans by OTLP, of any user.
    INGEST = "ingest"


class Role(StrEnum):
    #: Sees what they did themselves.
    VIEWER = "viewer"
    #: Sees and watches named users, or all users.
    MONITOR = "monitor"
    #: Everything.
    ADMIN = "admin"
    #: Sends spans and reads nothing: for Collectors and gateways.
    INGEST = "ingest"


RIGHTS: Final[Mapping[Role, frozenset[Right]]] = MappingProxyType(
    {
        Role.VIEWER: frozenset({Right.READ, Right.LIVE}),
        Role.MONITOR: frozenset({Right.READ, Right.LIVE, Right.MONITOR, Right.ANNOTATE, Right.SHARE}),
        Role.ADMIN: frozenset(Right),
        Role.INGEST: frozenset({Right.INGEST}),
    }
)


class Via(StrEnum):
    """How a principal authenticated."""

    TOKEN = "token"
    SESSION = "session"
    PROXY = "proxy"
    TICKET = "ticket"
    #: A JSON Web Token of a service of your own.
    JWT = "jwt"
    #: A JSON Web Token of the identity provider.
    OIDC = "oidc"
    #: The token of a link to one flow.
    SHARE = "share"


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in user or program."""

    name: str
    via: Via
    role: Role
    #: Who they are among those whose flows are recorded; None when they are no such person.
    user_id: str | None = None
    #: Whom a monitor may see and watch; None: all users. It narrows a monitor only.
    scope: frozenset[str] | None = None
    expires_at: datetime | None = None
    #: Hash of the signed token behind a session, so that it can be looked up whether it was signed out.
    credential: bytes | None = None
    #: Names the configured credential that this one was made from, so that it ends, or changes its role, with that one.
    origin: str | None = None

    @property
    def visible(self) -> frozenset[str] | None:
        """The users whose data this principal may see; None: all, and flows without a user."""
        own = frozenset() if self.user_id is None else frozenset({self.user_id})
        if self.role is Role.ADMIN:
            return None
        if self.role is Role.MONITOR:
            return None if self.scope is None else self.scope | own
        return own

    @property
    def owner_key(self) -> str:
        """Who may change what this principal makes. A name alone may be that of several people; a token that was
        exchanged for another one is not a part of it."""
        kind = "other" if self.origin is None else "token"
        return "/".join((kind, quote(self.name, safe=""), quote(self.user_id or "", safe="")))

    def sees(self, user_id: str | None) -> bool:
        """Whether what `user_id` did may be shown; None stands for a flow without a user."""
        visible = self.visible
        return visible is None or (user_id is not None and user_id in visible)


def allowed(principal: Principal, right: Right) -> bool:
    """Whether `principal` has `right` at all; towards whom says `Principal.sees`."""
    return right in rights_of(principal)


def rights_of(principal: Principal) -> frozenset[Right]:
    return RIGHTS[principal.role]
