"""Failed sign-ins, requests and sockets are limited; whoever is signed in is not shut out by somebody who is not."""

import asyncio
import time
from typing import Any

import asyncpg
import httpx
import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.viewer_api.auth.authenticator import one_time_code
from spanflow.viewer_api.auth.limits import ConcurrencyLimiter, RateLimits, TokenBuckets, TooManyConcurrent
from spanflow.viewer_api.auth.permissions import Principal, Role, Via
from spanflow.viewer_api.auth.signed_tokens import Signer
from spanflow.viewer_api.auth.token_file import Entry, digest, new_token, written
from spanflow.viewer_api.http.problems import Problem
from tests.support.live_client import BEARER, live
from tests.support.poll import eventually, eventually_async
from tests.support.query import query, value
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeViewer

SESSION = "/api/v1/session"


def attempt(viewer: RunningViewer, token: str, **headers: str) -> httpx.Response:
    return viewer.stranger.get(SESSION, headers={"Authorization": f"Bearer {token}", **headers})


def test_an_address_with_too_many_failures_has_to_wait(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_failed_sign_ins=3)
    assert [attempt(viewer, f"wrong {number}").status_code for number in range(5)] == [401, 401, 401, 429, 429]
    refused = attempt(viewer, "wrong")
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert refused.json()["code"] == "too_many_attempts"
    # No kind of credential is looked at any more, the right ones included: trying them is what has to wait.
    assert attempt(viewer, TOKEN).status_code == 429
    for body in ({"code": "c.x.y"}, {"token": "wrong"}):
        assert viewer.stranger.post(SESSION, json=body).status_code == 429
    # Who sends none is asked to sign in, as always.
    assert viewer.stranger.get(SESSION).status_code == 401


def test_whoever_is_known_goes_on_from_the_same_address(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_failed_sign_ins=3)
    with httpx.Client(base_url=viewer.origin) as browser:
        assert browser.post(SESSION, json={"token": TOKEN}).status_code == 200
        while attempt(viewer, "wrong").status_code != 429:
            pass
        assert browser.get(SESSION).status_code == 200
        assert viewer.http.get(SESSION).status_code == 200


def test_addresses_behind_a_proxy_are_counted_apart(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_failed_sign_ins=2, viewer_proxy_peers=("127.0.0.1",))
    for _ in range(3):
        last = attempt(viewer, "wrong", **{"X-Forwarded-For": "192.0.2.1"})
    assert last.status_code == 429
    assert attempt(viewer, "wrong", **{"X-Forwarded-For": "192.0.2.2"}).status_code == 401


def test_failures_are_in_the_audit_log_without_the_credential_and_cannot_fill_it(
    make_viewer: MakeViewer, postgres_dsn: str
) -> None:
    viewer = make_viewer(viewer_failed_sign_ins=1000)
    attempt(viewer, "a-secret-that-was-mistyped")
    viewer.stranger.post(SESSION, json={"code": "c.a-secret.x"})
    shown = query(postgres_dsn, "SELECT actor, action, remote, outcome, detail FROM omni2.audit_log ORDER BY id")
    assert shown == snapshot(
        [
            {
                "actor": "unknown",
                "action": "login_failed",
                "remote": "127.0.0.1",
                "outcome": "refused",
                "detail": '{"via": "token", "why": "not known"}',
            },
            {
                "actor": "unknown",
                "action": "login_failed",
                "remote": "127.0.0.1",
                "outcome": "refused",
                "detail": '{"via": "code", "why": "wrong or too old"}',
            },
        ]
    )
    for number in range(40):
        attempt(viewer, f"wrong {number}")
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.audit_log") == 5
    doorkeeper = viewer.app.state.viewer.authenticator.doorkeeper
    assert doorkeeper.failures == 42


@pytest.mark.anyio
async def test_sockets_are_no_way_around_it(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_failed_sign_ins=2)

    async def tried(token: str) -> tuple[str, int | None]:
        async with live(viewer, additional_headers={}) as client:
            await client.send(type="auth", token=token)
            answer = await client.next()
            await asyncio.wait_for(client.socket.wait_closed(), 5)
            return answer["code"], client.socket.close_code

    assert [await tried("wrong") for _ in range(2)] == [("not_signed_in", 4401)] * 2
    assert await tried("wrong") == ("too_many_attempts", 4429)
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with live(viewer, additional_headers={"Authorization": "Bearer wrong"}):
            pass
    assert refused.value.response.status_code == 429


def test_one_person_may_ask_only_so_often_and_others_do_not_notice(make_viewer: MakeViewer, tmp_path: Any) -> None:
    token = new_token()
    path = tmp_path / "tokens.toml"
    path.write_text(written(Entry(digest(token), Principal("script", Via.TOKEN, Role.ADMIN))))
    viewer = make_viewer(viewer_requests_per_second=0.5, viewer_tokens_file=str(path))
    answers = [attempt(viewer, token) for _ in range(8)]
    assert [answer.status_code for answer in answers[:5]] == [200] * 5
    assert answers[-1].status_code == 429
    assert answers[-1].json()["code"] == "too_many_requests"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert viewer.http.get(SESSION).status_code == 200


@pytest.mark.anyio
async def test_one_person_may_have_only_so_many_sockets(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_sockets_per_person=2)
    async with live(viewer) as one, live(viewer, additional_headers={}) as two:
        await two.send(type="auth", token=TOKEN)
        assert [(await each.next())["type"] for each in (one, two)] == ["hello", "hello"]
        async with live(viewer) as three:
            assert (await three.next())["code"] == "too_many_sockets"
            await asyncio.wait_for(three.socket.wait_closed(), 5)
            assert three.socket.close_code == 4429

    async def again() -> bool:
        async with live(viewer, additional_headers=BEARER) as client:
            return bool((await client.next())["type"] == "hello")

    await eventually_async(again)


HOSTILE = [
    "",
    " ",
    ".",
    "..",
    "a.b.c",
    "eyJ.eyJ.x",
    "eyJhbGciOiJub25lIn0.e30.",
    "eyJhbGciOiJIUzI1NiJ9.e30.x",
    "eyJhbGciOiJSUzI1NiIsImtpZCI6WzFdfQ.e30.x",
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.x",
    "ey" + "." * 3,
    "ey." + "x" * 20_000 + ".y",
    "s.W10.x",
    "c.eyJhIjoxfQ.x",
    "\x00",
    "spanflow_",
    "é" * 10,
    "🦆",
    "%00%0a",
    "' OR 1=1 --",
]


def test_no_token_whatever_is_a_mistake_of_the_viewer(make_viewer: MakeViewer, tmp_path: Any) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(written(Entry(digest(new_token()), Principal("ada", Via.TOKEN, Role.ADMIN))))
    viewer = make_viewer(
        viewer_failed_sign_ins=10_000,
        viewer_tokens_file=str(tokens),
        viewer_jwt_issuer="https://auth.example",
        viewer_jwt_algorithm="HS256",
        viewer_jwt_secret="x" * 32,
        viewer_oidc_issuer="http://127.0.0.1:1",
        viewer_oidc_client_id="spanflow",
    )
    for token in HOSTILE:
        for body in ({"token": token}, {"code": token}):
            answer = viewer.stranger.post(SESSION, json=body)
            # An unknown key cannot be told from a wrong one while the provider is away.
            assert answer.status_code in {401, 422, 503}, (token, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
        if token.isascii() and token.isprintable():
            for scheme in ("Bearer", "bearer", "Basic", ""):
                headers = {"Authorization": f"{scheme} {token}".strip()}
                assert viewer.stranger.get(SESSION, headers=headers).status_code in {401, 503}, token
            assert viewer.stranger.get(SESSION, headers={"Cookie": f"x={token}".strip()}).status_code == 401
    name = Signer(TOKEN).cookie_name
    for cookie in ("", "s", "s.W10.x", "s..", "l.W10.x", "x" * 3000):
        assert viewer.stranger.get(SESSION, headers={"Cookie": f"{name}={cookie}"}).status_code == 401


def test_sessions_need_the_secret_and_the_operators_the_access_token_as_well(
    make_viewer: MakeViewer, tmp_path: Any
) -> None:
    token, secret = new_token(), "a-secret-of-at-least-32-characters-0"
    path = tmp_path / "tokens.toml"
    path.write_text(written(Entry(digest(token), Principal("ada", Via.TOKEN, Role.ADMIN))))
    same: dict[str, Any] = {"viewer_secret": secret, "viewer_tokens_file": str(path)}
    viewer = make_viewer(**same)
    cookies = {}
    for name, body in {
        "ada": {"token": token},
        "operator": {"code": one_time_code(TOKEN, time.time, secret)},
    }.items():
        with httpx.Client(base_url=viewer.origin) as browser:
            assert browser.post(SESSION, json=body).json()["name"] == name
            cookies[name] = dict(browser.cookies)
    others = {
        "beside it": (make_viewer(**same), 200, 200),
        "another access token": (make_viewer(**same, viewer_token="another-token-0123456789"), 200, 401),
        "another secret": (make_viewer(**{**same, "viewer_secret": secret[::-1]}), 401, 401),
    }
    for what, (other, adas, operators) in others.items():
        for name, status in (("ada", adas), ("operator", operators)):
            with httpx.Client(base_url=other.origin, cookies=cookies[name]) as browser:
                assert browser.get(SESSION).status_code == status, (what, name)


def test_what_is_added_up_is_limited_to_a_time_range(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_max_range_days=31)
    totals = "/api/v1/users/7"
    refused = viewer.http.get(totals, params={"since": "2026-01-01", "until": "2026-03-01"})
    assert (refused.status_code, refused.json()["code"]) == (422, "range_too_long")
    fitting = viewer.http.get(totals, params={"since": "2026-01-01", "until": "2026-01-31"})
    assert fitting.json()["code"] == "user_not_found"
    backwards = viewer.http.get(totals, params={"since": "2026-01-02", "until": "2026-01-01T00:00:00Z"})
    assert backwards.json()["code"] == "invalid_request"
    # Lists are paged, so an old range is no more work than a new one.
    listed = viewer.http.get("/api/v1/flows", params={"since": "1999-01-01"})
    assert listed.status_code == 200


# -- the parts ---------------------------------------------------------------------------------------------------------


@given(
    st.floats(0.1, 100),
    st.floats(1, 100),
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 5)), max_size=60),
)
def test_never_more_than_the_burst_and_what_came_back_since(
    rate: float, burst: float, steps: list[tuple[str, float]]
) -> None:
    now = [0.0]
    buckets = TokenBuckets(rate, burst, lambda: now[0])
    taken = {"a": 0, "b": 0}
    for key, pause in steps:
        now[0] += pause
        wait = buckets.wait(key)
        got = buckets.take(key)
        assert got == wait
        taken[key] += got == 0
        assert taken[key] <= burst + now[0] * rate + 1e-6
        if got:
            now[0] += got + 1e-9
            assert buckets.wait(key) < 1e-6


def test_the_memory_of_buckets_is_bounded() -> None:
    buckets = TokenBuckets(1.0, 1.0, lambda: 0.0)
    for number in range(20_000):
        buckets.take(number)
    assert len(buckets) == 10_000


def test_places_for_sockets_come_back_whatever_happens() -> None:
    rates = RateLimits(1.0, 1, 1)
    ada = Principal("ada", Via.TOKEN, Role.ADMIN)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), rates.socket(ada):
            with pytest.raises(Problem), rates.socket(ada):
                pass
            raise ZeroDivisionError
    with rates.socket(ada), rates.socket(Principal("eve", Via.TOKEN, Role.ADMIN)):
        with rates.socket(Principal("ada", Via.TOKEN, Role.ADMIN, user_id="another Ada")):
            pass


@pytest.mark.anyio
async def test_turns_are_taken_in_order_and_nothing_is_left_of_them() -> None:
    turns = ConcurrencyLimiter(2, patience=0.05)
    running, most = 0, 0
    order: list[int] = []

    async def work(number: int, who: str = "ada") -> None:
        nonlocal running, most
        async with turns.turn(who):
            running += 1
            order.append(number)
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*map(work, range(20)))
    assert (most, order, len(turns)) == (2, list(range(20)), 0)
    async with turns.turn("ada"), turns.turn("ada"):
        with pytest.raises(TooManyConcurrent):
            await work(20)
        # Nobody else waits for her, and who gives up leaves the line.
        await work(21, "eve")
        waiting = asyncio.ensure_future(work(22))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert len(turns) == 1
    assert len(turns) == 0


@pytest.mark.anyio
async def test_what_one_person_has_running_leaves_room_for_others(
    make_viewer: MakeViewer, tmp_path: Any, postgres_dsn: str
) -> None:
    token = new_token()
    path = tmp_path / "tokens.toml"
    path.write_text(written(Entry(digest(token), Principal("eve", Via.TOKEN, Role.ADMIN))))
    viewer = make_viewer(viewer_tokens_file=str(path))
    eve = {"Authorization": f"Bearer {token}"}
    locking = await asyncpg.connect(postgres_dsn)
    async with httpx.AsyncClient(base_url=viewer.origin, timeout=30) as http:
        async with locking.transaction():
            # Whoever looks for people now has to wait.
            await locking.execute("LOCK TABLE omni2.user_directory IN ACCESS EXCLUSIVE MODE")
            asked = [asyncio.ensure_future(http.get("/api/v1/monitoring/users", headers=eve)) for _ in range(25)]
            began = time.monotonic()
            others = [http.get("/api/v1/activities/user/7", headers=BEARER) for _ in range(3)]
            assert [answer.status_code for answer in await asyncio.gather(*others)] == [200] * 3
            assert time.monotonic() - began < 5
        assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200] * 25
    await locking.close()


def test_a_session_ends_within_a_moment_after_its_token_was_taken_out(make_viewer: MakeViewer, tmp_path: Any) -> None:
    token = new_token()
    path = tmp_path / "tokens.toml"
    path.write_text(written(Entry(digest(token), Principal("ada", Via.TOKEN, Role.MONITOR))))
    viewer = make_viewer(viewer_tokens_file=str(path))
    with httpx.Client(base_url=viewer.origin) as browser:
        known = browser.post(SESSION, json={"token": token})
        assert (known.json()["name"], known.json()["role"], known.json()["via"]) == ("ada", "monitor", "session")
        path.write_text(written(Entry(digest(token), Principal("ada", Via.TOKEN, Role.ADMIN))))
        eventually(lambda: browser.get(SESSION).json().get("role") == "admin")
        # A file that is spoilt changes nothing, but somebody gets to hear of it.
        path.write_text("[[token]]")
        eventually(lambda: viewer.stranger.get("/readyz").json()["status"] == "degraded")
        assert browser.get(SESSION).json()["role"] == "admin"
        path.write_text("")
        eventually(lambda: browser.get(SESSION).status_code == 401)
    assert attempt(viewer, token).status_code == 401


@pytest.mark.anyio
async def test_a_socket_ends_when_its_token_is_taken_out(make_viewer: MakeViewer, tmp_path: Any) -> None:
    token = new_token()
    path = tmp_path / "tokens.toml"
    path.write_text(written(Entry(digest(token), Principal("ada", Via.TOKEN, Role.MONITOR))))
    viewer = make_viewer(viewer_tokens_file=str(path))
    async with live(viewer, additional_headers={"Authorization": f"Bearer {token}"}) as client:
        assert (await client.next())["type"] == "hello"
        path.write_text("")
        assert (await client.next())["code"] == "signed_out"
        await asyncio.wait_for(client.socket.wait_closed(), 5)
        assert client.socket.close_code == 4401
