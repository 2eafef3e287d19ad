"""Running flows of users who are watched without contents: pages show of them what live sockets show, and no more."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.tree import flow_data
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.monitoring.watching import Watching
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS, RedisFlows


@dataclass(frozen=True, slots=True)
class Withheld:
    """For one request. Nobody's own flows are kept from them; they would learn that somebody watches."""

    watching: Watching
    metadata: Metadata
    principal: Principal

    def of(self, user_id: str | None) -> bool:
        """Whether of this user's running flows only metadata may be seen."""
        if user_id is not None and user_id == self.principal.user_id:
            return False
        return self.watching.withholds(user_id)

    def running(self, flow: Flow) -> Flow:
        """A flow that is not over yet, as it may be seen."""
        if not self.of(flow.user_id):
            return flow
        events = [self.metadata.event(entry) for entry in flow_data.read(flow.document).entries()]
        return replace(flow, document={**flow.document, "events": events}, withheld=True)

    def anybody(self) -> bool:
        """Whether there may be such users at all."""
        return self.watching.withholds_any()

    async def past(self, rows: Sequence[Row], redis: RedisFlows) -> list[Row]:
        """Stored rows without those of flows that still run and are kept to metadata.

        A part of such a flow may be stored already: another process was done with it, or it was idle for long. Its
        summary has words of its own, and a search that finds it tells what is in it.
        """
        withheld = [row["flow_id"] for row in rows if self.of(row["user_id"])]
        if not withheld:
            return list(rows)
        try:
            running = await redis.open_among(withheld)
        except REDIS_ERRORS:
            # Nobody can say any more what runs: then what is stored is the past.
            return list(rows)
        return [row for row in rows if row["flow_id"] not in running]
