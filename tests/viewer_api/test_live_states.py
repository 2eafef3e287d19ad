"""What is open says honestly how it is: slow beyond what is usual, stalled without news, lost with its process."""

import asyncio
import time

import pytest
from dirty_equals import IsPositiveInt
from inline_snapshot import snapshot

from spanflow.viewer_api.statistics.histogram import bucket_of, packed
from tests.support.flow_parts import MS, part, span
from tests.support.live_client import following, live
from tests.support.poll import eventually_async
from tests.support.query import script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store

pytestmark = pytest.mark.anyio
S = 1_000_000_000


@pytest.fixture
def experienced(store: Store, make_viewer: MakeViewer) -> RunningViewer:
    """A viewer that has seen thirty calls of one tool, each a little longer than the one before."""
    calls = [span(10 * number + 1, 10 * number, event_type="tool_call", name="list") for number in range(1, 31)]
    for number, call in enumerate(calls):
        call["end_ns"] = str(int(call["start_ns"]) + (number + 1) * 10 * MS)
    # A tracker tells of each call too, as a moment without a duration.
    told = [
        span(10 * number + 2, 10 * number, event_type="tool_call", name="list", attributes={"flow.reported": True})
        for number in range(1, 31)
    ]
    for moment in told:
        moment["end_ns"] = moment["start_ns"]
    flows = [
        part(number, [span(10 * number, name="ask"), call, moment])
        for number, (call, moment) in enumerate(zip(calls, told, strict=True), 1)
    ]
    store(*flows)
    viewer = make_viewer()
    viewer.post("/api/v1/monitoring/enable/7", {"reason": "ticket"})
    return viewer


async def test_a_step_that_takes_longer_than_usual_is_slow(experienced: RunningViewer, make_flow: MakeFlow) -> None:
    hub = experienced.app.state.viewer.hub
    await eventually_async(lambda: hub.feed_context.usual_p95_ns())
    flow = make_flow(start_ns=time.time_ns() - 10 * S)
    flow.beat()
    async with following(experienced) as client:
        flow.start("root", name="something new")
        flow.start("tool", "root", "tool_call", name="list")
        flow.start("other", "root", "tool_call", name="never seen")
        await client.until(lambda: client.of("states"))
        async with live(experienced) as newcomer:
            await newcomer.send(type="subscribe", flow_id=flow.flow_id)
            await newcomer.until(lambda: newcomer.of("states"))
        flow.end("tool", "root", "tool_call", name="list")
        await client.until(lambda: len(client.of("states")) == 2)
    assert client.of("usual") == snapshot(
        [{"type": "usual", "user_id": 7, "p95_ns": {"tool_call:list": 290000000}, "percentiles_ns": {}}]
    )
    slow, normal = client.of("states")
    assert (slow["flow_id"], slow["state"], slow["nodes"]) == (flow.flow_id, "slow", {"tool": "slow"})
    assert (normal["state"], normal["nodes"]) == ("running", {})
    assert newcomer.of("usual")[0]["p95_ns"] == {"tool_call:list": IsPositiveInt()}
    assert newcomer.of("states")[0]["nodes"] == {"tool": "slow"}


async def test_a_running_step_can_be_placed_among_its_kind(
    postgres_dsn: str, make_viewer: MakeViewer, make_flow: MakeFlow
) -> None:
    """A hundred calls of the last hours, of 1 to 100 ms: the percentiles are within the error of a histogram."""
    buckets: dict[int, int] = {}
    for ms in range(1, 101):
        bucket = bucket_of(ms * MS)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    await asyncio.to_thread(
        script,
        postgres_dsn,
        # As the job writes them: when six hours are over, they are read together.
        "INSERT INTO omni2.step_statistics "
        "SELECT seconds, date_bin(seconds * interval '1 second', now() - interval '2 hours', 'epoch'), "
        f"'tool_call', 'list', '', '', '', 'ok', 100, 100, 1, 1, 0, 0, NULL, {packed(buckets)} "
        "FROM unnest(ARRAY[3600, 21600]) AS seconds",
    )
    viewer = make_viewer()
    viewer.post("/api/v1/monitoring/enable/7", {"reason": "ticket"})
    await eventually_async(lambda: viewer.app.state.viewer.hub.feed_context.usual_p95_ns())
    flow = make_flow()
    flow.beat()
    async with following(viewer) as client:
        flow.start("tool", None, "tool_call", name="list")
        await client.until(lambda: client.of("usual"))
    (told,) = client.of("usual")
    found = told["percentiles_ns"]["tool_call:list"]
    assert list(found) == ["50", "75", "90", "95", "99"]
    assert all(abs(ns / MS / int(share) - 1) <= 0.022 for share, ns in found.items()), found
    assert found["95"] == told["p95_ns"]["tool_call:list"]


async def test_without_news_a_step_is_stalled_and_without_its_process_it_is_lost(
    viewer: RunningViewer, make_flow: MakeFlow
) -> None:
    viewer.post("/api/v1/monitoring/enable/7", {"reason": "ticket"})
    flow = make_flow(start_ns=time.time_ns() - 100 * S)
    flow.beat()
    async with following(viewer) as client:
        flow.start("root")
        await client.until(lambda: client.of("states"))
        flow.die()
        await client.until(lambda: len(client.of("states")) == 2)
        flow.beat()
        flow.write({"v": 1, "phase": "update", "node_id": "root", "updated_ns": str(time.time_ns()), "process": "p-1"})
        await client.until(lambda: len(client.of("states")) == 3)
    said = [(message["state"], message["nodes"]) for message in client.of("states")]
    assert said == [("stalled", {"root": "stalled"}), ("lost", {"root": "lost"}), ("running", {"root": "running"})]
