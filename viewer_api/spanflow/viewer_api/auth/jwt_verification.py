"""Verification of JSON Web Tokens: the keys, the algorithms each may be used for, and the checks on a token."""

from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from spanflow.viewer_api.auth.rejected import Rejected

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

SECRET_ALGORITHMS: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
KEY_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *_CURVES, "EdDSA"})
_LEAST_BITS: Final = 2048


def public_key(data: bytes, algorithm: str) -> PublicKey:
    """The public key of a PEM file, if it is one for `algorithm`; `ValueError` says what to write instead."""
    if b"PRIVATE KEY" in data:
        raise ValueError("holds a private key; the viewer only needs the public one, so keep that one with the issuer")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds no public key in PEM form (-----BEGIN PUBLIC KEY-----)") from None
    if algorithm in _CURVES:
        if isinstance(key, EllipticCurvePublicKey) and key.curve.name == _CURVES[algorithm]:
            return key
    elif algorithm == "EdDSA":
        if isinstance(key, Ed25519PublicKey | Ed448PublicKey):
            return key
    elif isinstance(key, RSAPublicKey):
        if key.key_size < _LEAST_BITS:
            raise ValueError(f"holds an RSA key of {key.key_size} bits; use at least {_LEAST_BITS}")
        return key
    raise ValueError(f"holds a key of another kind than {algorithm} needs")


MAX_LENGTH: Final = 16 * 1024
_JWT: Final = jwt.PyJWT({"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True})
_UNSCOPED: Final = jwt.PyJWT(
    {"require": ["exp"], "verify_iss": False, "verify_aud": False, "enforce_minimum_key_length": True}
)
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
    token: str,
    key: PublicKey | jwt.PyJWK | bytes,
    algorithm: str,
    *,
    issuer: str,
    audience: str,
    leeway: float,
    unscoped: bool = False,
) -> dict[str, Any]:
    """The claims of a token that `algorithm` and no other has signed; `Rejected` says in a few words what is wrong.

    `unscoped` also takes tokens that leave out their issuer or audience, but none that names another one.
    """
    if header_of(token).get("alg") != algorithm:
        raise Rejected("of another algorithm")
    try:
        if unscoped:
            claims: dict[str, Any] = _UNSCOPED.decode(token, key, algorithms=[algorithm], leeway=leeway)
            if "iss" in claims and claims["iss"] != issuer:
                raise Rejected("of another issuer")
            if "aud" in claims and not _is_meant_for(audience, claims["aud"]):
                raise Rejected("meant for another audience")
            return claims
        return _JWT.decode(token, key, algorithms=[algorithm], issuer=issuer, audience=audience, leeway=leeway)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as why:
        word = next((word for kind, word in _WORDS if isinstance(why, kind)), "not well formed")
        raise Rejected(word) from None


def _is_meant_for(audience: str, stated: Any) -> bool:
    return audience in stated if isinstance(stated, list) else audience == stated
