"""Small signed tokens: one-time codes, session cookies and socket tickets.

They need no storage to be checked, survive a restart and hold for every viewer process that has the same secret.
Changing the access token makes all of them worthless at once.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import orjson

Clock = Callable[[], float]
_MAX_LENGTH: Final = 1024


class Kind(StrEnum):
    CODE = "c"
    SESSION = "s"
    TICKET = "t"


#: How long a code and a ticket may wait for being used, in seconds.
CODE_SECONDS: Final = 600
TICKET_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Claim:
    """What a valid token says."""

    kind: Kind
    name: str
    expires_at: float
    #: Identifies the token in `spent_tokens` without being usable itself.
    fingerprint: bytes

    @property
    def expires(self) -> datetime:
        return datetime.fromtimestamp(self.expires_at, UTC)


class Signer:
    """Makes and reads signed tokens with one secret."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.new(secret.encode(), b"spanflow viewer, signed tokens, 1", hashlib.sha256).digest()
        #: Cookies do not know ports: two viewers on one host must not overwrite each other's.
        self.cookie_name = "spanflow_session_" + hmac.new(self._key, b"cookie", hashlib.sha256).hexdigest()[:8]

    def mint(self, kind: Kind, name: str, expires_at: float) -> str:
        """A token of `kind` for `name`, valid until `expires_at` (seconds since 1970)."""
        payload = orjson.dumps([name, expires_at, secrets.token_urlsafe(12)])
        body = f"{kind.value}.{_text(payload)}"
        return f"{body}.{_text(self._mac(body))}"

    def read(self, kind: Kind, token: str, now: float) -> Claim | None:
        """What `token` says, or None when it is forged, of another kind or too old."""
        if len(token) > _MAX_LENGTH or not token.isascii():
            return None
        body, _, mac = token.rpartition(".")
        word, _, payload = body.partition(".")
        if not hmac.compare_digest(_text(self._mac(body)), mac) or word != kind.value:
            return None
        name, expires_at, _nonce = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if expires_at <= now:
            return None
        return Claim(kind, name, expires_at, hashlib.sha256(token.encode()).digest())

    def _mac(self, body: str) -> bytes:
        return hmac.new(self._key, body.encode(), hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
