"""Which open flows match filters: for what looks at flows without a person who asks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from spanflow.viewer_api.auth.permissions import Principal, Role, Via
from spanflow.viewer_api.flows.flow_reader import FlowReader
from spanflow.viewer_api.flows.running_flows import belongs, summed_up
from spanflow.viewer_api.flows.withheld import Withheld
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.flows import FlowStore
from spanflow.viewer_api.store.redis_flows import RedisFlows

#: Only ids leave it.
SYSTEM: Final = Principal("spanflow", Via.TOKEN, Role.ADMIN)


class MatchingFlows:
    def __init__(self, store: FlowStore, redis: RedisFlows, withheld: Withheld) -> None:
        self._store = store
        self._redis = redis
        self._withheld = withheld

    async def __call__(self, flow_ids: Sequence[str], filters: Filters, now: datetime) -> list[tuple[str, datetime]]:
        """Their ids, and when each began."""
        reader = FlowReader(self._store, self._redis, None, self._withheld)
        flows = await reader.running_among(flow_ids)
        if reader.without_running:
            raise Problem(503, "redis_unavailable", "Redis cannot be reached.")
        return [
            (flow.flow_id, flow.created_at or now)
            for flow in flows
            if flow.open and belongs(summed_up(flow), filters, now)
        ]
