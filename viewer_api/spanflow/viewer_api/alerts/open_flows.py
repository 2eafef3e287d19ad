"""Flows that still run, by how long ago they began."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from spanflow.viewer_api.alerts.measures import RunningFlow
from spanflow.viewer_api.clock import moment
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS, Entry, RedisFlows
from spanflow.viewer_api.store.stream_id import stream_key

#: Open flows that are looked at, those with the oldest news first.
_MAX_OPEN: Final = 20_000
#: Of flows that began so long ago, so many are read whole.
_MAX_READ: Final = 50
#: Clocks of gateways and Redis may differ by so much.
_CLOCKS: Final = timedelta(seconds=60)

#: Which of these open flows match, and when each began, by what is known of them.
Matching = Callable[[Sequence[str], Filters, datetime], Awaitable[Sequence[tuple[str, datetime]]]]


class OpenFlowIndex:
    """Remembers when open flows began, so that each is asked about once. Bounded by the open flows."""

    def __init__(self, redis: RedisFlows, matching: Matching) -> None:
        self._redis = redis
        self._matching = matching
        self._began: dict[str, datetime] = {}

    async def older_than(self, seconds: float, filters: Filters, now: datetime) -> Sequence[RunningFlow]:
        latest = now - timedelta(seconds=seconds)
        began = await self._all_open()
        old = sorted((at, flow_id) for flow_id, at in began.items() if at <= latest + _CLOCKS)
        older: list[RunningFlow] = []
        for first in range(0, len(old), _MAX_READ):
            some = [flow_id for _, flow_id in old[first : first + _MAX_READ]]
            matching = await self._matching(some, filters, now)
            older += [RunningFlow(flow_id, at) for flow_id, at in matching if at <= latest]
            if older:
                # The oldest are enough: the value is that of the first.
                break
        return sorted(older, key=lambda flow: (flow.started_at, flow.flow_id))

    async def any(self, filters: Filters, now: datetime) -> bool:
        flow_ids = list(await self._all_open())
        for first in range(0, len(flow_ids), _MAX_READ):
            if await self._matching(flow_ids[first : first + _MAX_READ], filters, now):
                return True
        return False

    async def _all_open(self) -> dict[str, datetime]:
        try:
            flow_ids = await self._redis.longest_silent(_MAX_OPEN)
            unknown = [flow_id for flow_id in flow_ids if flow_id not in self._began]
            entries = await self._redis.first_entries(unknown)
        except REDIS_ERRORS as why:
            raise Problem(503, "redis_unavailable", "Redis cannot be reached.") from why
        began = {flow_id: self._began[flow_id] for flow_id in flow_ids if flow_id in self._began}
        began |= {flow_id: _began(entry) for flow_id, entry in entries.items()}
        self._began = began
        return began


def _began(entry: Entry) -> datetime:
    """By the gateway's clock or by that of Redis, whichever is earlier: a stream may be written later than it began."""
    milliseconds, _ = stream_key(entry.id)
    started = (entry.event or {}).get("start_ns")
    if isinstance(started, str) and started.isdecimal():
        milliseconds = min(milliseconds, int(started) // 1_000_000)
    return moment(milliseconds / 1000) or datetime.fromtimestamp(0, UTC)
