"""Puts together every way to sign in that the settings allow."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from spanflow.viewer_api.auth.authenticator import Authenticator
from spanflow.viewer_api.auth.bearers import Bearers, JwtReader
from spanflow.viewer_api.auth.limits import RateLimits
from spanflow.viewer_api.auth.login_throttle import LoginThrottle
from spanflow.viewer_api.auth.oidc_http import client
from spanflow.viewer_api.auth.oidc_login import OidcLogin
from spanflow.viewer_api.auth.oidc_provider import OidcProvider
from spanflow.viewer_api.auth.oidc_sessions import OidcSessions
from spanflow.viewer_api.auth.oidc_tokens import OidcTokens
from spanflow.viewer_api.auth.own_tokens import OwnTokens, are_believed
from spanflow.viewer_api.auth.signed_tokens import Signer
from spanflow.viewer_api.auth.token_file import TokenTable
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.store.audit_log import AuditLog
from spanflow.viewer_api.store.spent_tokens import SpentTokens


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a viewer process lets people in with."""

    authenticator: Authenticator
    rates: RateLimits
    #: None without an identity provider.
    oidc: OidcSessions | None


@asynccontextmanager
async def signing_in(
    settings: ViewerSettings, spent: SpentTokens, audit: AuditLog, clock: Clock
) -> AsyncIterator[SignIn]:
    """Works while the context is open. No server is contacted before the first sign-in."""
    async with AsyncExitStack() as stack:
        signer = Signer.of(settings)
        readers: list[JwtReader] = [OwnTokens(settings)] if are_believed(settings) else []
        oidc = None
        if settings.viewer_oidc_issuer:
            http = await stack.enter_async_context(client())
            provider = OidcProvider(settings.viewer_oidc_issuer, settings.viewer_oidc_refetch_seconds, http)
            tokens = OidcTokens(settings, provider)
            readers.append(tokens)
            login = OidcLogin(settings, provider, tokens, signer.secret_for("oidc"))
            oidc = OidcSessions(login, signer, spent, clock)
        bearers = Bearers(settings.viewer_token, TokenTable.at(settings.viewer_tokens_file), readers, clock)
        doorkeeper = LoginThrottle(settings.viewer_failed_sign_ins, audit)
        authenticator = Authenticator(settings, signer, bearers, doorkeeper, spent, clock)
        rates = RateLimits(
            settings.viewer_requests_per_second,
            settings.viewer_sockets_per_person,
            settings.viewer_requests_at_once,
        )
        yield SignIn(authenticator, rates, oidc)
