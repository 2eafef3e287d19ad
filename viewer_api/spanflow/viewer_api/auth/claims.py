"""From the claims of a verified token to a principal: name, id, role and scope."""

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from spanflow.span_processors.ids import IdError, as_id
from spanflow.viewer_api.auth.permissions import Principal, Role, Via
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

_RANK = {Role.INGEST: -1, Role.VIEWER: 0, Role.MONITOR: 1, Role.ADMIN: 2}
_NONE = "none"


class RoleMapping:
    """The mapping of the settings, and the default for whom no known word is said."""

    def __init__(self, settings: ViewerSettings) -> None:
        self._meanings: dict[str, Role | None] = {role.value: role for role in Role}
        for word, meaning in settings.viewer_roles:
            self._meanings[word.casefold()] = None if meaning == _NONE else Role(meaning)
        default = settings.viewer_default_role
        self._default = None if default == _NONE else Role(default)

    def role(self, words: Iterable[str]) -> Role | None:
        """The highest role that one of `words` maps to; None if none does."""
        keys = [key for word in words if (key := word.strip().casefold()) in self._meanings]
        if not keys:
            return self._default
        roles = [role for key in keys if (role := self._meanings[key]) is not None]
        return max(roles, key=_RANK.__getitem__, default=None)


EVERYBODY: Final = "*"
_MAX_NAME: Final = 128
_MAX_USERS: Final = 1000


#: Under these the audit log has the access token, the viewer itself, and those who are not signed in.
_RESERVED: Final = frozenset({"operator", "system", "unknown"})


def clean_name(text: str) -> str:
    """A name as the audit log keeps it."""
    name = text.strip()
    if not name or len(name) > _MAX_NAME or any(unicodedata.category(char).startswith("C") for char in name):
        raise Rejected("a name that cannot be shown")
    if unicodedata.normalize("NFKC", name).casefold() in _RESERVED:
        raise Rejected("a name that the viewer uses itself")
    return name


def clean_id(value: object) -> str:
    try:
        return as_id(value)
    except (IdError, ValueError):
        raise Rejected("a user id that cannot be one") from None


def clean_scope(values: Iterable[object]) -> frozenset[str] | None:
    """The users whom a monitor may see; None for all users."""
    listed = list(values)
    if EVERYBODY in listed:
        return None
    if len(listed) > _MAX_USERS:
        raise Rejected(f"more than {_MAX_USERS} users")
    return frozenset(clean_id(value) for value in listed)


Claims = Mapping[str, Any]
_EMAIL: Final = "email"
_NAMES: Final = (_EMAIL, "preferred_username", "name", "sub")


class ClaimReader:
    """Reads the claims that the settings name."""

    def __init__(self, settings: ViewerSettings) -> None:
        self._words = RoleMapping(settings)
        self._name = settings.viewer_jwt_name_claim
        self._user = settings.viewer_jwt_user_claim
        self._role = settings.viewer_jwt_role_claim
        self._users = settings.viewer_jwt_users_claim

    def says_role(self, claims: Claims) -> bool:
        """Whether the claim with the role is there at all."""
        return claim(claims, self._role) is not None

    def principal(self, claims: Claims, via: Via) -> Principal:
        """Who it is, until when the token says it is; `Rejected` when the claims cannot be meant so."""
        role = self._words.role(_words(claim(claims, self._role)))
        if role is None:
            raise Rejected("no role here")
        user = None if self._user == _EMAIL and _is_a_mere_assertion(claims) else claim(claims, self._user)
        return Principal(
            name=self._name_in(claims),
            via=via,
            role=role,
            user_id=None if user is None else clean_id(user),
            scope=None if not self._users else clean_scope(_listed(claim(claims, self._users))),
            expires_at=_moment(claims["exp"]),
        )

    def _name_in(self, claims: Claims) -> str:
        usual = _NAMES[1:] if _is_a_mere_assertion(claims) else _NAMES
        for name in (self._name,) if self._name else usual:
            if isinstance(value := claim(claims, name), str):
                return clean_name(value)
        raise Rejected("no name")


def claim(claims: Claims, path: str) -> Any:
    """The claim of this name; where there is none, what a dotted path leads to. None when there is nothing."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _is_a_mere_assertion(claims: Claims) -> bool:
    """Whether the e-mail address is one that the issuer itself has not verified: it may belong to someone else.
    (Some issuers write the word instead of the flag.)"""
    return claims.get("email_verified") in (False, "false")


def _words(value: Any) -> list[str]:
    return [word for word in _listed(value) if isinstance(word, str)]


def _listed(value: Any) -> list[Any]:
    """A list as it is; a text is one with commas between."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _moment(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        raise Rejected("a time that cannot be one") from None
