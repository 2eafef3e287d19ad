"""What changes between the moment when somebody asks to follow and the moment when they do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.live_client import BEARER, live
from tests.support.poll import eventually_async
from tests.support.query import script
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def audit_log_held(dsn: str) -> AsyncIterator[None]:
    """Nobody is let in before it has been written down, and meanwhile nothing can be."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE omni2.audit_log IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def waiting_writers(dsn: str, count: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        question = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'omni2.audit_log'::regclass"

        async def enough() -> bool:
            return bool(await connection.fetchval(question) >= count)

        await eventually_async(enough)
    finally:
        await connection.close()


async def test_a_watch_that_ends_while_somebody_is_let_in_lets_them_see_nothing(
    viewer: RunningViewer, make_flow: MakeFlow, postgres_dsn: str
) -> None:
    viewer.post("/api/v1/monitoring/enable/7")
    flow = make_flow()
    flow.start("root")
    watching = viewer.app.state.viewer.watching
    async with live(viewer) as client:
        assert (await client.next())["type"] == "hello"
        async with audit_log_held(postgres_dsn):
            await client.subscribe()
            await waiting_writers(postgres_dsn, 1)
            await asyncio.to_thread(script, postgres_dsn, "UPDATE omni2.omni2_config SET is_active = false")
            await eventually_async(lambda: watching.watch_of("7") is None)
        assert (await client.of_type("unsubscribed"))["reason"] == "disabled"
        flow.start("after")
        await client.send(type="ping")
        await client.of_type("pong")
        assert not client.events()


async def test_event_streams_that_come_at_once_share_the_places_that_there_are(
    make_viewer: MakeViewer, postgres_dsn: str
) -> None:
    viewer = make_viewer(viewer_max_sockets=2)
    viewer.post("/api/v1/monitoring/enable/7")
    async with httpx.AsyncClient(base_url=viewer.origin, headers=BEARER, timeout=10) as http:
        requests = [http.build_request("GET", "/api/v1/live?user_id=7") for _ in range(5)]
        async with audit_log_held(postgres_dsn):
            sending = [asyncio.create_task(http.send(request, stream=True)) for request in requests]
            await waiting_writers(postgres_dsn, 2)
            await eventually_async(lambda: sum(task.done() for task in sending) == 3)
        answers = await asyncio.gather(*sending)
        assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429, 429]
        for answer in answers:
            await answer.aclose()
    await eventually_async(lambda: viewer.app.state.viewer.hub.sockets == 0)


async def test_who_signs_in_by_the_first_message_takes_a_place_like_anybody(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_max_sockets=1)
    late: dict[str, Any] = {"additional_headers": {}}
    async with live(viewer, **late) as one, live(viewer, **late) as two:
        await one.send(type="auth", token=TOKEN)
        assert (await one.next())["type"] == "hello"
        await two.send(type="auth", token=TOKEN)
        assert (await two.next())["code"] == "too_many_sockets"
        await asyncio.wait_for(two.socket.wait_closed(), 5)
        assert two.socket.close_code == 4429


async def test_silent_strangers_keep_nobody_out(viewer: RunningViewer) -> None:
    lobby = viewer.app.state.viewer.hub.lobby
    async with contextlib.AsyncExitStack() as stack:
        strangers = [await stack.enter_async_context(live(viewer, additional_headers={})) for _ in range(50)]
        await eventually_async(lambda: len(lobby) == 50)
        for stranger in strangers[:2]:
            async with live(viewer, additional_headers={}) as known:
                await known.send(type="auth", token=TOKEN)
                assert (await known.next())["type"] == "hello"
            # Whoever said nothing for longest had to go, and may come back.
            assert (await stranger.next())["code"] == "too_many_sockets"
            await asyncio.wait_for(stranger.socket.wait_closed(), 5)
            assert stranger.socket.close_code == 4429
            await stack.enter_async_context(live(viewer, additional_headers={}))
            await eventually_async(lambda: len(lobby) == 50)
        await strangers[2].send(type="auth", token=TOKEN)
        assert (await strangers[2].next())["type"] == "hello"
    await eventually_async(lambda: len(lobby) == 0)


async def test_who_is_let_in_while_the_viewer_stops_is_told_so_at_once(
    make_viewer: MakeViewer, postgres_dsn: str
) -> None:
    viewer = make_viewer()
    viewer.post("/api/v1/monitoring/enable/7")
    hub = viewer.app.state.viewer.hub
    async with httpx.AsyncClient(base_url=viewer.origin, headers=BEARER, timeout=10) as http:
        async with audit_log_held(postgres_dsn):
            request = http.build_request("GET", "/api/v1/live?user_id=7")
            sending = asyncio.create_task(http.send(request, stream=True))
            await waiting_writers(postgres_dsn, 1)
            # As when its other clients have been told already.
            hub.stopping = True
        answer = await sending
        assert '"code":"restarting"' in (await answer.aread()).decode()
