"""Tokens that the identity provider has signed."""

from typing import Any

from spanflow.viewer_api.auth.claims import ClaimReader
from spanflow.viewer_api.auth.jwt_verification import header_of, verified
from spanflow.viewer_api.auth.oidc_http import ProviderUnavailable
from spanflow.viewer_api.auth.oidc_provider import OidcProvider
from spanflow.viewer_api.auth.permissions import Principal, Via
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.http.problems import identity_provider_unavailable
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings


class OidcTokens:
    """Checks them with the keys that the provider publishes."""

    def __init__(self, settings: ViewerSettings, provider: OidcProvider) -> None:
        self._provider = provider
        self._audience = settings.viewer_oidc_audience or settings.viewer_oidc_client_id
        self._leeway = settings.viewer_jwt_leeway
        self.claims = ClaimReader(settings)

    async def principal(self, token: str) -> Principal:
        """Whose bearer token this is; `Rejected` when it is not good."""
        try:
            return self.claims.principal(await self.verified(token, self._audience), Via.OIDC)
        except ProviderUnavailable:
            raise identity_provider_unavailable() from None

    async def verified(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a token that was made for `audience`."""
        header = header_of(token)
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or not (key_id is None or isinstance(key_id, str)):
            raise Rejected("no JSON Web Token")
        # The token says how it was signed, but the key decides: only a published public key of that very kind is taken.
        key = await self._provider.key(key_id, algorithm)
        return verified(token, key, algorithm, issuer=self._provider.issuer, audience=audience, leeway=self._leeway)
