"""Who gets in: tokens, one-time codes, sessions, proxies, other origins; and who does not."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import websockets
from dirty_equals import IsStr
from inline_snapshot import snapshot
from websockets.exceptions import InvalidStatus

from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.app import create_app
from spanflow.viewer_api.auth.authenticator import one_time_code
from spanflow.viewer_api.auth.exposure import settled
from spanflow.viewer_api.auth.permissions import Principal, Role, Via
from spanflow.viewer_api.auth.signed_tokens import Kind, Signer
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support.live_client import live
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.query import query, value
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeViewer

ISO = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
LIST = "/api/v1/monitoring/list"
SOCKETS = ("live", "ws", "ws/flows/7")


@contextmanager
def browser(viewer: RunningViewer) -> Iterator[httpx.Client]:
    """A browser that has opened a fresh link: it holds a cookie and sends its origin."""
    with httpx.Client(base_url=viewer.origin, headers={"Origin": viewer.origin}) as client:
        response = client.post("/api/v1/session", json={"code": one_time_code(TOKEN, time.time)})
        assert response.status_code == 200, response.text
        yield client


def test_a_wrong_token_opens_nothing(viewer: RunningViewer) -> None:
    headers: list[str | bytes] = [
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer caf\u00e9".encode("latin-1"),
    ]
    for header in headers:
        sent: Any = {"Authorization": header}
        response = viewer.stranger.get(LIST, headers=sent)
        assert response.status_code == 401, header
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert response.json() == snapshot(
        {
            "type": "about:blank",
            "title": "Unauthorized",
            "status": 401,
            "code": "not_signed_in",
            "detail": "The token is wrong, expired, or its owner has no role here.",
        }
    )


def test_a_token_in_the_address_opens_nothing(viewer: RunningViewer) -> None:
    for name in ("token", "access_token", "authorization"):
        assert viewer.stranger.get(LIST, params={name: TOKEN}).status_code == 401


def test_a_code_signs_a_browser_in_once(viewer: RunningViewer) -> None:
    code = one_time_code(TOKEN, time.time)
    first = viewer.stranger.post("/api/v1/session", json={"code": code})
    assert first.json() == {
        "name": "operator",
        "via": "session",
        "role": "admin",
        "user_id": None,
        "scope": None,
        "rights": ["annotate", "audit", "erase", "ingest", "live", "monitor", "read", "share"],
        "expires_at": ISO,
    }
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert viewer.stranger.get(LIST).status_code == 200
    assert viewer.stranger.get("/api/v1/session").json()["via"] == "session"
    with httpx.Client(base_url=viewer.origin) as other:
        second = other.post("/api/v1/session", json={"code": code})
        assert (second.status_code, second.json()["code"]) == (401, "code_invalid")
        assert other.get(LIST).status_code == 401


def test_codes_that_are_old_foreign_or_of_another_kind_are_refused(viewer: RunningViewer) -> None:
    now = time.time()
    signer = Signer(TOKEN)
    operator = Principal("operator", Via.TOKEN, Role.ADMIN)
    codes = [
        signer.mint(Kind.CODE, operator, now - 1),
        signer.mint(Kind.SESSION, operator, now + 60),
        signer.mint(Kind.TICKET, operator, now + 60),
        one_time_code("another-token-0123456789", time.time),
        one_time_code(TOKEN, time.time)[:-2] + "AA",
        "c..",
        "c",
        ".",
        "é",
        TOKEN,
        "c." + "x" * 3000,
    ]
    for code in codes:
        response = viewer.stranger.post("/api/v1/session", json={"code": code})
        assert (response.status_code, response.json()["code"]) == (401, "code_invalid"), code


def test_signing_out_makes_the_cookie_worthless_for_everybody(viewer: RunningViewer, make_viewer: MakeViewer) -> None:
    with browser(viewer) as client:
        cookies = dict(client.cookies)
        assert client.delete("/api/v1/session").status_code == 204
        assert client.get(LIST).status_code == 401
    with httpx.Client(base_url=viewer.origin, cookies=cookies) as thief:
        assert thief.get(LIST).status_code == 401
    # Another process and one that starts later know it as well.
    with httpx.Client(base_url=make_viewer().origin, cookies=cookies) as thief:
        assert thief.get(LIST).status_code == 401


def test_a_session_outlives_a_restart_but_not_its_time_or_another_token(
    viewer: RunningViewer, make_viewer: MakeViewer
) -> None:
    with browser(viewer) as client:
        cookies = dict(client.cookies)
    later = time.time() + 13 * 3600
    expected = [
        (make_viewer(), 200),
        (make_viewer(viewer_token="another-token-0123456789"), 401),
        (make_viewer(clock=lambda: later), 401),
    ]
    for other, status in expected:
        with httpx.Client(base_url=other.origin, cookies=cookies) as client:
            assert client.get(LIST).status_code == status


def test_a_browser_stays_signed_in_while_postgres_is_away(
    make_viewer: MakeViewer, proxy: Callable[[str], TcpProxy], postgres_dsn: str
) -> None:
    line = proxy(postgres_dsn)
    viewer = make_viewer(dsn=line.url)
    with browser(viewer) as client:
        line.cut()
        assert client.get("/api/v1/session").status_code == 200
        assert client.get("/api/v1/monitoring/users").json()["code"] == "storage_unavailable"
        # But nobody new comes in by a code that could have been used elsewhere.
        refused = client.post("/api/v1/session", json={"code": one_time_code(TOKEN, time.time)})
        assert refused.json()["code"] == "storage_unavailable"
        line.restore()
        eventually(lambda: client.get("/api/v1/monitoring/users").status_code == 200)


def test_another_site_cannot_use_a_browsers_cookie(viewer: RunningViewer) -> None:
    with browser(viewer) as client:
        for origin in ("https://evil.example", "null", f"{viewer.origin}.evil.example", "http://127.0.0.1:1"):
            response = client.post("/api/v1/monitoring/enable/7", headers={"Origin": origin})
            assert (response.status_code, response.json()["code"]) == (403, "origin_not_allowed")
        del client.headers["Origin"]
        sneaky = client.post("/api/v1/monitoring/enable/7", headers={"Sec-Fetch-Site": "cross-site"})
        assert sneaky.status_code == 403
        assert client.post("/api/v1/monitoring/enable/7").status_code == 200
    assert (
        viewer.stranger.post("/api/v1/session", json={}, headers={"Origin": "https://evil.example"}).status_code == 403
    )


def test_a_listed_origin_may_call_with_a_bearer_token_or_a_cookie(make_viewer: MakeViewer) -> None:
    # Browsers write neither capitals nor the usual port.
    viewer = make_viewer(viewer_allowed_origins=("https://Dash.example:443",))
    asked = viewer.stranger.options(
        LIST,
        headers={
            "Origin": "https://dash.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization, content-type, last-event-id, x-spanflow-reason",
        },
    )
    assert asked.status_code == 200, asked.text
    assert asked.headers["access-control-allow-origin"] == "https://dash.example"
    got = viewer.http.get(LIST, headers={"Origin": "https://dash.example"})
    assert got.headers["access-control-allow-origin"] == "https://dash.example"
    refused = viewer.stranger.get(LIST, headers={"Origin": "https://dash.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://dash.example")
    other = viewer.http.get(LIST, headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_trusted_proxy_says_who_it_is(make_viewer: MakeViewer, postgres_dsn: str) -> None:
    viewer = make_viewer(viewer_token="", viewer_proxy_peers=("127.0.0.0/8",), viewer_host="0.0.0.0")
    ada = {"X-Forwarded-User": "ada@example.org", "X-User-Role": "admin"}
    assert viewer.stranger.get(LIST).status_code == 401
    assert viewer.stranger.get("/api/v1/session", headers=ada).json()["name"] == "ada@example.org"
    assert viewer.stranger.post("/api/v1/monitoring/enable/7", headers=ada).status_code == 200
    assert value(postgres_dsn, "SELECT actor FROM omni2.audit_log") == "ada@example.org"
    cross = viewer.stranger.post("/api/v1/monitoring/enable/7", headers={**ada, "Origin": "https://evil.example"})
    assert cross.status_code == 403
    twice = [("X-Forwarded-User", "ada"), ("X-Forwarded-User", "root")]
    assert viewer.stranger.get(LIST, headers=twice).status_code == 401
    for name in ("", "x" * 200):
        assert viewer.stranger.get(LIST, headers={"X-Forwarded-User": name}).status_code == 401


def test_the_proxys_header_from_anybody_else_means_nothing(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_proxy_peers=("10.0.0.0/8",))
    headers = {"X-Forwarded-User": "ada", "X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1"}
    assert viewer.stranger.get(LIST, headers=headers).status_code == 401


def test_a_proxy_that_ends_tls_gets_a_secure_cookie(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_proxy_peers=("127.0.0.1",))
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "flows.example", "Origin": "https://flows.example"}
    code = one_time_code(TOKEN, time.time)
    response = viewer.stranger.post("/api/v1/session", json={"code": code}, headers=headers)
    assert response.status_code == 200
    assert "Secure" in response.headers["set-cookie"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "viewer.example"])
def test_it_does_not_start_where_others_can_reach_it_without_a_way_to_sign_in(host: str) -> None:
    with pytest.raises(SettingsError, match="SPANFLOW_VIEWER_HOST.*SPANFLOW_VIEWER_TOKEN"):
        create_app(ViewerSettings(viewer_host=host))
    create_app(ViewerSettings(viewer_host=host, viewer_token=TOKEN))
    create_app(ViewerSettings(viewer_host=host, viewer_proxy_peers=("10.0.0.1",)))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"])
def test_on_a_loopback_address_a_fresh_token_is_made(host: str) -> None:
    one, two = settled(ViewerSettings(viewer_host=host)), settled(ViewerSettings(viewer_host=host))
    assert len(one.viewer_token) >= 32
    assert one.viewer_token != two.viewer_token


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"viewer_token": "short"}, "at least 16"),
        ({"viewer_token": "ü" * 20}, "ASCII"),
        ({"viewer_proxy_peers": ("proxy.example",)}, "PROXY_PEERS: 'proxy.example' is neither an address nor"),
        ({"viewer_metrics_peers": ("prometheus",)}, "METRICS_PEERS: 'prometheus' is neither an address nor"),
        ({"viewer_allowed_origins": ("*",)}, "not an origin"),
        ({"viewer_allowed_origins": ("https://dash.example/",)}, "not an origin"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        create_app(dataclasses.replace(ViewerSettings(), **change))


# -- sockets -----------------------------------------------------------------------------------------------------------


async def greeting(viewer: RunningViewer, first: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """The first message of the live socket."""
    options.setdefault("additional_headers", {})
    async with live(viewer, **options) as client:
        if first is not None:
            await client.send(**first)
        return await client.next()


@pytest.mark.anyio
async def test_a_socket_opens_by_cookie_header_ticket_or_first_message(viewer: RunningViewer) -> None:
    with browser(viewer) as client:
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    assert (await greeting(viewer, additional_headers={"Cookie": cookie}, origin=viewer.origin))["type"] == "hello"
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert (await greeting(viewer, additional_headers=bearer))["type"] == "hello"
    assert (await greeting(viewer, {"type": "auth", "token": TOKEN}))["type"] == "hello"
    ticket = viewer.post("/api/v1/session/tickets")["ticket"]
    protocols = ["spanflow.live.v1", ticket]
    assert (await greeting(viewer, subprotocols=protocols))["type"] == "hello"
    assert (await greeting(viewer, subprotocols=protocols))["code"] == "not_signed_in"


@pytest.mark.anyio
async def test_no_socket_opens_without_a_sign_in(viewer: RunningViewer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for path in SOCKETS:
        await turned_away(viewer, path)
        assert f"/api/v1/{path}" in caplog.text
    assert TOKEN not in caplog.text


async def turned_away(viewer: RunningViewer, path: str) -> None:
    for first in ('{"type": "auth", "token": "wrong"}', '{"type": "subscribe", "user_id": 7}', "no json", "[]"):
        async with websockets.connect(f"{viewer.ws}/api/v1/{path}") as socket:
            await socket.send(first)
            assert "not_signed_in" in str(await asyncio.wait_for(socket.recv(), 5))
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 4401


@pytest.mark.anyio
async def test_no_other_site_can_open_a_socket(viewer: RunningViewer) -> None:
    with browser(viewer) as client:
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    for path in SOCKETS:
        with pytest.raises(InvalidStatus) as refused:
            async with websockets.connect(
                f"{viewer.ws}/api/v1/{path}", additional_headers={"Cookie": cookie, "Origin": "https://evil.example"}
            ):
                pass
        assert refused.value.response.status_code == 403


@pytest.mark.anyio
async def test_a_listed_origin_opens_sockets(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_allowed_origins=("https://dash.example",))
    assert (await greeting(viewer, {"type": "auth", "token": TOKEN}, origin="https://dash.example"))["type"] == "hello"


@pytest.mark.anyio
async def test_signing_out_closes_the_sockets_of_that_session(viewer: RunningViewer) -> None:
    with browser(viewer) as client:
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        async with live(viewer, additional_headers={"Cookie": cookie}, origin=viewer.origin) as socket:
            assert (await socket.next())["type"] == "hello"
            await asyncio.to_thread(client.delete, "/api/v1/session")
            assert (await socket.next())["code"] == "signed_out"
            await asyncio.wait_for(socket.socket.wait_closed(), 5)
            assert socket.socket.close_code == 4401


def test_the_audit_log_knows_who_signed_in_and_out(viewer: RunningViewer, postgres_dsn: str) -> None:
    with browser(viewer) as client:
        client.delete("/api/v1/session")
    actions = query(postgres_dsn, "SELECT actor, action, remote FROM omni2.audit_log ORDER BY id")
    assert actions == snapshot(
        [
            {"actor": "operator", "action": "signed_in", "remote": "127.0.0.1"},
            {"actor": "operator", "action": "signed_out", "remote": "127.0.0.1"},
        ]
    )


def test_a_code_that_a_session_made_ends_with_it(viewer: RunningViewer) -> None:
    """Whoever signs out is signed out everywhere where they did not sign in by themselves."""
    with httpx.Client(base_url=viewer.origin) as browser:
        code = viewer.post("/api/v1/session/codes")["code"]
        assert browser.post("/api/v1/session", json={"code": code}).status_code == 200
        made = [browser.post("/api/v1/session/codes") for _ in range(2)]
        assert [answer.status_code for answer in made] == [200, 200], made[0].text
        assert browser.delete("/api/v1/session").status_code == 204
    for code in [answer.json()["code"] for answer in made]:
        answer = viewer.stranger.post("/api/v1/session", json={"code": code})
        assert (answer.status_code, answer.json()["code"]) == (401, "code_invalid")
