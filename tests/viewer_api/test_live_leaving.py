"""How live connections end: clients that do not read, viewers that stop, nothing left behind."""

import asyncio
import contextlib
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import websockets

from tests.support.live_client import following, live
from tests.support.poll import eventually_async
from tests.support.viewer_server import TOKEN, RunningViewer, running_viewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer

pytestmark = pytest.mark.anyio
MB = 1024 * 1024


def little_room(viewer: RunningViewer) -> socket.socket:
    """A connection on which the viewer soon feels that nobody reads."""
    host, _, port = viewer.address.partition(":")
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    line.connect((host, int(port)))
    line.setblocking(False)
    return line


async def test_a_client_that_never_reads_is_dropped_and_holds_up_nobody(
    make_viewer: MakeViewer, make_flow: MakeFlow
) -> None:
    """It even answers heartbeats: what counts is that it takes nothing."""
    viewer = make_viewer(viewer_heartbeat_seconds=1.5, viewer_client_queue_bytes=2 * MB)
    viewer.post("/api/v1/monitoring/enable/7")
    hub = viewer.app.state.viewer.hub
    flow = make_flow()

    def write() -> None:
        for number in range(300):
            flow.start(f"n{number}", attributes={"text": "x" * 100_000})

    reads_nothing: dict[str, Any] = {"sock": little_room(viewer), "max_queue": 1, "close_timeout": 0.1}
    async with following(viewer) as quick, following(viewer, connect=reads_nothing) as stuck:

        async def answer_for_ever() -> None:
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await stuck.send(type="pong")
                    await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            answering = group.create_task(answer_for_ever())
            # It goes on answering heartbeats as well, until the other one is gone.
            reading = group.create_task(quick.until(lambda: False, within=60))
            group.create_task(asyncio.to_thread(write))
            await eventually_async(lambda: len(quick.nodes()) == 300, within=20)
            await eventually_async(lambda: hub.subscriptions() == 1 and hub.sockets == 1, within=15)
            answering.cancel()
            reading.cancel()
        await quick.send(type="ping")
        await quick.of_type("pong")
        with pytest.raises(websockets.ConnectionClosedError) as dropped:
            while True:
                await stuck.socket.recv()
        # Not for want of an answer: then the viewer says so.
        assert dropped.value.rcvd is None


async def test_an_event_stream_that_nobody_reads_is_dropped_too(make_viewer: MakeViewer, make_flow: MakeFlow) -> None:
    viewer = make_viewer(viewer_heartbeat_seconds=0.5, viewer_client_queue_bytes=2 * MB)
    viewer.post("/api/v1/monitoring/enable/7")
    hub = viewer.app.state.viewer.hub
    flow = make_flow()
    with little_room(viewer) as line:
        request = f"GET /api/v1/live?user_id=7 HTTP/1.1\r\nHost: viewer\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(line, request.encode())
        await eventually_async(lambda: hub.subscriptions() == 1)

        def write() -> None:
            for number in range(100):
                flow.start(f"n{number}", attributes={"text": "x" * 100_000})

        await asyncio.to_thread(write)
        await eventually_async(lambda: hub.sockets == 0 and hub.feeds() == 0, within=10)

        async def everything() -> bytes:
            found = b""
            while chunk := await asyncio.get_running_loop().sock_recv(line, MB):
                found += chunk
            return found

        assert not (await everything()).endswith(b"0\r\n\r\n"), "it was ended in good order"


async def test_a_viewer_that_stops_tells_every_client_where_it_is(
    postgres_dsn: str, redis_url: str, tmp_path: Path, make_flow: MakeFlow
) -> None:
    flow = make_flow()
    flow.start("root")
    with ExitStack() as stopping:
        viewer = stopping.enter_context(running_viewer(postgres_dsn, redis_url, tmp_path))
        viewer.post("/api/v1/monitoring/enable/7")
        reading = await asyncio.create_subprocess_exec(
            *("curl", "-sN", "-H", f"Authorization: Bearer {TOKEN}", f"{viewer.origin}/api/v1/live?user_id=7"),
            stdout=asyncio.subprocess.PIPE,
        )
        async with live(viewer) as client, websockets_of_old_dashboard(viewer) as old:
            await client.send(type="subscribe", user_id=7, flow_id=flow.flow_id)
            await client.until_events(2)
            await client.send(type="ping")
            await client.of_type("pong")
            await eventually_async(lambda: viewer.app.state.viewer.hub.subscriptions() == 4)
            began = time.monotonic()
            stopped = asyncio.create_task(asyncio.to_thread(stopping.close))
            said = await client.of_type("closing")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await old.recv()
            await stopped
            assert time.monotonic() - began < 5
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    assert said["code"] == "restarting"
    cursors = {next(iter(topic)): topic["cursor"] for topic in said["cursors"]}
    assert cursors.keys() == {"user_id", "flow_id"}
    output = (await reading.communicate())[0].decode()
    last = orjson.loads(output.rstrip().splitlines()[-1].removeprefix("data: "))
    assert (last["type"], last["code"]) == ("closing", "restarting")
    # Another viewer goes on from there.
    flow.end("root")
    with running_viewer(postgres_dsn, redis_url, tmp_path) as another:
        async with following(another, 7, cursor=cursors["user_id"]) as client:
            await client.until_event("end", "root")
        assert client.events() == [("end", "root")]


@contextlib.asynccontextmanager
async def websockets_of_old_dashboard(viewer: RunningViewer) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with websockets.connect(f"{viewer.ws}/api/v1/ws/flows/7", additional_headers=headers) as socket:
        yield socket


async def test_a_stopping_viewer_waits_for_nobody(
    postgres_dsn: str, redis_url: str, tmp_path: Path, make_flow: MakeFlow
) -> None:
    """A client that reads nothing, one that has gone without a word, and news without end."""
    flow = make_flow()
    with ExitStack() as stopping:
        viewer = stopping.enter_context(running_viewer(postgres_dsn, redis_url, tmp_path))
        viewer.post("/api/v1/monitoring/enable/7")
        reads_nothing: dict[str, Any] = {"sock": little_room(viewer), "max_queue": 1, "close_timeout": 0.1}
        slow: dict[str, Any] = {"close_timeout": 0.1}
        async with following(viewer, connect=reads_nothing), following(viewer, connect=slow):

            def write() -> None:
                for number in range(100):
                    flow.start(f"n{number}", attributes={"text": "x" * 100_000})

            await asyncio.to_thread(write)
            began = time.monotonic()
            await asyncio.to_thread(stopping.close)
            assert time.monotonic() - began < 6
    hub = viewer.app.state.viewer.hub
    assert (hub.sockets, hub.feeds(), hub.subscriptions()) == (0, 0, 0)


async def test_sockets_that_come_and_go_leave_nothing(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    viewer.post("/api/v1/monitoring/enable/7")
    hub = viewer.app.state.viewer.hub
    flow = make_flow()

    async def visit(number: int) -> None:
        async with live(viewer) as client:
            await client.subscribe()
            if number % 3:
                await client.until_events(1)
            if number % 2:
                client.socket.transport.abort()

    flow.start("root")
    await asyncio.gather(*(visit(number) for number in range(40)))
    await eventually_async(lambda: hub.sockets == 0 and hub.feeds() == 0)
    assert not hub.goodbyes and not hub.state_listeners
