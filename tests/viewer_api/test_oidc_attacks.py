"""Attacks on the sign-in at an identity provider: on the answers of a browser, on tokens, and by a provider that is
slow, endless or taken over."""

import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from spanflow.viewer_api.auth import oidc_http
from tests.support.identity_provider import IdentityProvider, identity_provider
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer
from tests.viewer_api.test_oidc import CALLBACK, SESSION, START, bearer, failed, reasons, to_the_callback

TOKEN, KEYS, DOCUMENT, USER = "/token", "/jwks", "/.well-known/openid-configuration", "/userinfo"


@pytest.fixture(scope="module")
def running_provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def idp(running_provider: IdentityProvider) -> Iterator[IdentityProvider]:
    running_provider.becomes(claims={"sub": "7", "email": "ada@example.org"}, userinfo={}, faults=[])
    yield running_provider
    running_provider.becomes(faults=[])


@pytest.fixture
def viewer(make_viewer: MakeViewer, idp: IdentityProvider) -> RunningViewer:
    return make_viewer(**idp.settings, viewer_oidc_refetch_seconds=0.0, viewer_failed_sign_ins=1000)


def signs_in(viewer: RunningViewer) -> bool:
    return viewer.stranger.get(to_the_callback(viewer)).headers["location"] == "/"


# -- what a browser brings back ----------------------------------------------------------------------------------------


def test_an_answer_that_was_changed_on_its_way_signs_nobody_in(viewer: RunningViewer, postgres_dsn: str) -> None:
    changes: dict[str, Callable[[httpx.URL], httpx.URL]] = {
        "no state": lambda url: url.copy_remove_param("state"),
        "two states": lambda url: url.copy_add_param("state", "x"),
        "two codes": lambda url: url.copy_add_param("code", "x"),
        "no code": lambda url: url.copy_remove_param("code"),
        "an error beside the code": lambda url: url.copy_add_param("error", "access_denied"),
        # It always names itself: without that, the answer is from somewhere else (mix-up).
        "no issuer": lambda url: url.copy_remove_param("iss"),
        "another issuer": lambda url: url.copy_set_param("iss", "https://other.example"),
        "two issuers": lambda url: url.copy_add_param("iss", "https://other.example"),
    }
    for name, change in changes.items():
        answer = viewer.stranger.get(change(to_the_callback(viewer)))
        assert failed(viewer, answer), name
        assert viewer.stranger.get(SESSION).status_code == 401, name
    assert signs_in(viewer)


def test_a_cookie_of_another_kind_begins_no_sign_in(viewer: RunningViewer) -> None:
    """A session's cookie and a sign-in's are signed by the same secret."""
    begun = viewer.stranger.get(START)
    name, _, login = begun.headers["set-cookie"].partition(";")[0].partition("=")
    assert signs_in(viewer)
    session_name = next(each for each in viewer.stranger.cookies if "session" in each)
    session = viewer.stranger.cookies[session_name]
    back = to_the_callback(viewer)
    for cookie in (session, login + "x", login[:-1], "", "x" * 5000):
        with httpx.Client(base_url=viewer.origin, headers={"Cookie": f"{name}={cookie}"}) as browser:
            assert failed(viewer, browser.get(back)), cookie[:40]
    with httpx.Client(base_url=viewer.origin, headers={"Cookie": f"{session_name}={login}"}) as browser:
        assert browser.get(SESSION).status_code == 401


# -- tokens ------------------------------------------------------------------------------------------------------------

FORGERIES = {
    "signature": "of another algorithm",
    "public key as secret": "of another algorithm",
    "published secret": "of another algorithm",
    "key of an attacker": "of a wrong signature",
    "key in the token": "of an unknown key",
    "other issuer": "of another issuer",
    "audience": "meant for another audience",
    "azp": "an ID token of another client",
    "nonce": "an ID token of another sign-in",
    "no nonce": "an ID token of another sign-in",
    "nonce of another kind": "an ID token of another sign-in",
    "no subject": "not well formed",
    "expired": "expired",
    "without an end": "without a claim that it must have",
    "an end that is no number": "not well formed",
    "an end beyond all time": "a time that cannot be one",
    "not valid yet": "not valid yet",
}


@pytest.mark.parametrize(("fault", "reason"), FORGERIES.items(), ids=FORGERIES)
def test_an_id_token_that_cannot_be_right_signs_nobody_in(
    viewer: RunningViewer, idp: IdentityProvider, postgres_dsn: str, fault: str, reason: str
) -> None:
    elsewhere = idp.seen("/evil")
    idp.becomes(faults=[fault])
    assert failed(viewer, viewer.stranger.get(to_the_callback(viewer)))
    assert viewer.stranger.get(SESSION).status_code == 401
    assert reasons(postgres_dsn) == [reason]
    # What a token says about where its key is, is never followed.
    assert idp.seen("/evil") == elsewhere
    idp.becomes(faults=[])
    assert signs_in(viewer)


def test_an_id_token_of_an_earlier_sign_in_is_not_taken_again(viewer: RunningViewer, idp: IdentityProvider) -> None:
    idp.becomes(faults=["replayed"])
    assert signs_in(viewer)
    viewer.stranger.cookies.clear()
    assert failed(viewer, viewer.stranger.get(to_the_callback(viewer)))


def test_what_nobody_can_sign_with_among_the_keys_does_no_harm(viewer: RunningViewer, idp: IdentityProvider) -> None:
    for fault in ("odd keys", "very many keys", "published secret"):
        idp.becomes(faults=[fault], rotate=True)
        assert bearer(viewer, idp.signed()).status_code == 200, fault
        idp.becomes(faults=[])


def test_tokens_of_invented_keys_are_refused_without_asking_for_each(
    make_viewer: MakeViewer, idp: IdentityProvider
) -> None:
    viewer = make_viewer(**idp.settings, viewer_oidc_refetch_seconds=300.0, viewer_failed_sign_ins=10_000)
    assert bearer(viewer, idp.signed()).status_code == 200
    asked = idp.seen(KEYS)
    idp.becomes(rotate=True)
    for _ in range(50):
        assert bearer(viewer, idp.signed()).status_code == 401
    assert idp.seen(KEYS) == asked


# -- a provider that is slow, endless or taken over --------------------------------------------------------------------


def unavailable(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and answer.json()["code"] == "identity_provider_unavailable"


@pytest.mark.parametrize("how", ["huge", "bomb", "slow", "elsewhere"])
@pytest.mark.parametrize("path", [TOKEN, KEYS, DOCUMENT, USER])
def test_an_answer_without_end_signs_nobody_in_and_holds_up_nobody(
    make_viewer: MakeViewer, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch, how: str, path: str
) -> None:
    monkeypatch.setattr(oidc_http, "_SECONDS", 1.0)
    viewer = make_viewer(**idp.settings, viewer_oidc_refetch_seconds=0.0, viewer_requests_per_second=10_000.0)
    back = to_the_callback(viewer) if path in (TOKEN, USER) else None
    token = idp.signed()
    elsewhere = idp.seen("/evil")
    idp.becomes(faults=[f"{how} {path}"])
    answers: list[httpx.Response] = []

    def sign_in() -> None:
        if path == KEYS:
            answers.append(bearer(viewer, token))
        else:
            answers.append(viewer.stranger.get(START if back is None else back, timeout=20))

    began = time.monotonic()
    attack = threading.Thread(target=sign_in)
    attack.start()
    try:
        # Those who sign in by another way do not notice.
        while attack.is_alive() and time.monotonic() - began < 15:
            asked = time.monotonic()
            assert viewer.http.get(SESSION).status_code == 200
            assert time.monotonic() - asked < 2.0
    finally:
        attack.join(20)
    (answer,) = answers
    if path == USER:
        # Only roles are missing then.
        assert answer.headers["location"] == "/"
    else:
        assert unavailable(answer), answer.text
    assert time.monotonic() - began < 10
    # The secret of this client is not carried elsewhere.
    assert idp.seen("/evil") == elsewhere
    idp.becomes(faults=[])
    eventually(lambda: signs_in(viewer), within=5)


def test_a_slow_provider_does_not_pile_up_sign_ins_of_strangers(
    make_viewer: MakeViewer, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys are asked for once, whoever waits for them, and then not before some time has passed."""
    monkeypatch.setattr(oidc_http, "_SECONDS", 0.5)
    viewer = make_viewer(**idp.settings, viewer_oidc_refetch_seconds=60.0, viewer_failed_sign_ins=1000)
    idp.becomes(faults=[f"slow {DOCUMENT}"])
    asked = idp.seen(DOCUMENT)
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(viewer.stranger.get(START))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(answers) == 20 and all(map(unavailable, answers))
    assert idp.seen(DOCUMENT) == asked + 1


def test_a_bearer_token_is_not_read_before_it_is_measured(viewer: RunningViewer, idp: IdentityProvider) -> None:
    assert bearer(viewer, "ey" + "." * 40_000).status_code == 401
    assert bearer(viewer, "ey" + "J" * 30_000 + ".a.b").status_code == 401
    assert viewer.stranger.get(f"{CALLBACK}?code={'x' * 10_000}&state={'y' * 5_000}").status_code in (303, 414)
