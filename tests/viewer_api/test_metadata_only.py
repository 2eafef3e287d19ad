"""Watching somebody without contents: what happens is seen, what was said is not, by whatever door."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import websockets

from tests.support.flow_parts import NOON, part, span
from tests.support.flow_writer import FlowWriter
from tests.support.live_client import BEARER, LiveClient, following, live
from tests.support.people import VIEWER_7, WATCHMAN, ask, write_tokens
from tests.support.poll import eventually_async
from tests.support.query import script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store, of

pytestmark = pytest.mark.anyio
SECRET = "between you and me"


@pytest.fixture
def running(make_flow: MakeFlow) -> Iterator[FlowWriter]:
    """A request of user 7 that runs."""
    flow = make_flow()
    flow.start("root", name="POST /ask")
    say(flow, "tool-1")
    yield flow


def say(flow: FlowWriter, node: str) -> None:
    """A step with something to keep to oneself in every place that there is."""
    flow.start(node, "root", "tool_call", attributes={"flow.data.tool": "list", "flow.data.note": SECRET})
    flow.end(
        node,
        "root",
        "tool_call",
        status="error",
        status_message=SECRET,
        outcome="error",
        attributes={"gen_ai.usage.input_tokens": 5, "gen_ai.tool.call.result": SECRET, "flow.denied.reason": SECRET},
        logs=[{"name": "exception", "time_ns": "1", "attributes": {"exception.message": SECRET}}],
    )


def watch(viewer: RunningViewer, user_id: Any = 7, **body: Any) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [user_id], "metadata_only": True, "reason": "r", **body})


def told(client: LiveClient) -> str:
    return orjson.dumps(client.messages).decode()


async def test_the_live_socket_tells_what_happens_and_not_what_was_said(
    viewer: RunningViewer, make_viewer: MakeViewer, running: FlowWriter
) -> None:
    watch(viewer)
    other = make_viewer()
    for each in (viewer, other):
        async with live(each) as client:
            await client.next()
            await client.subscribe()
            subscribed = await client.next()
            assert (subscribed["watched"], subscribed["metadata_only"]) == (True, True)
            await client.until_event("end", "tool-1")
            say(running, "tool-2")
            await client.until_event("end", "tool-2")
            assert SECRET not in told(client)
            events = [event for message in client.of("events") for event in message["events"]]
            (end,) = [event for event in events if (event["phase"], event["node_id"]) == ("end", "tool-1")]
            assert (end["outcome"], end["attributes"]["gen_ai.usage.input_tokens"]) == ("error", 5)
            cursor = client.cursor
        # Whoever comes back with a cursor is shown no more.
        say(running, "tool-3")
        async with following(each, cursor=cursor) as client:
            await client.until_event("end", "tool-3")
            assert SECRET not in told(client)


async def test_flows_and_conversations_and_streams_are_no_way_around_it(
    viewer: RunningViewer, running: FlowWriter
) -> None:
    watch(viewer)
    async with live(viewer) as client:
        await client.next()
        await client.send(type="subscribe", flow_id=running.flow_id, reason="r")
        await client.until_event("end", "tool-1")
        assert SECRET not in told(client)
    with viewer.http.stream("GET", f"/api/v1/live?flow_id={running.flow_id}&user_id=7") as stream:
        got = ""
        for text in stream.iter_text():
            got += text
            if got.count("tool-1") >= 4:
                break
    assert SECRET not in got


@pytest.mark.parametrize("path", ["ws/flows/7", "ws"])
async def test_sockets_of_existing_dashboards_get_metadata_only(
    viewer: RunningViewer, running: FlowWriter, path: str
) -> None:
    watch(viewer)
    async with websockets.connect(f"{viewer.ws}/api/v1/{path}", additional_headers=BEARER) as socket:
        message = orjson.loads(await socket.recv())
    assert (message["event_type"], message["status"], message["tool"], message["tokens"]) == (
        "tool_call",
        "error",
        "list",
        5,
    )
    assert SECRET not in orjson.dumps(message).decode()


async def test_running_flows_are_read_without_contents_too(viewer: RunningViewer, running: FlowWriter) -> None:
    paths = (
        f"flows/{running.flow_id}",
        "monitoring/flows/7",
        "monitoring/flows/session/s-1",
        "flows/user/7/sessions",
        "monitoring/flows/user/7/sessions",
        "flows/session/s-1",
        "flows?user_id=7",
    )
    for path in paths[:-1]:
        assert SECRET in viewer.http.get(f"/api/v1/{path}").text, path
    watch(viewer)
    for path in paths:
        response = viewer.http.get(f"/api/v1/{path}")
        assert response.status_code == 200
        assert "tool_call" in response.text or "list" in response.text, path
        assert SECRET not in response.text, path


async def test_what_may_not_be_seen_is_not_found_either(viewer: RunningViewer, running: FlowWriter) -> None:
    params = {"user_id": "7", "q": SECRET.split()[0]}
    assert len(viewer.get("/api/v1/flows", params=params)["flows"]) == 1
    watch(viewer)
    assert viewer.get("/api/v1/flows", params=params)["flows"] == []
    assert len(viewer.get("/api/v1/flows", params={"user_id": "7"})["flows"]) == 1


async def test_a_part_that_is_stored_already_is_kept_back_while_the_flow_runs(
    viewer: RunningViewer, make_flow: MakeFlow, store: Store
) -> None:
    """A tool's own process is done and has stored its part; the gateway's part goes on."""
    flow = make_flow(flow_id=f"{7:032x}", start_ns=NOON, conversation_id="c-1")
    flow.start("root", name="POST /ask")
    # More is in the stream than is stored: that is how one knows that the flow goes on.
    flow.step("auth", "root", "auth_check")
    said = {"flow.data.note": SECRET, "flow.data.prompt": SECRET}
    spans = [span(1, None, event_type="tool_call", status="error", status_message=SECRET, attributes=said)]
    await asyncio.to_thread(lambda: store(part(7, spans, **of("s-1", conversation_id="c-1"))))
    # So many others run that an answer does not look at this one.
    others = [make_flow(session_id=f"s-{number}") for number in range(60)]
    for other in others:
        other.start("root")
    paths = (
        "users/7",
        "monitoring/flows/7?limit=200",
        "flows/user/7/sessions?limit=200",
        f"flows/{flow.flow_id}",
        f"flows/{flow.flow_id}/tree",
        "flows/session/s-1",
    )
    assert [path for path in paths if SECRET not in viewer.http.get(f"/api/v1/{path}").text] == []
    searches = (f"q={SECRET.split()[0]}", "outcome=error", "sort=duration&outcome=error")
    assert [counted(viewer, search) for search in searches] == [1, 1, 1]
    watch(viewer)
    for path in (*paths, "conversations/c-1", f"flows/previews?flow_id={flow.flow_id}"):
        response = viewer.http.get(f"/api/v1/{path}")
        assert response.status_code == 200, path
        assert SECRET not in response.text, path
    assert [counted(viewer, search) for search in searches] == [0, 0, 0]
    flow.end("root")
    flow.close()
    # It is over: it is listed again, and still what was said in it is not for those who watch.
    assert SECRET not in viewer.http.get(f"/api/v1/flows/{flow.flow_id}").text
    assert [counted(viewer, search) for search in searches] == [0, 1, 1]
    viewer.post("/api/v1/monitoring/disable/7")
    assert SECRET in viewer.http.get(f"/api/v1/flows/{flow.flow_id}").text
    assert [counted(viewer, search) for search in searches] == [1, 1, 1]


def counted(viewer: RunningViewer, search: str) -> int:
    answer = viewer.get(f"/api/v1/flows?{search}&count=exact")
    assert answer["count"]["kind"] == "exact"
    return int(answer["count"]["value"])


async def test_when_contents_may_be_seen_after_all_everything_is_sent_anew(
    viewer: RunningViewer, running: FlowWriter
) -> None:
    watch(viewer)
    async with following(viewer) as client:
        await client.until_event("end", "tool-1")
        viewer.post("/api/v1/monitoring/enable/7?metadata_only=false", {"reason": "court order"})
        await client.until(lambda: client.of("resync") and client.of("watch"))
        assert client.of("resync")[0]["reason"] == "contents_shown"
        (changed,) = client.of("watch")
        assert changed["metadata_only"] is False
        client.messages.clear()
        await client.until_event("end", "tool-1")
        assert SECRET in told(client)
        # And back again: nothing more of it.
        watch(viewer)
        await client.until(lambda: client.of("watch"))
        client.messages.clear()
        say(running, "tool-2")
        await client.until_event("end", "tool-2")
        assert SECRET not in told(client)


async def test_a_reason_of_ones_own_shows_no_more_than_the_watch(viewer: RunningViewer, running: FlowWriter) -> None:
    watch(viewer)
    async with following(viewer, reason="I want to know") as client:
        await client.until_event("end", "tool-1")
        assert SECRET not in told(client)


async def test_who_follows_a_request_before_anybody_knows_whose_it_is_sees_no_more_either(
    viewer: RunningViewer, make_flow: MakeFlow
) -> None:
    watch(viewer)
    flow = make_flow(None)
    flow.start("root", name="POST /ask")
    async with live(viewer) as client:
        await client.next()
        await client.send(type="subscribe", flow_id=flow.flow_id, reason="whose is it?")
        await client.until_event("start", "root")
        flow.user_id = "7"
        say(flow, "tool-1")
        await client.until_event("end", "tool-1")
        assert SECRET not in told(client)


async def test_where_it_is_the_rule_nobodys_running_flows_are_seen_with_contents(
    make_viewer: MakeViewer, running: FlowWriter
) -> None:
    viewer = make_viewer(monitoring_metadata_only="always")
    assert SECRET not in viewer.http.get(f"/api/v1/flows/{running.flow_id}").text
    async with following(viewer, reason="nobody watches this user") as client:
        await client.until_event("end", "tool-1")
        assert SECRET not in told(client)


async def test_what_is_watched_by_a_row_that_somebody_wrote_is_followed_at_once(
    make_viewer: MakeViewer, running: FlowWriter, postgres_dsn: str
) -> None:
    viewer = make_viewer()
    row = """('monitor_user_7', '{"expires_at": 32472144000, "metadata_only": true}')"""
    insert = f"INSERT INTO omni2.omni2_config (config_key, config_value) VALUES {row}"
    await asyncio.to_thread(script, postgres_dsn, insert)
    watching = viewer.app.state.viewer.watching
    await eventually_async(lambda: watching.watch_of("7") is not None)
    async with following(viewer) as client:
        await client.until_event("end", "tool-1")
        assert SECRET not in told(client)


async def test_nobodys_own_flows_are_kept_from_them_or_they_would_know_that_they_are_watched(
    make_viewer: MakeViewer, running: FlowWriter, tmp_path: Path
) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", VIEWER_7, WATCHMAN)))
    watch(viewer)
    for person, whole in ((VIEWER_7, True), (WATCHMAN, False)):
        response = ask(viewer, person, "GET", f"/api/v1/flows/{running.flow_id}")
        assert (SECRET in response.text) is whole, person.name
        async with following(viewer, connect={"additional_headers": person.bearer}) as client:
            await client.until_event("end", "tool-1")
            assert (SECRET in told(client)) is whole, person.name
        url = f"{viewer.ws}/api/v1/ws/flows/7"
        async with websockets.connect(url, additional_headers=person.bearer) as socket:
            assert (SECRET in str(await socket.recv())) is whole, person.name
