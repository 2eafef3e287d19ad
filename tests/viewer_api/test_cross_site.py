"""No other site's page can make a browser do anything here, and every answer tells the browser to be careful."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from spanflow.viewer_api.auth.authenticator import one_time_code
from spanflow.viewer_api.auth.origins import Origins
from spanflow.viewer_api.auth.own_address import OwnAddress
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from tests.support.query import value
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeViewer

ENABLE = "/api/v1/monitoring/enable/7"
ROWS = "SELECT count(*) FROM omni2.audit_log WHERE action <> 'signed_in'"


@pytest.fixture
def browser_client(viewer: RunningViewer) -> Iterator[httpx.Client]:
    """Has a session cookie, and sends it with everything, as no real browser does any more."""
    with httpx.Client(base_url=viewer.origin) as client:
        code = one_time_code(TOKEN, time.time)
        assert client.post("/api/v1/session", json={"code": code}).status_code == 200
        yield client


def test_a_form_of_another_site_changes_nothing(browser_client: httpx.Client, postgres_dsn: str) -> None:
    forms: list[dict[str, Any]] = [
        {"data": {"reason": "x"}},
        {"content": '{"reason":"x"}', "headers": {"Content-Type": "text/plain"}},
        {"files": {"reason": b"x"}},
        {},
    ]
    for form in forms:
        for origin in ("https://evil.example", "null"):
            headers = {**form.get("headers", {}), "Origin": origin, "Sec-Fetch-Site": "cross-site"}
            answer = browser_client.post(ENABLE, **{**form, "headers": headers})
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert browser_client.delete("/api/v1/session", headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser_client.get("/api/v1/session").status_code == 200
    assert value(postgres_dsn, ROWS) == 0


def test_without_an_origin_the_browsers_own_word_counts(browser_client: httpx.Client) -> None:
    for site, status in (
        ("cross-site", 403),
        ("same-site", 403),
        ("nonsense", 403),
        ("same-origin", 200),
        ("none", 200),
    ):
        assert browser_client.post(ENABLE, headers={"Sec-Fetch-Site": site}).status_code == status, site
    # A program with a cookie is no browser.
    assert browser_client.post(ENABLE).status_code == 200


def test_another_site_cannot_make_a_browser_look_at_somebody(browser_client: httpx.Client, postgres_dsn: str) -> None:
    look = "/api/v1/monitoring/flows/7"
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}):
        assert browser_client.get(look, headers=headers).json()["code"] == "origin_not_allowed"
    assert value(postgres_dsn, ROWS) == 0
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    # Nor by a link, which a page may have a browser follow without being asked.
    assert browser_client.get(look, headers=link).json()["code"] == "origin_not_allowed"
    assert value(postgres_dsn, ROWS) == 0
    for headers in (own, {}):
        assert browser_client.get(look, headers=headers).status_code == 200
    assert browser_client.post(ENABLE, headers=link).status_code == 403
    # The page itself, and where an identity provider sends one to, may be linked to.
    for path in ("/", "/api/v1/session/methods", "/healthz"):
        assert browser_client.get(path, headers=link).status_code in {200, 503}, path


def test_nor_when_a_proxy_says_who_it_is(make_viewer: MakeViewer, postgres_dsn: str) -> None:
    viewer = make_viewer(viewer_proxy_peers=("127.0.0.1",), viewer_default_role="admin")
    link = {"X-Forwarded-User": "ada", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for path in ("monitoring/flows/7", "users/7", "flows?user_id=7", "audit"):
        assert viewer.stranger.get(f"/api/v1/{path}", headers=link).json()["code"] == "origin_not_allowed"
    assert value(postgres_dsn, ROWS) == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("flows.example", 200),
        ("FLOWS.example:8443", 200),
        ("127.0.0.1:8700", 200),
        ("[::1]:8700", 200),
        ("viewer:8700", 200),
        ("evil.example", 421),
        ("flows.example.evil.example", 421),
        ("flows.example@evil.example", 421),
        ("evil.example.", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_with_a_public_address_another_domain_that_leads_here_is_not_served(
    make_viewer: MakeViewer, host: str, status: int
) -> None:
    """DNS rebinding: a page of that domain would be of the same origin as the viewer, for the browser."""
    viewer = make_viewer(viewer_public_url="https://flows.example")
    assert viewer.stranger.get("/api/v1/session/methods", headers={"Host": host}).status_code == status
    assert viewer.http.get("/api/v1/session", headers={"Host": host}).status_code == 200, "no browser"
    assert viewer.stranger.get("/healthz", headers={"Host": host}).status_code == 200, (
        "probes use addresses of all kinds"
    )


def test_signing_in_is_closed_to_other_sites_as_well(viewer: RunningViewer) -> None:
    body = {"code": one_time_code(TOKEN, time.time)}
    evil = viewer.stranger.post("/api/v1/session", json=body, headers={"Origin": "https://evil.example"})
    assert evil.status_code == 403
    assert viewer.stranger.post("/api/v1/session", json=body, headers={"Origin": viewer.origin}).status_code == 200


def test_a_cookie_that_a_neighbouring_site_has_set_is_not_taken_for_ones_own(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_public_url="https://flows.example")
    body = {"code": one_time_code(TOKEN, time.time)}
    answer = viewer.stranger.post("/api/v1/session", json=body, headers={"Origin": "https://flows.example"})
    name, _, session = answer.headers["set-cookie"].partition(";")[0].partition("=")
    assert name.startswith("__Host-spanflow_session_")
    assert "Secure" in answer.headers["set-cookie"]
    assert "Path=/;" in answer.headers["set-cookie"]
    assert "Domain" not in answer.headers["set-cookie"]
    for sent, status in ((name, 200), (name.removeprefix("__Host-"), 401)):
        with httpx.Client(base_url=viewer.origin) as browser:
            assert browser.get("/api/v1/session", headers={"Cookie": f"{sent}={session}"}).status_code == status


def test_two_tokens_at_once_are_none(viewer: RunningViewer) -> None:
    twice = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")]
    assert viewer.stranger.get("/api/v1/session", headers=twice).status_code == 401


# -- which origin is one's own -----------------------------------------------------------------------------------------


def allowed(origin: str, *, peer: str = "192.0.2.1", public: str = "", root: str = "", **headers: str) -> bool:
    sent = {"host": "flows.example", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in {**sent, "origin": origin}.items()]
    peers = ProxyPeers(["10.0.0.0/8"])
    scope = {"type": "http", "scheme": "http", "headers": raw, "client": (peer, 1), "root_path": root, "path": "/"}
    return Origins(["https://dash.example"], OwnAddress(peers, public)).allow(HTTPConnection(scope))


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://flows.example", True),
        ("https://flows.example", True),
        ("https://FLOWS.example", True),
        ("https://dash.example", True),
        ("https://flows.example:443", False),
        ("https://flows.example:8443", False),
        ("https://flows.example.evil.example", False),
        ("https://evil.example/flows.example", False),
        ("https://flows.example@evil.example", False),
        ("http://dash.example", False),
        ("ftp://flows.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_an_origin_is_the_viewers_own_or_a_listed_one_or_foreign(origin: str, expected: bool) -> None:
    assert allowed(origin) is expected
    assert allowed(origin, root="/below") is expected


def test_behind_a_proxy_the_hosts_name_outside_counts_if_the_proxy_is_trusted() -> None:
    outside = {"host": "viewer:8600", "x_forwarded_host": "flows.example", "x_forwarded_proto": "https"}
    assert allowed("https://flows.example", peer="10.0.0.1", **outside)
    assert not allowed("https://flows.example", peer="192.0.2.1", **outside)
    assert allowed("https://flows.example", peer="10.0.0.1", host="flows.example:443")


def test_with_a_public_address_only_that_one_counts() -> None:
    for public in ("https://flows.example", "https://flows.example:443/below/"):
        assert allowed("https://flows.example", public=public)
        assert not allowed("http://flows.example", public=public)
    # A name that an attacker has made to point at us brings its own Host along.
    assert allowed("http://rebound.example", host="rebound.example")
    assert not allowed("http://rebound.example", host="rebound.example", public="https://flows.example")


@given(st.from_regex(r"https?://[a-z0-9.:@-]{1,40}", fullmatch=True))
def test_no_other_host_is_ever_ones_own(origin: str) -> None:
    host = origin.partition("://")[2]
    assert allowed(origin) == (host == "flows.example" or origin == "https://dash.example")


# -- headers -----------------------------------------------------------------------------------------------------------


def test_every_answer_has_the_headers_that_keep_a_browser_careful(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_failed_sign_ins=1)
    wrong = {"Authorization": "Bearer wrong"}
    answers = {
        "dashboard": viewer.stranger.get("/"),
        "health": viewer.stranger.get("/healthz"),
        "answer": viewer.http.get("/api/v1/session"),
        "not signed in": viewer.stranger.get("/api/v1/session"),
        "other site": viewer.stranger.post(ENABLE, headers={"Origin": "https://evil.example"}),
        "no such route": viewer.http.get("/api/v1/nothing"),
        "bad input": viewer.http.get("/api/v1/audit?limit=x"),
        "no such file": viewer.stranger.get("/assets/nothing.js"),
        "failed": viewer.stranger.get("/api/v1/session", headers=wrong),
        "too many": viewer.stranger.get("/api/v1/session", headers=wrong),
        "preflight": viewer.stranger.options("/api/v1/session", headers={"Origin": "https://evil.example"}),
    }
    assert answers["too many"].status_code == 429
    for name, answer in answers.items():
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, name
        assert "frame-ancestors 'none'" in policy, name
        assert "unsafe" not in policy, name
        assert answer.headers["x-content-type-options"] == "nosniff", name
        assert answer.headers["x-frame-options"] == "DENY", name
        assert answer.headers["referrer-policy"] == "no-referrer", name
        assert answer.headers["cross-origin-resource-policy"] == "same-origin", name


def test_a_token_in_an_address_is_taken_out_before_anybody_can_log_it(
    viewer: RunningViewer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for path in ("/api/v1/session", "/", "/healthz", "/api/v1/flows", "/api/v1/nothing"):
        for name in ("token", "access_token", "Token", "ticket", "code", "%74oken"):
            viewer.stranger.get(f"{path}?limit=5&{name}={TOKEN}")
    said = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    # What is no secret is still there: the server's own access log is on in this test.
    assert any("limit=5" in line for line in said)
    assert TOKEN not in "\n".join(said)
