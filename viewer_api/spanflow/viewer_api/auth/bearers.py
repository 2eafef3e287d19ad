"""Whose token a client sends: the access token, one of the file, or a JSON Web Token."""

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from spanflow.viewer_api.auth.jwt_verification import looks_like_jwt
from spanflow.viewer_api.auth.permissions import Principal, Role, Via
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.auth.token_file import TokenTable, digest, origin_of
from spanflow.viewer_api.clock import Clock

#: The one name that the access token signs in.
OPERATOR: Final = "operator"


class JwtReader(Protocol):
    """Knows the tokens of one issuer."""

    async def principal(self, token: str) -> Principal:
        """Whose token it is; `Rejected` when it is not good."""


def operator(token: str) -> Principal:
    """Who has the access token of the settings."""
    return Principal(OPERATOR, Via.TOKEN, Role.ADMIN, origin=origin_of(digest(token)))


class Bearers:
    """Every kind of token that the settings allow."""

    def __init__(self, token: str, tokens: TokenTable, jwt_readers: Sequence[JwtReader], clock: Clock) -> None:
        self._digest = digest(token) if token else b""
        self.operator = operator(token)
        self._jwt_readers = jwt_readers
        self._clock = clock
        self.tokens = tokens

    async def principal(self, token: str) -> Principal:
        """Whose token this is; `Rejected` for an unknown token."""
        if hmac.compare_digest(digest(token), self._digest):
            return self.operator
        if owner := self.tokens.owner(token):
            if self._over(owner):
                raise Rejected("expired")
            return owner
        if not looks_like_jwt(token) or not self._jwt_readers:
            raise Rejected("not known")
        rejected = Rejected("not known")
        for reader in self._jwt_readers:
            try:
                return await reader.principal(token)
            except Rejected as why:
                rejected = why
        raise rejected

    def owner_now(self, origin: str) -> Principal | None:
        """Who has by now the configured token that `origin` names; None when it was taken away."""
        if origin == self.operator.origin:
            return self.operator
        owner = self.tokens.owner_now(origin)
        return None if owner is None or self._over(owner) else owner

    def _over(self, owner: Principal) -> bool:
        return owner.expires_at is not None and owner.expires_at <= datetime.fromtimestamp(self._clock(), UTC)
