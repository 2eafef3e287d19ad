"""Checks a JSON Web Token with a key: signature, issuer, audience and times, all of them or it is rejected."""

from typing import Any, Final

import jwt

from spanflow.viewer_api.auth.jwt_key import PublicKey
from spanflow.viewer_api.auth.rejected import Rejected

MAX_LENGTH: Final = 16 * 1024
_JWT: Final = jwt.PyJWT({"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True})
_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not valid yet"),
    (jwt.InvalidAudienceError, "meant for another audience"),
    (jwt.InvalidIssuerError, "of another issuer"),
    (jwt.MissingRequiredClaimError, "without a claim that it must have"),
    (jwt.InvalidAlgorithmError, "of another algorithm"),
    (jwt.InvalidSignatureError, "of a wrong signature"),
)


def looks_like_jwt(token: str) -> bool:
    return token.count(".") == 2 and token.startswith("ey")


def header_of(token: str) -> dict[str, Any]:
    """What a token says about how it was signed. Nothing of it is proved."""
    try:
        if len(token) > MAX_LENGTH:
            raise Rejected("too long")
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Rejected("no JSON Web Token") from None


def verified(
    token: str, key: PublicKey | jwt.PyJWK | bytes, algorithm: str, *, issuer: str, audience: str, leeway: float
) -> dict[str, Any]:
    """The claims of a token that `algorithm` and no other has signed; `Rejected` says in a few words what is wrong."""
    if header_of(token).get("alg") != algorithm:
        raise Rejected("of another algorithm")
    try:
        return _JWT.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            leeway=leeway,
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as why:
        word = next((word for kind, word in _WORDS if isinstance(why, kind)), "not well formed")
        raise Rejected(word) from None
