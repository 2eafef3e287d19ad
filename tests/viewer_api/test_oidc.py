"""Signing in at an OpenID Connect provider: browsers by its login page, programs by its tokens."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from dirty_equals import IsStr
from jwt.algorithms import RSAAlgorithm

from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.auth.exposure import settled
from spanflow.viewer_api.auth.oidc_provider import OidcProvider
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support.identity_provider import CLIENT_SECRET, IdentityProvider, identity_provider
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer

START = "/api/v1/session/oidc/start"
CALLBACK = "/api/v1/session/oidc/callback"
SESSION = "/api/v1/session"


@pytest.fixture(scope="module")
def running_provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def idp(running_provider: IdentityProvider) -> IdentityProvider:
    running_provider.becomes(claims={"sub": "7", "email": "ada@example.org"}, userinfo={}, faults=[])
    return running_provider


@pytest.fixture
def viewer(make_viewer: MakeViewer, idp: IdentityProvider) -> RunningViewer:
    return make_viewer(**idp.settings)


def to_the_callback(viewer: RunningViewer, page: str = "/", **options: Any) -> httpx.URL:
    """A browser clicks on «sign in»; the address that the provider sends it back to."""
    begun = viewer.stranger.get(START, params={"page": page}, **options)
    assert begun.status_code == 303, begun.text
    sent_on = httpx.get(begun.headers["location"])
    assert sent_on.status_code == 302
    return httpx.URL(sent_on.headers["location"])


def failed(viewer: RunningViewer, answer: httpx.Response) -> bool:
    """Whether the browser was told that it failed, and has no session."""
    assert answer.status_code == 303
    assert "spanflow_session" not in answer.headers.get("set-cookie", "")
    return answer.headers["location"] == "/#sign_in=failed"


def reasons(dsn: str) -> list[str]:
    rows = query(dsn, "SELECT detail->>'why' AS why FROM omni2.audit_log WHERE action = 'login_failed' ORDER BY id")
    return [row["why"] for row in rows]


def test_a_browser_signs_in_at_the_provider(viewer: RunningViewer, idp: IdentityProvider, postgres_dsn: str) -> None:
    idp.becomes(claims={"sub": "7", "email": "ada@example.org", "role": "monitor"})
    assert viewer.stranger.get(SESSION + "/methods").json() == {"methods": ["code", "token", "oidc"]}
    begun = viewer.stranger.get(START, params={"page": "/#/history?user=7"})
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["redirect_uri"] == [viewer.origin + CALLBACK]
    assert asked["code_challenge_method"] == ["S256"]
    cookie = SimpleCookie(begun.headers["set-cookie"])
    (remembered,) = cookie.values()
    assert (remembered["path"], remembered["httponly"], remembered["samesite"]) == (
        "/api/v1/session/oidc",
        True,
        "lax",
    )
    # Nothing that the browser or its owner can read is a secret of the exchange.
    for name in ("state", "nonce", "code_challenge"):
        assert asked[name][0] not in begun.headers["set-cookie"]
    back = httpx.get(begun.headers["location"]).headers["location"]
    answer = viewer.stranger.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/#/history?user=7")
    assert answer.headers["cache-control"] == "no-store"
    session = next(line for line in answer.headers.get_list("set-cookie") if "spanflow_session" in line)
    assert "HttpOnly" in session
    assert "SameSite=strict" in session
    assert viewer.stranger.get(SESSION).json() == {
        "name": "ada@example.org",
        "via": "session",
        "role": "monitor",
        "user_id": 7,
        "scope": None,
        "rights": ["annotate", "live", "monitor", "read", "share"],
        "expires_at": IsStr,
    }
    rows = query(postgres_dsn, "SELECT actor, action, remote, detail->>'by' AS by FROM omni2.audit_log")
    assert rows == [{"actor": "ada@example.org", "action": "signed_in", "remote": "127.0.0.1", "by": "oidc"}]


def test_a_callback_works_once_and_in_the_browser_that_began(viewer: RunningViewer, postgres_dsn: str) -> None:
    back = to_the_callback(viewer)
    with httpx.Client(base_url=viewer.origin) as thief:
        assert failed(viewer, thief.get(back))
    cookies = dict(viewer.stranger.cookies)
    # Another sign-in that somebody else began, pushed upon this browser.
    with httpx.Client(base_url=viewer.origin) as other:
        foreign = httpx.get(other.get(START).headers["location"]).headers["location"]
    assert failed(viewer, viewer.stranger.get(foreign))
    back = to_the_callback(viewer)
    cookies = dict(viewer.stranger.cookies)
    assert viewer.stranger.get(back).headers["location"] == "/"
    with httpx.Client(base_url=viewer.origin, cookies=cookies) as again:
        assert failed(viewer, again.get(back))
    assert reasons(postgres_dsn) == [
        "no sign-in that was begun here",
        "a state that is not this browser's",
        "a sign-in that is over",
    ]


FAULTS = {
    "nonce": "an ID token of another sign-in",
    "audience": "meant for another audience",
    "azp": "an ID token of another client",
    "iss": "an answer of another provider",
    "denied": "refused by the provider",
    "signature": "of another algorithm",
}


def test_an_answer_that_cannot_be_right_signs_nobody_in(
    viewer: RunningViewer, idp: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    for fault, reason in FAULTS.items():
        idp.becomes(faults=[fault])
        assert failed(viewer, viewer.stranger.get(to_the_callback(viewer))), fault
        assert viewer.stranger.get(SESSION).status_code == 401
        # The audit log takes five rows a minute from one address.
        assert reason in caplog.text or fault == list(FAULTS)[-1]


def test_without_the_right_verifier_a_stolen_code_is_worth_nothing(viewer: RunningViewer, postgres_dsn: str) -> None:
    stolen = dict(to_the_callback(viewer).params)["code"]
    back = to_the_callback(viewer)
    assert failed(viewer, viewer.stranger.get(back.copy_set_param("code", stolen)))
    assert reasons(postgres_dsn) == ["a code that the provider refuses (invalid_grant)"]


def test_a_sign_in_never_ends_on_another_site(viewer: RunningViewer) -> None:
    for page in (
        # No place at all would be the callback's own, which works once.
        "",
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/a?b=c",
        "evil",
        "/#x",
        "/a//b",
        "/#code=x",
        "#/live",
    ):
        back = viewer.stranger.get(to_the_callback(viewer, page))
        assert back.headers["location"] == "/", page


def test_no_log_and_no_address_holds_a_secret(viewer: RunningViewer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    back = to_the_callback(viewer)
    secret = dict(back.params)["code"]
    answer = viewer.stranger.get(back)
    assert answer.headers["location"] == "/"
    assert answer.headers["referrer-policy"] == "no-referrer"
    # The server's own access log is on in this test.
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    lines = [line for line in ours if CALLBACK in line]
    assert lines
    for line in ours:
        assert secret not in line
        assert CLIENT_SECRET not in line
        assert "code=" not in line


def test_roles_that_the_id_token_lacks_are_asked_for(viewer: RunningViewer, idp: IdentityProvider) -> None:
    idp.becomes(claims={"sub": "7", "email": "ada@example.org"}, userinfo={"role": "admin", "email": "eve@example.org"})
    viewer.stranger.get(to_the_callback(viewer))
    known = viewer.stranger.get(SESSION).json()
    assert (known["role"], known["name"]) == ("admin", "ada@example.org")
    # What it says about somebody else does not count.
    idp.becomes(userinfo={"role": "admin", "sub": "8"})
    viewer.stranger.get(to_the_callback(viewer))
    assert viewer.stranger.get(SESSION).json()["role"] == "viewer"


def test_behind_a_proxy_in_a_folder_everything_has_its_public_address(
    make_viewer: MakeViewer, idp: IdentityProvider
) -> None:
    viewer = make_viewer(**idp.settings, viewer_public_url="https://example.com/flows/")
    begun = viewer.stranger.get(START)
    assert parse_qs(urlsplit(begun.headers["location"]).query)["redirect_uri"] == [
        "https://example.com/flows" + CALLBACK
    ]
    cookie = begun.headers["set-cookie"]
    assert "Secure" in cookie
    assert "Path=/flows/api/v1/session/oidc" in cookie
    back = urlsplit(httpx.get(begun.headers["location"]).headers["location"])
    sent = cookie.partition(";")[0]
    answer = viewer.stranger.get(f"{CALLBACK}?{back.query}", headers={"Cookie": sent})
    assert answer.headers["location"] == "/flows/"
    assert all("Secure" in line for line in answer.headers.get_list("set-cookie") if "spanflow_session" in line)


def test_a_sign_in_that_a_neighbouring_site_has_begun_is_nobodys(
    make_viewer: MakeViewer, idp: IdentityProvider
) -> None:
    """It could set the cookie of its own sign-in, and so have others work in its name."""
    viewer = make_viewer(**idp.settings, viewer_public_url="https://flows.example.com")
    for taken in (True, False):
        begun = viewer.stranger.get(START)
        cookie = begun.headers["set-cookie"]
        assert cookie.startswith("__Host-spanflow_login_")
        assert "Path=/;" in cookie and "Secure" in cookie and "Domain" not in cookie
        back = urlsplit(httpx.get(begun.headers["location"]).headers["location"])
        sent = cookie.partition(";")[0].removeprefix("" if taken else "__Host-")
        with httpx.Client(base_url=viewer.origin, headers={"Cookie": sent}) as browser:
            answer = browser.get(f"{CALLBACK}?{back.query}")
        assert answer.headers["location"] == ("/" if taken else "/#sign_in=failed")


# -- tokens of the provider --------------------------------------------------------------------------------------------


def bearer(viewer: RunningViewer, token: str) -> httpx.Response:
    return viewer.stranger.get(SESSION, headers={"Authorization": f"Bearer {token}"})


def test_programs_send_tokens_of_the_provider(viewer: RunningViewer, idp: IdentityProvider) -> None:
    known = bearer(viewer, idp.signed(role=["monitor"])).json()
    assert (known["via"], known["name"], known["role"], known["user_id"]) == ("oidc", "ada@example.org", "monitor", 7)
    assert known["expires_at"] == IsStr
    for wrong in ({"aud": "another"}, {"iss": "https://other.example"}, {"exp": 1}, {"sub": "a/b"}):
        assert bearer(viewer, idp.signed(**wrong)).status_code == 401, wrong


def test_a_bearer_token_needs_no_origin_and_changes_things(viewer: RunningViewer, idp: IdentityProvider) -> None:
    headers = {"Authorization": f"Bearer {idp.signed(role='admin')}", "Origin": "https://elsewhere.example"}
    assert viewer.stranger.post("/api/v1/monitoring/enable/7", headers=headers).status_code == 200


def test_new_keys_are_fetched_when_they_are_first_seen_but_not_for_every_invention(
    make_viewer: MakeViewer, idp: IdentityProvider
) -> None:
    viewer = make_viewer(**idp.settings, viewer_oidc_refetch_seconds=1.0, viewer_failed_sign_ins=1000)
    first, before = idp.signed(), idp.seen("/jwks")
    assert bearer(viewer, first).status_code == 200
    assert idp.seen("/jwks") == before + 1
    idp.becomes(rotate=True)
    second = idp.signed()
    eventually(lambda: bearer(viewer, second).status_code == 200, within=5)
    assert bearer(viewer, first).status_code == 401
    fetched = idp.seen("/jwks")
    idp.becomes(rotate=True)
    invented = [idp.becomes(rotate=True, sign={})["signed"] for _ in range(5)]
    idp.becomes(rotate=True)
    for token in invented * 3:
        assert bearer(viewer, token).status_code == 401
    assert idp.seen("/jwks") <= fetched + 2


def test_while_the_provider_is_away_what_is_known_holds(make_viewer: MakeViewer, idp: IdentityProvider) -> None:
    known = make_viewer(**idp.settings, viewer_oidc_refetch_seconds=0.05)
    token = idp.signed()
    assert bearer(known, token).status_code == 200
    idp.becomes(faults=["away"])
    assert bearer(known, token).status_code == 200
    fresh = make_viewer(**idp.settings, viewer_oidc_refetch_seconds=0.05)
    refused = bearer(fresh, token)
    assert (refused.status_code, refused.json()["code"]) == (503, "identity_provider_unavailable")
    assert refused.headers["retry-after"] == "5"
    assert fresh.stranger.get(START).json()["code"] == "identity_provider_unavailable"
    assert fresh.http.get(SESSION).status_code == 200
    idp.becomes(faults=[])
    eventually(lambda: bearer(fresh, token).status_code == 200)


@pytest.mark.anyio
async def test_a_provider_that_does_not_answer_holds_up_nobody_whose_key_is_known() -> None:
    issuer, now = "https://id.example", 0.0
    key = {**RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True), "kid": "k1"}
    answers = asyncio.Event()
    asked = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.set()
        await answers.wait()
        if request.url.path == "/jwks":
            return httpx.Response(200, json={"keys": [key]})
        endpoints = ("authorization_endpoint", "token_endpoint")
        document = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks", **{each: f"{issuer}/x" for each in endpoints}}
        return httpx.Response(200, json=document)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        provider = OidcProvider(issuer, 30.0, http, lambda: now)
        answers.set()
        assert (await provider.key("k1", "RS256")).key_id == "k1"
        answers.clear()
        asked.clear()
        now = 4000.0
        first = asyncio.create_task(provider.key("k1", "RS256"))
        await asked.wait()
        async with asyncio.timeout(1):
            assert (await provider.key("k1", "RS256")).key_id == "k1"
            assert (await provider.endpoints()).token == f"{issuer}/x"
        assert not first.done()
        answers.set()
        assert (await first).key_id == "k1"
        assert provider.fetches == 2


def test_a_document_of_another_issuer_is_not_believed(make_viewer: MakeViewer, idp: IdentityProvider) -> None:
    idp.becomes(faults=["issuer"])
    viewer = make_viewer(**idp.settings)
    assert viewer.stranger.get(START).json()["code"] == "identity_provider_unavailable"


def test_without_a_provider_its_routes_say_so(make_viewer: MakeViewer) -> None:
    viewer = make_viewer()
    for path in (START, CALLBACK):
        refused = viewer.stranger.get(path)
        assert (refused.status_code, refused.json()["code"]) == (404, "oidc_not_configured")
    assert viewer.stranger.get(SESSION + "/methods").json() == {"methods": ["code", "token"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"viewer_oidc_client_id": "x"}, "SPANFLOW_VIEWER_OIDC_ISSUER"),
        ({"viewer_oidc_issuer": "http://id.example"}, "use an https"),
        ({"viewer_oidc_issuer": "https://id.example"}, "SPANFLOW_VIEWER_OIDC_CLIENT_ID"),
        (
            {"viewer_oidc_issuer": "https://id.example", "viewer_oidc_client_id": "x", "viewer_host": "0.0.0.0"},
            "SPANFLOW_VIEWER_SECRET",
        ),
        ({"viewer_public_url": "flows.example.com"}, "SPANFLOW_VIEWER_PUBLIC_URL"),
        ({"viewer_secret": "short"}, "SPANFLOW_VIEWER_SECRET"),
    ],
)
def test_settings_that_leave_something_open_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settled(ViewerSettings(**changes))


def test_a_session_outlives_the_id_token(viewer: RunningViewer) -> None:
    viewer.stranger.get(to_the_callback(viewer))
    until = datetime.fromisoformat(viewer.stranger.get(SESSION).json()["expires_at"])
    assert until - datetime.now(UTC) > timedelta(hours=11)
