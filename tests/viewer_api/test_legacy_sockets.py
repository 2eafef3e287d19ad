"""The sockets that existing dashboards open: one message per checkpoint, of watched users only."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
import websockets
from dirty_equals import IsFloat
from inline_snapshot import snapshot
from websockets.asyncio.client import ClientConnection

from tests.support.live_client import BEARER
from tests.support.poll import eventually_async
from tests.support.proxy import TcpProxy
from tests.support.query import query
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def opened(viewer: RunningViewer, path: str = "ws/flows/7") -> AsyncIterator[ClientConnection]:
    async with websockets.connect(f"{viewer.ws}/api/v1/{path}", additional_headers=BEARER) as socket:
        yield socket


async def messages(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(8):
        return [orjson.loads(await socket.recv()) for _ in range(count)]


async def silent(socket: ClientConnection, seconds: float = 0.4) -> bool:
    try:
        await asyncio.wait_for(socket.recv(), seconds)
    except TimeoutError:
        return True
    return False


@pytest.fixture
def watched(viewer: RunningViewer) -> RunningViewer:
    viewer.post("/api/v1/monitoring/enable", [7, 8])
    return viewer


async def test_one_message_per_checkpoint_thinking_at_its_start(watched: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    async with opened(watched) as socket:
        flow.start("root")
        flow.step("auth", "root", "auth_check")
        flow.start("llm", "root", "llm_thinking")
        first = await messages(socket, 2)
        assert [(each["event_type"], each["status"]) for each in first] == [
            ("auth_check", "ok"),
            ("llm_thinking", "running"),
        ]
        flow.start("http", "llm")
        flow.step("tool", "http", "tool_call", mcp="qa_mcp", tool="list_snapshots")
        (tool,) = await messages(socket, 1)
        assert tool == snapshot(
            {
                "type": "flow_event",
                "user_id": 7,
                "session_id": "s-1",
                "node_id": "tool",
                "event_type": "tool_call",
                "parent_id": "llm",
                "timestamp": IsFloat(),
                "duration_ms": 1.0,
                "status": "ok",
                "source": "chat",
                "mcp": "qa_mcp",
                "tool": "list_snapshots",
            }
        )
        flow.end("llm", "root", "llm_thinking")
        flow.step("done", "root", "llm_complete", tokens=12)
        flow.end("root")
        assert [each["node_id"] for each in await messages(socket, 1)] == ["done"]
        assert await silent(socket)


async def test_a_request_that_runs_already_is_shown_from_its_beginning(
    watched: RunningViewer, make_flow: MakeFlow
) -> None:
    flow = make_flow()
    for number in range(1100):
        flow.step(f"n{number}", None, "tool_call")
    async with opened(watched) as socket:
        nodes = [each["node_id"] for each in await messages(socket, 1100)]
        assert sorted(nodes) == sorted(f"n{number}" for number in range(1100))
        flow.step("next", None, "tool_call")
        assert [each["node_id"] for each in await messages(socket, 1)] == ["next"]


async def test_nothing_is_said_of_who_is_not_watched_until_they_are(
    viewer: RunningViewer, make_flow: MakeFlow, postgres_dsn: str
) -> None:
    flow = make_flow(watched=False)
    flow.step("before", None, "tool_call")
    async with opened(viewer) as socket:
        assert await silent(socket)
        looks = "SELECT reason FROM omni2.audit_log WHERE action = 'live_opened'"
        assert await asyncio.to_thread(query, postgres_dsn, looks) == []
        await asyncio.to_thread(viewer.post, "/api/v1/monitoring/enable/7", {"reason": "ticket"})
        assert [each["node_id"] for each in await messages(socket, 1)] == ["before"]
        assert await asyncio.to_thread(query, postgres_dsn, looks) == [{"reason": "ticket"}]
        await asyncio.to_thread(viewer.post, "/api/v1/monitoring/disable/7")
        flow.step("after", None, "tool_call")
        assert await silent(socket, 1.5)
        await socket.ping()


async def test_one_socket_for_everybody_who_is_watched_with_filters(
    watched: RunningViewer, make_flow: MakeFlow
) -> None:
    seven, eight, nine = make_flow("7"), make_flow("8"), make_flow("9", watched=False)
    async with opened(watched, "ws") as socket:
        for flow in (seven, eight, nine):
            flow.step(f"a{flow.user_id}", None, "auth_check")
        assert {each["user_id"] for each in await messages(socket, 2)} == {7, 8}
        await asyncio.to_thread(watched.post, "/api/v1/monitoring/enable/9")
        assert [each["node_id"] for each in await messages(socket, 1)] == ["a9"]
        await socket.send('{"action": "subscribe", "user_ids": [8, "9"], "event_types": ["tool_call"]}')
        await eventually_async(lambda: watched.app.state.viewer.hub.feeds() == 2)
        for flow in (seven, eight, nine):
            flow.step(f"b{flow.user_id}", None, "auth_check")
            flow.step(f"c{flow.user_id}", None, "tool_call")
        assert {each["node_id"] for each in await messages(socket, 2)} == {"c8", "c9"}
        await socket.send("hello?")
        await socket.send('{"action": "subscribe"}')
        assert {each["user_id"] for each in await messages(socket, 2)} == {7}


async def test_no_gap_and_no_duplicate_over_cut_lines(
    make_viewer: MakeViewer, make_flow: MakeFlow, proxy: Callable[[str], TcpProxy], redis_url: str
) -> None:
    line = proxy(redis_url)
    viewer = make_viewer(url=line.url)
    viewer.post("/api/v1/monitoring/enable/7")
    flow = make_flow()
    async with opened(viewer) as socket:
        for round_ in range(4):
            for number in range(20):
                flow.step(f"{round_}-{number}", None, "tool_call")
                if number == 10:
                    await asyncio.to_thread(line.drop_connections if round_ % 2 else line.cut)
            await asyncio.to_thread(line.restore)
        got = [each["node_id"] for each in await messages(socket, 80)]
        assert got == [f"{round_}-{number}" for round_ in range(4) for number in range(20)]
        assert await silent(socket)


async def test_sockets_that_come_and_go_leave_nothing_behind(
    watched: RunningViewer, make_flow: MakeFlow, caplog: pytest.LogCaptureFixture
) -> None:
    flow = make_flow()

    async def visit(number: int) -> None:
        path = ("ws/flows/7", "ws", "live")[number % 3]
        async with opened(watched, path) as socket:
            if path == "live":
                await socket.send('{"type": "subscribe", "user_id": 7}')
            if number % 2:
                await asyncio.wait_for(socket.recv(), 5)
                # Gone without a word, in the middle of the stream.
                socket.transport.abort()

    async def write() -> None:
        for number in range(120):
            flow.step(f"n{number}", None, "tool_call")
            await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for number in range(30):
            group.create_task(visit(number))
    hub = watched.app.state.viewer.hub
    await eventually_async(lambda: hub.sockets == 0 and hub.feeds() == 0)
    assert hub.state_listeners == set()
    assert len(hub.watching.listeners) == 1
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []
    assert "websocket.send" not in caplog.text


async def test_a_viewer_that_stops_closes_its_sockets(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_max_sockets=1)
    async with opened(viewer, "live") as first:
        await asyncio.wait_for(first.recv(), 5)
        async with opened(viewer, "live") as second:
            assert orjson.loads(await asyncio.wait_for(second.recv(), 5))["code"] == "too_many_sockets"
            await asyncio.wait_for(second.wait_closed(), 5)
            assert second.close_code == 4429
    await eventually_async(lambda: viewer.app.state.viewer.hub.sockets == 0)


async def test_a_client_that_does_not_answer_is_let_go(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_heartbeat_seconds=0.2)
    async with opened(viewer, "live") as socket:
        kinds = []
        with contextlib.suppress(websockets.ConnectionClosed):
            async with asyncio.timeout(5):
                while True:
                    kinds.append(orjson.loads(await socket.recv())["type"])
        assert kinds[:2] == ["hello", "ping"]
        assert kinds[-1] == "closing"
        assert socket.close_code == 4408


async def test_messages_that_make_no_sense_are_answered_or_end_the_socket(viewer: RunningViewer) -> None:
    async with opened(viewer, "live") as socket:
        await messages(socket, 1)
        for text, code in {
            '{"type": "dance"}': "unknown_type",
            "{}": "unknown_type",
            '{"type": "subscribe"}': "invalid_request",
            '{"type": "subscribe", "user_id": "a/b"}': "invalid_id",
            '{"type": "subscribe", "user_id": 1.5}': "invalid_id",
            '{"type": "subscribe", "user_id": 7}': "reason_required",
            '{"type": "subscribe", "user_id": 7, "reason": "\\u0000 "}': "reason_required",
        }.items():
            await socket.send(text)
            (answer,) = await messages(socket, 1)
            assert (answer["type"], answer["code"]) == ("error", code), text
        await socket.send("no json")
        assert (await messages(socket, 1))[0]["code"] == "not_understood"
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code == 4400


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/api/v1/ws", "/api/v1/ws/flows/7", "/legacy/api/v1/ws"])
async def test_a_token_in_the_address_is_refused_at_once_and_says_what_to_do(viewer: RunningViewer, path: str) -> None:
    async with websockets.connect(f"{viewer.ws}{path}?token={TOKEN}") as socket:
        async with asyncio.timeout(3):
            told = orjson.loads(await socket.recv())
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
    assert (told["code"], "Authorization" in told["detail"]) == ("token_in_address", True)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "token_in_address")
    # Who is known by other means gets in all the same.
    async with websockets.connect(f"{viewer.ws}{path}?token=old", additional_headers=BEARER) as socket:
        await socket.ping()
