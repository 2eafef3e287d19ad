"""Several viewer processes without stickiness: what one of them gave holds at every other."""

import httpx
import pytest
import websockets

from tests.support.live_client import live
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer


@pytest.fixture
def two(make_viewer: MakeViewer) -> tuple[RunningViewer, RunningViewer]:
    return make_viewer(), make_viewer()


def test_a_code_signs_in_anywhere_and_a_sign_out_holds_everywhere(two: tuple[RunningViewer, RunningViewer]) -> None:
    one, other = two
    code = one.post("/api/v1/session/codes")["code"]
    with httpx.Client() as browser:
        address = f"{other.origin}/api/v1/session"
        answer = browser.post(address, json={"code": code}, headers={"Origin": other.origin})
        assert answer.status_code == 200, answer.text
        # Cookies do not know ports: the browser sends it to both.
        assert browser.get(f"{one.origin}/api/v1/session").json()["via"] == "session"
        again = httpx.post(f"{one.origin}/api/v1/session", json={"code": code}, headers={"Origin": one.origin})
        assert (again.status_code, again.json()["code"]) == (401, "code_invalid")
        cookie = dict(browser.cookies)
        assert browser.delete(f"{one.origin}/api/v1/session", headers={"Origin": one.origin}).status_code == 204
    eventually(lambda: httpx.get(f"{other.origin}/api/v1/session", cookies=cookie).status_code == 401)


@pytest.mark.anyio
async def test_a_ticket_opens_one_socket_at_any_of_them(two: tuple[RunningViewer, RunningViewer]) -> None:
    one, other = two
    ticket = one.post("/api/v1/session/tickets")["ticket"]
    offered = ["spanflow.live.v1", ticket]
    async with live(other, additional_headers={}, subprotocols=offered) as client:
        assert (await client.next())["type"] == "hello"
    async with live(one, additional_headers={}, subprotocols=offered) as client:
        assert (await client.next())["code"] == "not_signed_in"


@pytest.mark.anyio
async def test_a_cursor_goes_on_anywhere(two: tuple[RunningViewer, RunningViewer], make_flow: MakeFlow) -> None:
    one, other = two
    one.post("/api/v1/monitoring/enable/7")
    flow = make_flow()
    flow.start("root")
    async with live(one) as client:
        await client.subscribe(7)
        await client.until_event("start", "root")
        cursor = client.cursor
    flow.step("away", "root", "tool_call")
    async with live(other) as client:
        await client.subscribe(7, cursor=cursor)
        await client.until_event("end", "away")
        assert client.events() == [("start", "away"), ("end", "away")]


def test_who_is_watched_is_known_to_all_of_them(two: tuple[RunningViewer, RunningViewer]) -> None:
    one, other = two
    one.post("/api/v1/monitoring/enable/7")
    eventually(lambda: len(other.get("/api/v1/monitoring/list")["monitored_users"]) == 1)
    other.post("/api/v1/monitoring/disable/7")
    eventually(lambda: one.get("/api/v1/monitoring/list")["monitored_users"] == [])


@pytest.mark.anyio
async def test_their_own_secrets_keep_two_deployments_apart(make_viewer: MakeViewer) -> None:
    one, other = make_viewer(), make_viewer(viewer_token="the-token-of-another-deployment")
    ticket = one.post("/api/v1/session/tickets")["ticket"]
    async with websockets.connect(
        f"{other.ws}/api/v1/live",
        subprotocols=["spanflow.live.v1", ticket],  # type: ignore[list-item]
    ) as socket:
        assert "not_signed_in" in str(await socket.recv())
