"""Signatures of webhooks as Standard Webhooks defines them: https://www.standardwebhooks.com"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

_PREFIX: Final = "whsec_"
_LEAST, _MOST = 24, 64


class SecretError(ValueError):
    """What was given is no secret."""


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key in a secret like `whsec_…`; a `SecretError` when it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SecretError("must be whsec_ and base64") from None
    if not secret.startswith(_PREFIX) or not _LEAST <= len(key) <= _MOST:
        raise SecretError(f"must be whsec_ and {_LEAST} to {_MOST} bytes in base64")
    return key


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers by which a receiver knows that the message is ours, and when it was sent."""
    content = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key_of(secret), content, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
