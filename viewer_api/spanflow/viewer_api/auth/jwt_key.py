"""The key that your own service's tokens are checked with, and the algorithms that it may be used for."""

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

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
