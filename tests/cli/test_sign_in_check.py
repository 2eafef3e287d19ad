"""What `spanflow doctor` says about who may sign in to the viewer."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from spanflow.cli.checks.sign_in import SignIn
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support.situations import situation


def found(**changes: Any) -> list[tuple[str, str]]:
    there = situation(viewer=ViewerSettings(**changes))

    async def run() -> list[tuple[str, str]]:
        return [(finding.level.value, finding.message) async for finding in SignIn().run(there)]

    return asyncio.run(run())


def test_without_anything_configured_it_is_this_machine_only() -> None:
    assert found() == snapshot([("ok", "on this machine only, by the link that the viewer prints")])
    assert found(viewer_host="0.0.0.0") == snapshot([("problem", "the viewer does not start with these settings")])


def test_every_way_is_named(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text("")
    everything = {
        "viewer_tokens_file": str(tokens),
        "viewer_jwt_issuer": "https://auth.example",
        "viewer_jwt_algorithm": "HS256",
        "viewer_jwt_secret": "x" * 32,
        "viewer_oidc_issuer": "https://id.example",
        "viewer_oidc_client_id": "spanflow",
        "viewer_proxy_peers": ("10.0.0.1",),
        "viewer_default_role": "monitor",
    }
    assert found(**everything) == snapshot(
        [
            (
                "ok",
                "by the tokens of a file, by JWTs of https://auth.example, by OIDC by https://id.example, by a proxy "
                "at 10.0.0.1",
            ),
            (
                "warning",
                "browsers are signed out when the viewer restarts, and know only one of several viewer processes",
            ),
            ("note", "believed from 10.0.0.1: X-Forwarded-User, X-User-Id, X-User-Role"),
            ("note", "users without a known role get the role monitor"),
        ]
    )
    assert "warning" not in [level for level, _ in found(**everything, viewer_secret="x" * 32)]


@pytest.mark.parametrize(
    "changes",
    [
        {"viewer_tokens_file": "/nowhere/tokens.toml"},
        {"viewer_jwt_issuer": "https://auth.example"},
        {"viewer_oidc_issuer": "http://id.example"},
        {"viewer_token": "short"},
    ],
)
def test_what_keeps_the_viewer_from_starting_is_a_problem(changes: dict[str, Any]) -> None:
    assert [level for level, _ in found(**changes)] == ["problem"]


def test_what_everybody_on_the_machine_may_do_is_warned_of(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text("")

    def warnings(**settings: Any) -> list[str]:
        return [text for level, text in found(viewer_token="x" * 32, **settings) if level == "warning"]

    assert warnings(viewer_tokens_file=str(tokens), viewer_proxy_peers=("10.0.0.1", "unix")) == []
    tokens.chmod(0o666)
    assert warnings(viewer_tokens_file=str(tokens)) == snapshot(
        ["the file of SPANFLOW_VIEWER_TOKENS_FILE is world-writable, so any local user decides who can sign in"]
    )
    for peer in ("127.0.0.1", "::1", "127.0.0.0/8", "0.0.0.0/0"):
        assert len(warnings(viewer_proxy_peers=(peer,))) == 1, peer
