"""Who may look live at whom, by every socket and the stream of events; and for how long."""

import asyncio
import base64
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import websockets
from dirty_equals import IsPartialDict

from spanflow.viewer_api.auth.permissions import Role
from tests.support.live_client import LiveClient, live
from tests.support.people import (
    ADMIN,
    EIGHT,
    PEOPLE,
    SEVEN,
    VIEWER_7,
    WATCHES_7,
    WATCHMAN,
    Person,
    ask,
    write_tokens,
)
from tests.support.poll import eventually_async
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer

NODE = "00000000000000aa"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return write_tokens(tmp_path / "tokens.toml", *PEOPLE)


@pytest.fixture
def house(make_viewer: MakeViewer, tokens: Path) -> RunningViewer:
    return make_viewer(viewer_tokens_file=str(tokens), viewer_requests_per_second=1000.0)


def enable(house: RunningViewer, user: str) -> None:
    assert ask(house, ADMIN, "POST", f"/api/v1/monitoring/enable/{user}", json={"reason": "incident"}).is_success


def disable(house: RunningViewer, user: str) -> None:
    assert ask(house, ADMIN, "POST", f"/api/v1/monitoring/disable/{user}").is_success


async def subscribed(client: LiveClient, **what: Any) -> dict[str, Any]:
    """What the socket answers, without the words for people."""
    await client.send(type="subscribe", reason="a reason to look", **what)
    answer = await client.next()
    return {"type": answer["type"], "code": answer.get("code")}


YES = {"type": "subscribed", "code": None}


@pytest.mark.anyio
async def test_the_live_socket_shows_whom_somebody_may_see(house: RunningViewer, make_flow: MakeFlow) -> None:
    flows = {user: make_flow(user, session_id=f"s-{user}", conversation_id=f"c-{user}") for user in ("7", "8")}
    for flow in flows.values():
        flow.start(NODE, event_type="auth_check")
    for person in PEOPLE:
        for user, flow in flows.items():
            sees = user in person.sees
            async with live(house, additional_headers=person.bearer) as client:
                assert (await client.next())["type"] == "hello"
                no = {"type": "error", "code": "forbidden"}
                assert await subscribed(client, user_id=user) == (YES if sees else no), (person.name, user)
            for what, there, absent in (
                ("flow", flow.flow_id, "f" * 32),
                ("conversation", f"c-{user}", "c-nothing"),
            ):
                async with live(house, additional_headers=person.bearer) as client:
                    assert (await client.next())["type"] == "hello"
                    no = {"type": "error", "code": f"{what}_not_found"}
                    wanted: dict[str, Any] = {f"{what}_id": there}
                    assert await subscribed(client, **wanted) == (YES if sees else no), (person.name, what, user)
                    if not sees:
                        # Exactly what is said of what is not there.
                        hidden = client.messages[-1]
                        wanted = {f"{what}_id": absent}
                        assert await subscribed(client, **wanted) == no
                        assert {**client.messages[-1], f"{what}_id": 0} == {**hidden, f"{what}_id": 0}


@pytest.mark.anyio
async def test_the_stream_of_events_shows_whom_somebody_may_see(house: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow("8", conversation_id="c-8")
    flow.start(NODE, event_type="auth_check")
    for person in PEOPLE:
        sees = "8" in person.sees
        headers = {**person.bearer, "X-Spanflow-Reason": "a reason to look"}
        for query_string, status in (
            ("user_id=8", 403),
            (f"flow_id={flow.flow_id}", 404),
            ("conversation_id=c-8", 404),
            ("user_id=7&user_id=8", 403),
        ):
            expected = 200 if sees and ("user_id=7" not in query_string or "7" in person.sees) else status
            async with httpx.AsyncClient(base_url=house.origin, headers=headers) as client:
                async with client.stream("GET", f"/api/v1/live?{query_string}") as response:
                    assert response.status_code == expected, (person.name, query_string)


@pytest.mark.anyio
async def test_somebody_follows_their_own_flows_without_a_reason_and_is_not_told_of_a_watch(
    house: RunningViewer, make_flow: MakeFlow, postgres_dsn: str
) -> None:
    flow = make_flow("7")
    async with live(house, additional_headers=VIEWER_7.bearer) as client:
        assert (await client.next())["type"] == "hello"
        await client.subscribe(7)
        assert await client.next() == IsPartialDict(type="subscribed", watched=False, expires_at=None)
        flow.start(NODE, event_type="auth_check")
        await client.until_event("start", NODE)
        enable(house, "7")
        disable(house, "7")
        flow.end(NODE, event_type="auth_check")
        await client.until_event("end", NODE)
        assert not {message["type"] for message in client.messages} & {"watch", "expiring", "error", "unsubscribed"}
        assert not any("watch" in key for message in client.of("events") for key in message)
    enable(house, "7")
    async with live(house, additional_headers=VIEWER_7.bearer) as client:
        assert (await client.next())["type"] == "hello"
        await client.subscribe(7)
        assert await client.next() == IsPartialDict(type="subscribed", watched=False, expires_at=None)
    sql = "SELECT actor, target_user, reason FROM omni2.audit_log WHERE action = 'live_opened'"
    look, *_ = await asyncio.to_thread(query, postgres_dsn, sql)
    assert look == {"actor": "viewer-7", "target_user": "7", "reason": "own flows"}


@pytest.mark.anyio
async def test_the_older_sockets_show_whom_somebody_may_see(house: RunningViewer, make_flow: MakeFlow) -> None:
    for user in ("7", "8"):
        enable(house, user)
        flow = make_flow(user)
        flow.start(NODE, event_type="llm_thinking")
    for person in PEOPLE:
        for user in ("7", "8"):
            async with websockets.connect(
                f"{house.ws}/api/v1/ws/flows/{user}", additional_headers=person.bearer
            ) as socket:
                if user in person.sees:
                    assert str(orjson.loads(await asyncio.wait_for(socket.recv(), 5))["user_id"]) == user
                else:
                    await asyncio.wait_for(socket.wait_closed(), 5)
                    assert (socket.close_code, socket.close_reason) == (4403, "forbidden")
        async with websockets.connect(f"{house.ws}/api/v1/ws", additional_headers=person.bearer) as socket:
            # Asking for somebody by name does not help.
            await socket.send('{"action": "subscribe", "user_ids": [7, 8]}')
            got: set[str] = set()
            while got < person.sees:
                got.add(str(orjson.loads(await asyncio.wait_for(socket.recv(), 5))["user_id"]))
            assert got == person.sees
            if person.sees != {"7", "8"}:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(socket.recv(), 0.3)


@pytest.mark.anyio
async def test_an_older_socket_shows_somebody_their_own_flows_whether_they_are_watched_or_not(
    house: RunningViewer, make_flow: MakeFlow
) -> None:
    flow = make_flow("7")
    flow.start(NODE, event_type="llm_thinking")
    async with websockets.connect(f"{house.ws}/api/v1/ws/flows/7", additional_headers=VIEWER_7.bearer) as socket:
        assert orjson.loads(await asyncio.wait_for(socket.recv(), 5))["event_type"] == "llm_thinking"


@pytest.mark.anyio
async def test_each_try_to_look_at_somebody_else_is_in_the_audit_log(house: RunningViewer, postgres_dsn: str) -> None:
    async with live(house, additional_headers=VIEWER_7.bearer) as client:
        assert (await client.next())["type"] == "hello"
        await subscribed(client, user_id=8)
        await subscribed(client, flow_id="f" * 32)
    async with websockets.connect(f"{house.ws}/api/v1/ws/flows/8", additional_headers=VIEWER_7.bearer) as socket:
        await asyncio.wait_for(socket.wait_closed(), 5)
    rows = await asyncio.to_thread(
        query,
        postgres_dsn,
        "SELECT actor, action, outcome, target_user, target, detail ->> 'asked' AS asked FROM omni2.audit_log "
        "ORDER BY id",
    )
    told = {"actor": "viewer-7", "action": "denied", "outcome": "denied", "asked": "live_opened"}
    assert rows == [{**told, "target_user": "8", "target": None}, {**told, "target_user": None, "target": "f" * 32}]


# -- what was made from a credential has no more rights than the credential -------------------------------------------


@contextmanager
def signed_in(house: RunningViewer, person: Person) -> Iterator[httpx.Client]:
    """A browser with a session cookie that was made from somebody's token."""
    with httpx.Client(base_url=house.origin, headers={"Origin": house.origin}, timeout=15) as client:
        response = client.post("/api/v1/session", json={"token": person.token})
        assert response.status_code == 200, response.text
        yield client


def cookie_of(client: httpx.Client) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


def test_cookies_and_codes_keep_the_role(house: RunningViewer) -> None:
    for person in PEOPLE:
        with signed_in(house, person) as client:
            owner = ask(house, person, "GET", "/api/v1/session").json()
            code = client.post("/api/v1/session/codes").json()["code"]
            with httpx.Client(base_url=house.origin, headers={"Origin": house.origin}) as other:
                assert other.post("/api/v1/session", json={"code": code}).status_code == 200
                for browser in (client, other):
                    shown = browser.get("/api/v1/session").json()
                    for key in ("role", "user_id", "scope", "rights", "name"):
                        assert shown[key] == owner[key], (person.name, key)
                    status = browser.get("/api/v1/monitoring/flows/8").status_code
                    assert status == (200 if "8" in person.sees else 403)
                    assert browser.get("/api/v1/audit").status_code == (200 if person.role is Role.ADMIN else 403)


@pytest.mark.anyio
async def test_a_ticket_keeps_the_role(house: RunningViewer) -> None:
    for person in (VIEWER_7, WATCHES_7):
        with signed_in(house, person) as client:
            ticket = client.post("/api/v1/session/tickets").json()["ticket"]
        async with live(house, additional_headers={}, subprotocols=["spanflow.live.v1", ticket]) as socket:
            assert (await socket.next())["type"] == "hello"
            assert (await subscribed(socket, user_id=8))["code"] == "forbidden"
            assert await subscribed(socket, user_id=7) == YES


@pytest.mark.anyio
async def test_signing_out_ends_what_a_ticket_of_the_session_opened(house: RunningViewer) -> None:
    with signed_in(house, VIEWER_7) as client:
        tickets = [client.post("/api/v1/session/tickets").json()["ticket"] for _ in range(2)]
        protocols = [["spanflow.live.v1", ticket] for ticket in tickets]
        async with live(house, additional_headers={}, subprotocols=protocols[0]) as socket:
            assert (await socket.next())["type"] == "hello"
            await asyncio.to_thread(client.delete, "/api/v1/session")
            assert (await socket.next())["code"] == "signed_out"
    async with live(house, additional_headers={}, subprotocols=protocols[1]) as socket:
        assert (await socket.next())["code"] == "not_signed_in"


def test_a_forged_role_is_no_role(house: RunningViewer) -> None:
    """The cookie can be read, but not changed."""
    with signed_in(house, VIEWER_7) as client:
        ((name, cookie),) = client.cookies.items()
        kind, payload, mac = cookie.split(".")
        said = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert "viewer" in said
        forged = orjson.dumps(["admin" if word == "viewer" else word for word in said])
        body = base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
        client.cookies.set(name, f"{kind}.{body}.{mac}", domain="127.0.0.1")
        with httpx.Client(base_url=house.origin, cookies={name: f"{kind}.{body}.{mac}"}) as forger:
            assert forger.get("/api/v1/session").status_code == 401


@pytest.mark.anyio
async def test_what_a_token_opened_ends_when_it_is_taken_away(house: RunningViewer, tokens: Path) -> None:
    with signed_in(house, WATCHES_7) as client:
        ticket = client.post("/api/v1/session/tickets").json()["ticket"]
        ways: list[dict[str, Any]] = [
            {"additional_headers": WATCHES_7.bearer},
            {"additional_headers": {"Cookie": cookie_of(client)}, "origin": house.origin},
            {"additional_headers": {}, "subprotocols": ["spanflow.live.v1", ticket]},
        ]
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(live(house, **way)) for way in ways]
            for socket in sockets:
                assert (await socket.next())["type"] == "hello"
            write_tokens(tokens, *(person for person in PEOPLE if person is not WATCHES_7))
            for socket in sockets:
                assert (await socket.next())["code"] == "signed_out"
                await asyncio.wait_for(socket.socket.wait_closed(), 5)
                assert socket.socket.close_code == 4401
        assert client.get("/api/v1/session").status_code == 401
        assert ask(house, WATCHES_7, "GET", "/api/v1/flows").status_code == 401
    # Everybody else goes on.
    assert ask(house, VIEWER_7, "GET", "/api/v1/flows").status_code == 200


@pytest.mark.anyio
async def test_sockets_end_when_the_rights_of_their_token_change(house: RunningViewer, tokens: Path) -> None:
    narrower = Person("watchman", Role.MONITOR, scope=SEVEN, sees=SEVEN)
    other = Person("watches-7", Role.MONITOR, scope=EIGHT, sees=EIGHT)
    demoted = Person("admin", Role.VIEWER, user_id="7", sees=SEVEN)
    enable(house, "7")
    with signed_in(house, WATCHMAN) as client:
        async with (
            live(house, additional_headers={"Cookie": cookie_of(client)}, origin=house.origin) as by_cookie,
            live(house, additional_headers=WATCHES_7.bearer) as by_token,
            websockets.connect(f"{house.ws}/api/v1/ws/flows/7", additional_headers=ADMIN.bearer) as older,
            live(house, additional_headers=VIEWER_7.bearer) as unchanged,
        ):
            for socket in (by_cookie, by_token, unchanged):
                assert (await socket.next())["type"] == "hello"
            write_tokens(tokens, narrower, other, demoted, VIEWER_7)
            for socket in (by_cookie, by_token):
                assert (await socket.next())["code"] == "rights_changed"
                await asyncio.wait_for(socket.socket.wait_closed(), 5)
                assert socket.socket.close_code == 4409
            await asyncio.wait_for(older.wait_closed(), 5)
            assert older.close_code == 4409
            assert await subscribed(unchanged, user_id=7) == YES
        # The cookie goes on with what its owner may do now.
        assert client.get("/api/v1/session").json()["scope"] == [7]
        assert client.get("/api/v1/monitoring/flows/8").status_code == 403


@pytest.mark.anyio
async def test_an_event_stream_ends_when_its_token_is_taken_away(house: RunningViewer, tokens: Path) -> None:
    said: list[str] = []

    async def read() -> None:
        async with httpx.AsyncClient(base_url=house.origin, headers=VIEWER_7.bearer, timeout=15) as client:
            async with client.stream("GET", "/api/v1/live?user_id=7") as response:
                async for line in response.aiter_lines():
                    said.append(line)

    reading = asyncio.create_task(read())
    await eventually_async(lambda: any("subscribed" in line for line in said))
    write_tokens(tokens, ADMIN)
    await asyncio.wait_for(reading, 5)
    assert re.search('"code":"signed_out"', "\n".join(said))
