"""Small signed tokens: one-time codes, session cookies and socket tickets.

They need no storage to be checked, survive a restart and hold for every viewer process that has the same secret.
Changing the access token makes all of them worthless at once.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from spanflow.viewer_api.auth.permissions import Principal, Role, Via
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

#: A cookie may have 4,096 bytes with its name and attributes.
MAX_LENGTH: Final = 3600


class Kind(StrEnum):
    CODE = "c"
    SESSION = "s"
    TICKET = "t"
    #: Remembers a sign-in at the identity provider that has begun.
    LOGIN = "l"


#: How long a code and a ticket may wait for being used, in seconds.
CODE_SECONDS: Final = 600
TICKET_SECONDS: Final = 30


#: Four bytes of time, eight at random and sixteen that authenticate them, in base64.
_LINK_CODE_LENGTH: Final = 38


class TooLong(ValueError):
    """The rights of the owner do not fit into a token."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a valid token says: for whom it was made, with the rights that they had then."""

    kind: Kind
    name: str
    role: Role
    user_id: str | None
    scope: frozenset[str] | None
    origin: str | None
    expires_at: float
    #: When the credential that it was made from ends, in seconds since 1970; None: that one does not end by itself.
    until: float | None
    #: Fingerprint of the session that it was made from.
    parent: bytes | None
    #: Identifies the token in `spent_tokens` without being usable itself.
    fingerprint: bytes

    @property
    def expires(self) -> datetime:
        return datetime.fromtimestamp(self.expires_at, UTC)

    def principal(self, via: Via, expires_at: datetime, credential: bytes | None) -> Principal:
        return Principal(self.name, via, self.role, self.user_id, self.scope, expires_at, credential, self.origin)


class Signer:
    """Makes and reads signed tokens with one secret."""

    @classmethod
    def of(cls, settings: ViewerSettings) -> "Signer":
        """That of all viewer processes with the same settings."""
        return cls(settings.viewer_secret or settings.viewer_token)

    def __init__(self, secret: str) -> None:
        self._key = hmac.new(secret.encode(), b"spanflow viewer, signed tokens, 2", hashlib.sha256).digest()
        #: Cookies do not know ports: two viewers on one host must not overwrite each other's.
        self.cookie_name = "spanflow_session_" + hmac.new(self._key, b"cookie", hashlib.sha256).hexdigest()[:8]

    def mint(self, kind: Kind, owner: Principal, expires_at: float) -> str:
        """A token of `kind` with the rights of `owner`, valid until `expires_at` (seconds since 1970).

        `TooLong` when the list of users in the owner's scope does not fit. What a configured credential may do is not
        copied: it is asked for again when the token is read.
        """
        scope = None if owner.scope is None or owner.origin is not None else sorted(owner.scope)
        until = owner.expires_at.timestamp() if owner.expires_at is not None else None
        parent = _text(owner.credential) if owner.credential is not None else None
        stated = [owner.name, owner.role, owner.user_id, scope, owner.origin, expires_at, until, parent]
        return self.seal(kind, stated)

    def seal(self, kind: Kind, stated: list[Any]) -> str:
        """A token that carries `stated`: readable by its holder, tamper-proof."""
        payload = orjson.dumps([*stated, secrets.token_urlsafe(12)])
        body = f"{kind.value}.{_text(payload)}"
        token = f"{body}.{_text(self._mac(body))}"
        if len(token) > MAX_LENGTH:
            raise TooLong
        return token

    def unsealed(self, kind: Kind, token: str) -> list[Any] | None:
        """What a token of `kind` says; None when it is forged or of another kind."""
        if len(token) > MAX_LENGTH or not token.isascii():
            return None
        body, _, mac = token.rpartition(".")
        word, _, payload = body.partition(".")
        if not hmac.compare_digest(_text(self._mac(body)), mac) or word != kind.value:
            return None
        stated: list[Any] = orjson.loads(_raw(payload))
        return stated[:-1]

    def mint_link_code(self, expires_at: float) -> str:
        """A one-time code of the operator's, short enough to be read out: it says only until when it may be used."""
        stated = int(expires_at).to_bytes(4) + secrets.token_bytes(8)
        return _text(stated + self._mac_of_link(stated))

    def link_code_expiry(self, code: str, now: float) -> float | None:
        """Until when such a code may be used; None when it is forged, too old or a code of another form."""
        if len(code) != _LINK_CODE_LENGTH or not code.isascii():
            return None
        try:
            raw = base64.b64decode(code + "=" * (-len(code) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return None
        stated, mac = raw[:12], raw[12:]
        expires_at = float(int.from_bytes(stated[:4]))
        return expires_at if hmac.compare_digest(self._mac_of_link(stated), mac) and expires_at > now else None

    def secret_for(self, purpose: str) -> bytes:
        """A secret of its own for something else."""
        return hmac.new(self._key, f"secret for {purpose}".encode(), hashlib.sha256).digest()

    def read(self, kind: Kind, token: str, now: float) -> Claim | None:
        """What `token` says, or None when it is forged, of another kind or too old."""
        stated = self.unsealed(kind, token)
        if stated is None:
            return None
        name, role, user_id, scope, origin, expires_at, until, parent = stated
        if expires_at <= now or (until is not None and until <= now):
            return None
        return Claim(
            kind=kind,
            name=name,
            role=Role(role),
            user_id=user_id,
            scope=None if scope is None else frozenset(scope),
            origin=origin,
            expires_at=expires_at,
            until=until,
            parent=None if parent is None else _raw(parent),
            fingerprint=fingerprint_of(token),
        )

    def _mac_of_link(self, stated: bytes) -> bytes:
        return hmac.new(self._key, b"link code" + stated, hashlib.sha256).digest()[:16]

    def _mac(self, body: str) -> bytes:
        return hmac.new(self._key, body.encode(), hashlib.sha256).digest()


def fingerprint_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
