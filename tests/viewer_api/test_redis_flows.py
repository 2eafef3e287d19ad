"""Reading running flows from Redis."""

import pytest
import redis

from spanflow.span_processors import names
from spanflow.span_processors.redis.redis_client import async_client
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.store.redis_flows import Entry, RedisFlows
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow


class Counting(RedisFlows):
    """Counts round trips, and the streams that each asks for."""

    def __init__(self, settings: ViewerSettings) -> None:
        self.connection = async_client(settings)
        super().__init__(self.connection)
        self.asked: list[int] = []

    async def pages(self, after: dict[str, str], until: dict[str, str] | None = None) -> dict[str, list[Entry]]:
        self.asked.append(len(after))
        return await super().pages(after, until)


@pytest.mark.anyio
async def test_many_running_flows_are_read_in_a_few_round_trips_of_bearable_size(
    redis_url: str, make_flow: MakeFlow
) -> None:
    flows = [make_flow() for _ in range(100)]
    for number, flow in enumerate(flows):
        for step in range(1100 if number == 50 else 2):
            flow.start(f"n{step}")
    redis_flows = Counting(ViewerSettings(redis_url=redis_url))
    try:
        found = await redis_flows.reduced_all([flow.flow_id for flow in flows])
        assert list(found) == [flow.flow_id for flow in flows]
        assert [len(reducer) for reducer in found.values()] == [1100 if number == 50 else 2 for number in range(100)]
        assert redis_flows.asked == [40, 40, 1, 1, 20]
    finally:
        await redis_flows.connection.aclose()


FOREIGN = (b"\xff\xfebad", b"", b"a/b", b"{x}", b"x" * 200, b"a\x00b")


def test_what_is_no_flow_costs_no_list_its_flows(viewer: RunningViewer, make_flow: MakeFlow, redis_url: str) -> None:
    flow = make_flow(session_id="s-1", conversation_id="c-1")
    flow.start("root", name="POST /ask")
    with redis.Redis.from_url(redis_url) as client:
        for index in (
            names.OPEN_FLOWS,
            names.user_flows("7"),
            names.session_flows("s-1"),
            names.conversation_flows("c-1"),
        ):
            client.zadd(index, {foreign: 4e9 for foreign in FOREIGN} | {b"text": 4e9})
        client.zadd(names.OPEN_FLOWS, {b"text": 4e9})
        client.set(names.flow_stream("text"), "no stream")
        client.xadd(names.flow_stream(flow.flow_id), {names.STREAM_FIELD: b"\xff\xfe"})
    for path in ("/flows", "/flows?user_id=7", "/flows?session_id=s-1", "/flows?conversation_id=c-1"):
        assert [found["flow_id"] for found in viewer.get(f"/api/v1{path}")["flows"]] == [flow.flow_id], path
    assert [found["flow_id"] for found in viewer.get("/api/v1/monitoring/flows/7")["flows"]] == [flow.flow_id]
    assert viewer.get("/api/v1/monitoring/flows/session/s-1")["session_id"] == "s-1"
    assert viewer.get(f"/api/v1/flows/{flow.flow_id}/tree")["open"] is True
    assert viewer.http.get("/api/v1/flows/text/tree").status_code == 404
    assert "spanflow_viewer_redis_foreign_entries_total 0.0" not in viewer.http.get("/metrics").text
