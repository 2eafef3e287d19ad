"""What the claims of a verified token say about somebody."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from spanflow.viewer_api.auth.permissions import Principal, Via
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.auth.role_words import RoleWords
from spanflow.viewer_api.auth.stated_names import clean_id, clean_name, clean_scope
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

Claims = Mapping[str, Any]
_EMAIL: Final = "email"
_NAMES: Final = (_EMAIL, "preferred_username", "name", "sub")


class ClaimReader:
    """Reads the claims that the settings name."""

    def __init__(self, settings: ViewerSettings) -> None:
        self._words = RoleWords(settings)
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
    found: Any = claims
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _is_a_mere_assertion(claims: Claims) -> bool:
    """Whether the e-mail address is one that the issuer itself has not verified: it may be anybody else's. (Some write
    the word instead of the flag.)"""
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
