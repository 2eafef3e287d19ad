"""Live data while servers are away, and how soon it is back."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from spanflow.viewer_api.live.bells import Bells
from tests.support.live_client import following
from tests.support.poll import eventually_async
from tests.support.proxy import TcpProxy
from tests.viewer_api.conftest import MakeFlow, MakeViewer

pytestmark = pytest.mark.anyio
Proxy = Callable[[str], TcpProxy]


@pytest.mark.parametrize("how", ["cut", pytest.param("half_open", marks=pytest.mark.long)])
async def test_live_data_is_back_soon_after_both_servers_were_away(
    how: str,
    make_viewer: MakeViewer,
    make_flow: MakeFlow,
    proxy: Proxy,
    redis_url: str,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = 0
    listen = Bells._listen

    async def counted(bells: Bells) -> None:
        nonlocal tries
        tries += 1
        await listen(bells)

    monkeypatch.setattr(Bells, "_listen", counted)
    to_redis, to_postgres = proxy(redis_url), proxy(postgres_dsn)
    viewer = make_viewer(dsn=to_postgres.url, url=to_redis.url, redis_timeout=0.5)
    viewer.post("/api/v1/monitoring/enable/7")
    flow = make_flow()
    async with following(viewer) as client:
        for line in (to_redis, to_postgres):
            await asyncio.to_thread(getattr(line, how))
        await client.until(lambda: client.of("state"), within=10)
        flow.start("meanwhile")
        # Until the pauses between two tries are the longest.
        before = tries
        await eventually_async(lambda: tries >= before + 5, within=30)
        for line in (to_redis, to_postgres):
            await asyncio.to_thread(line.restore)
        back = time.monotonic()
        await client.until_event("start", "meanwhile")
        assert time.monotonic() - back < 3
        assert [message["redis"] for message in client.of("state")][0] == "down"


async def test_without_postgres_live_data_goes_on(
    make_viewer: MakeViewer, make_flow: MakeFlow, proxy: Proxy, postgres_dsn: str
) -> None:
    line = proxy(postgres_dsn)
    viewer = make_viewer(dsn=line.url)
    viewer.post("/api/v1/monitoring/enable/7")
    flow = make_flow()
    flow.start("before")
    async with following(viewer) as client:
        await client.until(lambda: client.cursor and client.events())
        await asyncio.to_thread(line.cut)
        flow.start("without")
        await client.until_event("start", "without")
        # Who looks again within a minute has been written down already.
        async with following(viewer, cursor=client.cursor) as again:
            flow.end("without")
            await again.until_event("end", "without")
        assert not client.of("closing")


async def test_a_client_library_that_stumbles_is_started_again_at_once() -> None:
    class Stumbling:
        tries = 0

        def pubsub(self) -> Any:
            self.tries += 1
            raise AttributeError("'NoneType' object has no attribute 'read'")

    client: Any = Stumbling()
    bells = Bells(client, on_bell=lambda *_: None, on_announcement=lambda: None, on_state=lambda _: None)
    task = asyncio.create_task(bells.run())
    await eventually_async(lambda: client.tries >= 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
