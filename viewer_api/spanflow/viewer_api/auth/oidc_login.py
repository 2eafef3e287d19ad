"""Signing a browser in at the identity provider: authorization code with PKCE, state and nonce.

What has to be remembered between start and callback is one random number in a signed cookie of that browser. State,
nonce and PKCE verifier are derived from it with the viewer's secret, so that the cookie holds none of them, and any
viewer process can take the callback.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from spanflow.viewer_api.auth.oidc_http import ProviderRefused, ProviderUnavailable, ask
from spanflow.viewer_api.auth.oidc_provider import Endpoints, OidcProvider
from spanflow.viewer_api.auth.oidc_tokens import OidcTokens
from spanflow.viewer_api.auth.permissions import Principal, Via
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

#: How long signing in at the provider may take.
LOGIN_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider's redirect to the callback says."""

    code: str
    state: str
    issuer: str
    error: str


class OidcLogin:
    """Leads a browser through one sign-in, which `number` stands for."""

    def __init__(self, settings: ViewerSettings, provider: OidcProvider, tokens: OidcTokens, secret: bytes) -> None:
        self._client_id = settings.viewer_oidc_client_id
        self._client_secret = settings.viewer_oidc_client_secret
        self._scopes = settings.viewer_oidc_scopes
        self._provider = provider
        self._tokens = tokens
        self._secret = secret

    async def address(self, number: str, callback: str) -> str:
        """Where the browser goes to sign in; `ProviderUnavailable` when that is not known."""
        endpoints = await self._provider.endpoints()
        challenge = hashlib.sha256(self._derived("verifier", number).encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": callback,
            "scope": self._scopes,
            "state": self._derived("state", number),
            "nonce": self._derived("nonce", number),
            "code_challenge": _text(challenge),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in endpoints.authorization else "?"
        return f"{endpoints.authorization}{joint}{urlencode(query)}"

    def expects(self, number: str, answer: Answer) -> bool:
        """Whether this answer belongs to the sign-in that `number` stands for."""
        return hmac.compare_digest(answer.state.encode(), self._derived("state", number).encode())

    async def principal(self, number: str, answer: Answer, callback: str) -> Principal:
        """The signed-in principal, by an answer that is expected; `Rejected` gives the reason for a refusal."""
        endpoints = await self._provider.endpoints()
        if answer.issuer != self._provider.issuer and (answer.issuer or endpoints.names_itself):
            raise Rejected("an answer of another provider")
        if answer.error or not answer.code:
            raise Rejected("refused by the provider")
        given = await self._exchanged(endpoints, answer.code, number, callback)
        id_token = given.get("id_token")
        if not isinstance(id_token, str):
            raise Rejected("an answer without an ID token")
        claims = await self._tokens.verified(id_token, self._client_id)
        self._check(claims, number)
        return self._tokens.claims.principal(await self._completed(claims, endpoints, given), Via.OIDC)

    def _check(self, claims: dict[str, Any], number: str) -> None:
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(
            nonce.encode(), self._derived("nonce", number).encode()
        ):
            raise Rejected("an ID token of another sign-in")
        if not isinstance(claims.get("sub"), str):
            raise Rejected("an ID token without a subject")
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else self._client_id) != self._client_id:
            raise Rejected("an ID token of another client")

    async def _exchanged(self, endpoints: Endpoints, code: str, number: str, callback: str) -> Any:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": callback,
            "code_verifier": self._derived("verifier", number),
        }
        basic: dict[str, Any] = {}
        if self._client_secret and not endpoints.secret_in_body:
            basic["auth"] = (_form_encoded(self._client_id), _form_encoded(self._client_secret))
        else:
            form["client_id"] = self._client_id
            if self._client_secret:
                form["client_secret"] = self._client_secret
        try:
            return await ask(self._provider.http, "POST", endpoints.token, data=form, **basic)
        except ProviderRefused as why:
            raise Rejected(f"a code that the provider refuses ({str(why)[:40]})") from None

    async def _completed(self, claims: dict[str, Any], endpoints: Endpoints, given: Any) -> dict[str, Any]:
        """Some providers leave roles out of the ID token and tell them when asked about the user."""
        access_token = given.get("access_token")
        if self._tokens.claims.says_role(claims) or endpoints.userinfo is None or not isinstance(access_token, str):
            return claims
        try:
            more = await ask(
                self._provider.http, "GET", endpoints.userinfo, headers={"Authorization": f"Bearer {access_token}"}
            )
        except ProviderUnavailable:
            return claims
        return {**more, **claims} if more.get("sub") == claims["sub"] else claims

    def _derived(self, purpose: str, number: str) -> str:
        return _text(hmac.new(self._secret, f"oidc {purpose} {number}".encode(), hashlib.sha256).digest())


def _form_encoded(text: str) -> str:
    """As RFC 6749 wants credentials in the header."""
    return urlencode({"": text})[1:]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
