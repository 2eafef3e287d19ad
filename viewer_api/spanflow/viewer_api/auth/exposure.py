"""Whether the settings say clearly enough who may sign in."""

import dataclasses
import secrets
from ipaddress import ip_address

from spanflow.span_processors.settings import Settings, SettingsError
from spanflow.viewer_api.auth.origins import check_origins
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers

MIN_TOKEN_LENGTH = 16


def settled(settings: Settings) -> Settings:
    """The settings with a way to sign in; `SettingsError` when they would leave the viewer open.

    On a loopback address a viewer without a token gets a fresh one. Elsewhere it must be configured: a person has to
    have decided who gets in.
    """
    ProxyPeers(settings.viewer_proxy_peers)
    check_origins(settings.viewer_allowed_origins)
    if settings.viewer_token:
        if len(settings.viewer_token) < MIN_TOKEN_LENGTH or not settings.viewer_token.isascii():
            raise SettingsError(
                f"SPANFLOW_VIEWER_TOKEN: use at least {MIN_TOKEN_LENGTH} ASCII characters; "
                'python -c "import secrets; print(secrets.token_urlsafe())" makes a good one.'
            )
        return settings
    if not settings.viewer_proxy_peers and not is_loopback(settings.viewer_host):
        raise SettingsError(
            f"SPANFLOW_VIEWER_HOST: {settings.viewer_host!r} can be reached from other machines, and nothing says who "
            "may sign in. Set SPANFLOW_VIEWER_TOKEN, or SPANFLOW_VIEWER_PROXY_PEERS when a forward-auth proxy stands "
            "before the viewer, or listen on 127.0.0.1."
        )
    return dataclasses.replace(settings, viewer_token=secrets.token_urlsafe(32))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
