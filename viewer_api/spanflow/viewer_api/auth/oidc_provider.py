"""What an OpenID Connect provider publishes: where its endpoints are, and the keys that it signs with.

Both are fetched when they are first needed, so that the viewer starts without the provider. What was fetched holds for
an hour, and longer while the provider is away. An unknown key has the keys fetched again, which is how it rotates them,
but not more often than the settings allow: any client can invent key ids.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt

from spanflow.viewer_api.auth.jwt_verification import KEY_ALGORITHMS
from spanflow.viewer_api.auth.oidc_http import ProviderUnavailable, ask
from spanflow.viewer_api.auth.rejected import Rejected

log = logging.getLogger(__name__)

_HOLDS_SECONDS: Final = 3600.0
_MOST_KEYS: Final = 100
_FAMILIES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Of the provider's discovery document, what is needed here."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    #: Whether it takes the client's secret in the body only, and not in the header.
    secret_in_body: bool
    #: Whether its answers to a browser always name it (RFC 9207).
    names_itself: bool


class OidcProvider:
    """One provider, asked by one viewer process."""

    def __init__(
        self,
        issuer: str,
        refetch_seconds: float,
        http: httpx.AsyncClient,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.http = http
        self._refetch_seconds = refetch_seconds
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._endpoints: Endpoints | None = None
        self._keys: list[dict[str, Any]] = []
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        #: How often the keys were fetched.
        self.fetches = 0

    async def endpoints(self) -> Endpoints:
        """`ProviderUnavailable` when they were never learnt."""
        if self._endpoints is None or self._is_old():
            cached = self._endpoints is not None
            await self._refresh(lambda: self._endpoints is not None and not self._is_old(), known=cached)
        if self._endpoints is None:
            raise ProviderUnavailable("not reached yet")
        return self._endpoints

    async def key(self, key_id: str | None, algorithm: str) -> jwt.PyJWK:
        """The key that a token names; `Rejected` when the provider has no such key for this algorithm."""
        if algorithm not in KEY_ALGORITHMS:
            raise Rejected("of another algorithm")
        cached = self._find(key_id, algorithm) is not None
        if self._is_old() or not cached:
            await self._refresh(lambda: not self._is_old() and self._find(key_id, algorithm) is not None, known=cached)
        if self._fetched_at is None:
            raise ProviderUnavailable("its keys were not fetched yet")
        match = self._find(key_id, algorithm)
        if match is None:
            raise Rejected("of an unknown key")
        try:
            return jwt.PyJWK(match, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Rejected("of a key that cannot be read") from None

    def _find(self, key_id: str | None, algorithm: str) -> dict[str, Any] | None:
        fitting = [key for key in self._keys if _fits(key, algorithm)]
        if key_id is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.get("kid") == key_id), None)

    def _is_old(self) -> bool:
        return self._fetched_at is None or self._monotonic() - self._fetched_at > _HOLDS_SECONDS

    async def _refresh(self, done: Callable[[], bool], *, known: bool) -> None:
        """Fetch everything, once for all who wait for it. What was known holds when that fails."""
        if known and self._lock.locked():
            # A request is in flight already. A provider that does not answer blocks no other sign-in.
            return
        async with self._lock:
            now = self._monotonic()
            if done() or (self._tried_at is not None and now - self._tried_at < self._refetch_seconds):
                return
            self._tried_at = now
            try:
                self._endpoints = await self._discovered()
                self._keys = await self._published(self._endpoints.keys)
            except ProviderUnavailable as why:
                log.warning("The identity provider cannot be asked: %s", why)
            else:
                self._fetched_at = self._monotonic()

    async def _discovered(self) -> Endpoints:
        document = await ask(self.http, "GET", self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer:
            raise ProviderUnavailable("its discovery document names another issuer than SPANFLOW_VIEWER_OIDC_ISSUER")

        def address(name: str) -> str:
            value = document.get(name)
            if not isinstance(value, str) or not is_safe(value):
                raise ProviderUnavailable(f"its discovery document has no usable {name}")
            return value

        methods = document.get("token_endpoint_auth_methods_supported")
        basic = not isinstance(methods, list) or "client_secret_basic" in methods
        return Endpoints(
            authorization=address("authorization_endpoint"),
            token=address("token_endpoint"),
            keys=address("jwks_uri"),
            userinfo=address("userinfo_endpoint") if document.get("userinfo_endpoint") else None,
            secret_in_body=not basic,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _published(self, url: str) -> list[dict[str, Any]]:
        self.fetches += 1
        keys = (await ask(self.http, "GET", url)).get("keys")
        if not isinstance(keys, list):
            raise ProviderUnavailable(f"{url} holds no keys")
        return [key for key in keys[:_MOST_KEYS] if isinstance(key, dict)]


def is_safe(url: str) -> bool:
    """Encrypted, or on this very machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"})
    )


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    """Whether a published key may have signed with this algorithm. Symmetric ones never may."""
    return (
        key.get("kty") == _FAMILIES[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (algorithm not in _CURVES or key.get("crv") == _CURVES[algorithm])
    )
