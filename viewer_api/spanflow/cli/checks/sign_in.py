"""Who may sign in to the viewer, and whether that was thought through to the end."""

import os
import stat
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from spanflow.cli.checks.finding import Finding, Situation, note, ok, problem, warning
from spanflow.cli.extras import VIEWER, installed
from spanflow.span_processors.setting_table import SettingsError

if TYPE_CHECKING:
    from spanflow.viewer_api.settings.viewer_settings import ViewerSettings


class SignIn:
    title = "signing in"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        settings = situation.viewer
        if settings is None or not installed(VIEWER):
            return
        from spanflow.viewer_api.auth.exposure import settled, ways_in

        try:
            settled(settings)
        except SettingsError as why:
            yield problem("the viewer does not start with these settings", str(why))
            return
        ways = ways_in(settings)
        if not ways:
            yield ok("on this machine only, by the link that the viewer prints")
            return
        yield ok(f"by {', by '.join(ways)}")
        for finding in _thoughts(settings):
            yield finding


def _thoughts(settings: "ViewerSettings") -> list[Finding]:
    """What works but is likely to cause trouble."""
    notes = []
    with_sessions = (
        settings.viewer_tokens_file
        or settings.viewer_jwt_issuer
        or settings.viewer_jwt_unscoped
        or settings.viewer_oidc_issuer
    )
    if with_sessions and not settings.viewer_token and not settings.viewer_secret:
        notes.append(
            warning(
                "browsers are signed out when the viewer restarts, and know only one of several viewer processes",
                "Set SPANFLOW_VIEWER_SECRET to the same long random text in all of them.",
            )
        )
    for name, path in (
        ("SPANFLOW_VIEWER_TOKENS_FILE", settings.viewer_tokens_file),
        ("SPANFLOW_VIEWER_JWT_KEY_FILE", settings.viewer_jwt_key_file),
    ):
        if path and os.stat(path).st_mode & stat.S_IWOTH:
            notes.append(
                warning(
                    f"the file of {name} is world-writable, so any local user decides who can sign in",
                    f"chmod o-w {path}",
                )
            )
    if _believes_this_machine(settings):
        notes.append(
            warning(
                "every program on this machine is believed about who is signed in (SPANFLOW_VIEWER_PROXY_PEERS)",
                "Let the proxy come by a Unix socket (unix) that only it may open, or let nothing else run here.",
            )
        )
    if settings.viewer_proxy_peers:
        headers = [header for header in _proxy_headers(settings) if header.strip().lower() != "off"]
        notes.append(
            note(
                f"believed from {', '.join(settings.viewer_proxy_peers)}: {', '.join(headers)}",
                "The proxy must set or remove each of them on every request; 'off' disables one.",
            )
        )
    if settings.viewer_default_role != "viewer" and _others_say_roles(settings):
        notes.append(
            note(
                f"users without a known role get the role {settings.viewer_default_role}",
                "SPANFLOW_VIEWER_DEFAULT_ROLE=viewer lets them see their own flows only.",
            )
        )
    return notes


def _believes_this_machine(settings: "ViewerSettings") -> bool:
    from spanflow.viewer_api.auth.proxy_peers import ProxyPeers

    peers = ProxyPeers(settings.viewer_proxy_peers)
    return "127.0.0.1" in peers or "::1" in peers


def _proxy_headers(settings: "ViewerSettings") -> tuple[str, ...]:
    return (
        settings.viewer_proxy_header,
        settings.viewer_proxy_id_header,
        settings.viewer_proxy_role_header,
        settings.viewer_proxy_users_header,
    )


def _others_say_roles(settings: "ViewerSettings") -> bool:
    return bool(
        settings.viewer_proxy_peers
        or settings.viewer_jwt_issuer
        or settings.viewer_jwt_unscoped
        or settings.viewer_oidc_issuer
    )
