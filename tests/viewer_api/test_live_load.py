"""Five hundred sockets and ten thousand events a second, beside a client that reads nothing."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, encode
from tests.support.live_client import following
from tests.support.live_watchers import until_all_have, watching
from tests.support.poll import eventually_async
from tests.support.viewer_server import TOKEN
from tests.viewer_api.conftest import MakeViewer

pytestmark = [pytest.mark.anyio, pytest.mark.long]
MANY: dict[str, Any] = {"viewer_max_sockets": 600, "viewer_sockets_per_person": 600}
MB = 1024 * 1024


def write_steadily(url: str, events_per_s: int, seconds: int) -> int:
    """Ten flows of user 7, all of them rung every hundredth of a second."""
    client: Any = redis.Redis.from_url(url)
    flow_ids = [f"{number:032x}" for number in range(1, 11)]
    now = time.time()
    client.zadd(names.OPEN_FLOWS, dict.fromkeys(flow_ids, now))
    client.zadd(names.user_flows("7"), dict.fromkeys(flow_ids, now))
    due, written = time.monotonic(), 0
    for batch in range(seconds * 100):
        pipe = client.pipeline(transaction=False)
        for number in range(events_per_s // 100):
            flow_id = flow_ids[number % len(flow_ids)]
            event: Event = {"v": 1, "phase": "start", "node_id": f"{batch}-{number}", "name": "step", "process": "p"}
            pipe.xadd(names.flow_stream(flow_id), {names.STREAM_FIELD: encode(event)}, maxlen=10_000)
            written += 1
        for flow_id in flow_ids:
            pipe.publish(names.flow_bell("7"), flow_id)
        pipe.execute()
        due += 0.01
        time.sleep(max(due - time.monotonic(), 0))
    client.close()
    return written


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def test_ten_thousand_events_a_second_reach_everybody_in_order(make_viewer: MakeViewer, redis_url: str) -> None:
    viewer = make_viewer(viewer_heartbeat_seconds=1.0, viewer_client_queue_bytes=4 * MB, **MANY)
    viewer.post("/api/v1/monitoring/enable/7")
    async with following(viewer) as one, following(viewer) as two, watching(viewer.address, 1, TOKEN, "7", reads=False):
        before = resident()
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(asyncio.to_thread(write_steadily, redis_url, 10_000, 3))
            for client in (one, two):
                group.create_task(client.until_events(30_000, within=60))
        assert writing.result() == 30_000
        for client in (one, two):
            nodes = [node for _, node in client.events()]
            assert len(nodes) == len(set(nodes)) == 30_000
            assert not client.of("resync")
        # The events themselves are in this process as well, twice.
        assert resident() - before < 600 * MB
        # Neither did it hold up anybody, nor is it there any more.
        await eventually_async(lambda: viewer.app.state.viewer.hub.sockets == 2, within=15)


async def test_five_hundred_sockets_get_everything(make_viewer: MakeViewer, redis_url: str) -> None:
    viewer = make_viewer(viewer_heartbeat_seconds=60.0, **MANY)
    viewer.post("/api/v1/monitoring/enable/7")
    hub = viewer.app.state.viewer.hub
    async with watching(viewer.address, 500, TOKEN, "7") as watchers:
        await eventually_async(lambda: hub.subscriptions() == 500, within=20)
        assert hub.feeds() == 1
        written = await asyncio.to_thread(write_steadily, redis_url, 1000, 3)
        await until_all_have(watchers, written)
        assert {watcher.events for watcher in watchers} == {written}
    await eventually_async(lambda: hub.sockets == 0 and hub.feeds() == 0, within=20)
