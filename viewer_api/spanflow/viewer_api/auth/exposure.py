"""Whether the settings say clearly enough who may sign in."""

import dataclasses
import secrets
from ipaddress import ip_address
from typing import Final

from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.auth.oidc_provider import is_safe
from spanflow.viewer_api.auth.origins import check_origins
from spanflow.viewer_api.auth.own_address import check_public_url
from spanflow.viewer_api.auth.own_tokens import OwnTokens, are_believed
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.token_file import TokenTable
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

MIN_TOKEN_LENGTH: Final = 16
_MIN_SECRET_LENGTH: Final = 32


def settled(settings: ViewerSettings) -> ViewerSettings:
    """The settings with a way to sign in; `SettingsError` when they would leave the viewer open.

    On a loopback address a viewer without a token gets a fresh one. Elsewhere a way must be configured: a person has
    to have decided who gets in.
    """
    ProxyPeers(settings.viewer_proxy_peers)
    ProxyPeers(settings.viewer_metrics_peers, "SPANFLOW_VIEWER_METRICS_PEERS")
    check_origins(settings.viewer_allowed_origins)
    check_public_url(settings.viewer_public_url)
    TokenTable.at(settings.viewer_tokens_file)
    _check_secrets(settings)
    if are_believed(settings):
        OwnTokens(settings)
    elif settings.viewer_jwt_secret or settings.viewer_jwt_key_file:
        raise SettingsError("SPANFLOW_VIEWER_JWT_ISSUER: say whose tokens are signed with this secret or key.")
    _check_oidc(settings)
    if settings.viewer_token:
        return settings
    if not ways_in(settings) and not is_loopback(settings.viewer_host):
        raise SettingsError(
            f"SPANFLOW_VIEWER_HOST: {settings.viewer_host!r} can be reached from other machines, and nothing says who "
            "may sign in. Set SPANFLOW_VIEWER_TOKEN, SPANFLOW_VIEWER_TOKENS_FILE, SPANFLOW_VIEWER_JWT_ISSUER or "
            "SPANFLOW_VIEWER_OIDC_ISSUER, or SPANFLOW_VIEWER_PROXY_PEERS when a forward-auth proxy stands before the "
            "viewer, or listen on 127.0.0.1."
        )
    return dataclasses.replace(settings, viewer_token=secrets.token_urlsafe(32))


def ways_in(settings: ViewerSettings) -> list[str]:
    """The configured ways to sign in, in words."""
    ways = (
        (settings.viewer_token, "the access token"),
        (settings.viewer_tokens_file, "the tokens of a file"),
        (settings.viewer_jwt_issuer, f"JWTs of {settings.viewer_jwt_issuer}"),
        (settings.viewer_jwt_unscoped, "JWTs without an issuer or audience"),
        (settings.viewer_oidc_issuer, f"OIDC by {settings.viewer_oidc_issuer}"),
        (settings.viewer_proxy_peers, f"a proxy at {', '.join(settings.viewer_proxy_peers)}"),
    )
    return [words for configured, words in ways if configured]


def _check_secrets(settings: ViewerSettings) -> None:
    token, secret = settings.viewer_token, settings.viewer_secret
    if token and (len(token) < MIN_TOKEN_LENGTH or not token.isascii()):
        raise SettingsError(
            f"SPANFLOW_VIEWER_TOKEN: use at least {MIN_TOKEN_LENGTH} ASCII characters; `spanflow token new` makes a "
            "good one."
        )
    if secret and len(secret) < _MIN_SECRET_LENGTH:
        raise SettingsError(f"SPANFLOW_VIEWER_SECRET: use at least {_MIN_SECRET_LENGTH} characters.")


def _check_oidc(settings: ViewerSettings) -> None:
    if not settings.viewer_oidc_issuer:
        if settings.viewer_oidc_client_id or settings.viewer_oidc_client_secret:
            raise SettingsError("SPANFLOW_VIEWER_OIDC_ISSUER: say which identity provider this client belongs to.")
        return
    if not is_safe(settings.viewer_oidc_issuer):
        raise SettingsError("SPANFLOW_VIEWER_OIDC_ISSUER: use an https:// address (http:// only on this machine).")
    if not settings.viewer_oidc_client_id:
        raise SettingsError("SPANFLOW_VIEWER_OIDC_CLIENT_ID: say which client of the identity provider the viewer is.")
    if not settings.viewer_secret and not settings.viewer_token and not is_loopback(settings.viewer_host):
        raise SettingsError(
            "SPANFLOW_VIEWER_SECRET: set one, the same for every process of this viewer; without it each process would "
            "know only the browsers that signed in there, and none of them after a restart."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
