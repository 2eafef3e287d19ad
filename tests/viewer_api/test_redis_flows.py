"""Reading running flows from Redis."""

import pytest

from spanflow.span_processors.redis.redis_client import async_client
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.store.redis_flows import Entry, RedisFlows
from tests.viewer_api.conftest import MakeFlow

pytestmark = pytest.mark.anyio


class Counting(RedisFlows):
    """Counts round trips, and the streams that each asks for."""

    def __init__(self, settings: ViewerSettings) -> None:
        self.connection = async_client(settings)
        super().__init__(self.connection)
        self.asked: list[int] = []

    async def pages(self, after: dict[str, str], until: dict[str, str] | None = None) -> dict[str, list[Entry]]:
        self.asked.append(len(after))
        return await super().pages(after, until)


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
