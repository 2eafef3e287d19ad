"""Nobody is shown another user's flow because its user was corrected, or because a bell says what is not so."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import websockets

from spanflow.span_processors import names
from tests.support.flow_parts import part, span
from tests.support.flow_writer import FlowWriter
from tests.support.live_client import LiveClient, following, live
from tests.support.people import ADMIN, VIEWER_8, Person, write_tokens
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, of

pytestmark = pytest.mark.anyio
REASON = "ticket 4711"


@pytest.fixture
def viewer(make_viewer: MakeViewer, tmp_path: Path) -> RunningViewer:
    return make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", VIEWER_8, ADMIN)))


def as_(person: Person) -> dict[str, Any]:
    return {"additional_headers": person.bearer}


async def nothing_more(client: LiveClient, flow: FlowWriter, topic_user: FlowWriter) -> None:
    """A flow that the client may see comes through, and nothing of the other after it."""
    flow.start("private of seven")
    flow.end("private of seven")
    await asyncio.sleep(0)
    topic_user.start("of eight")
    await client.until_event("start", "of eight")
    topic_user.start("of eight, after a look at everything")
    await client.until_event("start", "of eight, after a look at everything")
    assert "private of seven" not in client.nodes()


@pytest.mark.parametrize("rung", [True, False], ids=["watched", "unwatched"])
async def test_nothing_is_shown_after_the_user_was_corrected(
    viewer: RunningViewer, make_flow: MakeFlow, rung: bool
) -> None:
    flow, other = make_flow("8", watched=rung), make_flow("8", watched=rung)
    flow.start("root")
    async with following(viewer, 8, connect=as_(VIEWER_8)) as client:
        await client.until_event("start", "root")
        flow.correct("root", "7")
        await nothing_more(client, flow, other)
        cursor = client.cursor
    for again in (None, cursor):
        async with following(viewer, 8, connect=as_(VIEWER_8), **({"cursor": again} if again else {})) as client:
            other.start(f"again {again is None}")
            await client.until_event("start", f"again {again is None}")
            assert not client.nodes() & {"root", "private of seven"}


async def test_of_a_long_flow_nothing_is_shown_that_came_before_the_correction(
    viewer: RunningViewer, make_flow: MakeFlow
) -> None:
    flow, other = make_flow("8"), make_flow("8")
    flow.start("root")
    for number in range(1200):
        flow.start(f"span {number}", "root", attributes={"user.id": "8"})
    flow.correct("root", "7")
    other.start("of eight")
    async with following(viewer, 8, connect=as_(VIEWER_8)) as client:
        await client.until_event("start", "of eight")
        other.start("another")
        await client.until_event("start", "another")
        assert client.nodes() == {"of eight", "another"}


async def test_a_flow_that_was_corrected_and_is_over_is_not_shown_to_who_comes_back(
    viewer: RunningViewer, make_flow: MakeFlow
) -> None:
    flow, other = make_flow("8"), make_flow("8")
    other.start("of eight")
    async with following(viewer, 8, connect=as_(VIEWER_8)) as client:
        await client.until(lambda: client.cursor)
        cursor = client.cursor
    flow.start("root")
    flow.correct("root", "7")
    flow.end("root")
    flow.close()
    async with following(viewer, 8, connect=as_(VIEWER_8), cursor=cursor) as client:
        other.start("later")
        await client.until_event("start", "later")
        assert "root" not in client.nodes()


async def test_a_forged_bell_shows_nothing(viewer: RunningViewer, make_flow: MakeFlow, redis_url: str) -> None:
    open_flow, complete, other = make_flow("7"), make_flow("7"), make_flow("8")
    open_flow.start("private of seven")
    complete.start("private too")
    complete.end("private too")
    complete.close()
    other.start("of eight")
    with redis.Redis.from_url(redis_url) as attacker:
        async with following(viewer, 8, connect=as_(VIEWER_8)) as client:
            await client.until_event("start", "of eight")
            for victim in (open_flow, complete):
                assert attacker.publish(names.flow_bell("8"), victim.flow_id)
            other.start("after the bells")
            await client.until_event("start", "after the bells")
            # Even an index is not believed against what the flow itself says.
            for victim in (open_flow, complete):
                attacker.zadd(names.user_flows("8"), {victim.flow_id: 2e9})
                attacker.publish(names.flow_bell("8"), victim.flow_id)
            for step in ("after the index", "after a look at everything"):
                other.start(step)
                await client.until_event("start", step)
            assert not client.nodes() & {"private of seven", "private too"}
            assert {message["flow_id"] for message in client.of("flow")} <= {other.flow_id}


async def test_who_follows_one_flow_stops_seeing_it(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    flow, other = make_flow("8"), make_flow("8")
    flow.start("root")
    async with live(viewer, **as_(VIEWER_8)) as client:
        await client.send(type="subscribe", flow_id=flow.flow_id)
        await client.subscribe(8)
        await client.until(lambda: len(client.events()) >= 2)
        flow.correct("root", "7")
        assert (await client.of_type("error"))["code"] == "flow_not_found"
        ended = await client.of_type("unsubscribed")
        assert (ended["flow_id"], ended["reason"]) == (flow.flow_id, "user_changed")
        await nothing_more(client, flow, other)
        await client.send(type="subscribe", flow_id=flow.flow_id)
        assert (await client.of_type("error"))["code"] == "flow_not_found"


@pytest.mark.parametrize("first", ["8", None])
async def test_the_audit_log_names_everybody_whose_flow_it_was(
    viewer: RunningViewer, make_flow: MakeFlow, postgres_dsn: str, first: str | None
) -> None:
    flow = make_flow(first, conversation_id="c-1")
    flow.start("root")
    async with live(viewer, **as_(ADMIN)) as client:
        await client.send(type="subscribe", flow_id=flow.flow_id, conversation_id="c-1", reason=REASON)
        await client.until(lambda: len(client.events()) == 2)
        flow.correct("root", "7")
        flow.start("of seven", "root")
        await client.until(lambda: client.events().count(("start", "of seven")) == 2)
        # Nothing twice: both went on from where they were.
        assert client.events().count(("start", "root")) == 2
        assert not client.of("unsubscribed")
    looks = "SELECT target_user, target, reason FROM omni2.audit_log WHERE action = 'live_opened' ORDER BY id"
    rows = [tuple(row.values()) for row in await asyncio.to_thread(query, postgres_dsn, looks)]
    assert sorted(rows, key=str) == sorted(
        [(user, target, REASON) for user in (first, "7") for target in (flow.flow_id, "c-1")], key=str
    )


async def test_older_dashboards_are_not_shown_it_either(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    viewer.post("/api/v1/monitoring/enable", [7, 8])
    flow, other = make_flow("8"), make_flow("8")
    flow.step("auth", None, "auth_check")
    async with websockets.connect(f"{viewer.ws}/api/v1/ws/flows/8", **as_(ADMIN)) as socket:
        assert "auth_check" in await asyncio.wait_for(socket.recv(), 5)
        flow.correct("auth", "7")
        flow.step("private of seven", "auth", "tool_call", tool="private")
        for _ in range(2):
            other.step(f"step {_}", None, "llm_thinking")
            assert "private" not in str(await asyncio.wait_for(socket.recv(), 5))


def test_a_stored_part_of_the_user_before_does_not_open_what_runs(
    viewer: RunningViewer, make_flow: MakeFlow, store: Any
) -> None:
    store(part(1, [span(1), span(2, 1)], **of("s1", "8")))
    flow = make_flow("8", flow_id=f"{1:032x}", session_id="s1")
    flow.start("0000000000000001")
    flow.correct("0000000000000001", "7")
    with httpx.Client(base_url=viewer.origin, headers=VIEWER_8.bearer) as eight:
        for path in ("", "/tree", "/flat"):
            assert eight.get(f"/api/v1/flows/{flow.flow_id}{path}").status_code == 404
    with httpx.Client(base_url=viewer.origin, headers=ADMIN.bearer) as admin:
        assert admin.get(f"/api/v1/flows/{flow.flow_id}").status_code == 200
