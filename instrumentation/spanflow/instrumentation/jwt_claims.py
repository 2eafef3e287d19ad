"""Whose request it is by the claims of its JSON Web Token, without code of the gateway's own.

The signature is not verified: that is the gateway's business, whose key we do not have. So a request that the gateway
goes on to refuse may name anyone; that is why it has to be switched on. The token itself goes nowhere.
"""

from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from spanflow.instrumentation.identify import clean_identity
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.settings import Settings

#: Longer ones are not read: a request waits for this.
_LONGEST: Final = 16_384
_BEARER: Final = b"bearer "
_FORMS: Final = 3


class JwtClaims:
    """Reads the token of one header. `claims` say which field of an identity comes from which claim."""

    def __init__(self, header: str, claims: Sequence[str]) -> None:
        self._header = header.strip().lower().encode("latin-1", "replace")
        self._claims = [(field, claim) for field, _, claim in (pair.partition("=") for pair in claims)]

    @classmethod
    def from_settings(cls, settings: Settings) -> "JwtClaims | None":
        return cls(settings.jwt_header, settings.jwt_claims) if settings.jwt_claims else None

    def __call__(self, scope: Mapping[str, Any]) -> Identity | None:
        tokens = {value for name, value in scope.get("headers", ()) if name == self._header}
        if len(tokens) != 1:  # two different ones: the gateway may believe either
            return None
        claims = _payload(tokens.pop())
        if claims is None:
            return None
        return clean_identity(**{field: _claim(claims, name) for field, name in self._claims})


def _payload(value: bytes) -> dict[str, Any] | None:
    """The claims of what looks like a token; None for anything else."""
    if value[:7].lower() == _BEARER:
        value = value[7:]
    parts = value.strip().split(b".")
    if len(parts) != _FORMS or len(value) > _LONGEST:
        return None
    try:
        claims = orjson.loads(urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """A claim by its name, or by a path of names with dots between them."""
    value: object = claims.get(name)
    if value is None and "." in name:
        value = claims
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    return value
