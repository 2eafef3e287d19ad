"""Services, their operations and their calls, for Jaeger's clients: of flows that have ended.

Those of all users are precomputed. For a client with limited scope they are read from the newest flows it may see.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.statistics.counted import Counted, Source
from spanflow.viewer_api.statistics.counting_sql import OTHER
from spanflow.viewer_api.statistics.direct import DirectStatistics, narrowed
from spanflow.viewer_api.statistics.periods import aligned
from spanflow.viewer_api.statistics.services import Call, Operation, read_call, read_operation
from spanflow.viewer_api.statistics.stored import StoredStatistics
from spanflow.viewer_api.statistics.tally import OPERATION, SERVICE_CALL
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.viewer import Viewer

#: Services that were last seen before this are forgotten.
REMEMBERED: Final = timedelta(days=30)
#: Flows that are read for a client with limited scope.
MOST_READ: Final = 500


class ServiceCatalog:
    """For one request."""

    def __init__(self, viewer: Viewer, principal: Principal) -> None:
        self._viewer = viewer
        self._principal = principal

    async def services(self) -> list[str]:
        return sorted({operation.service for operation in await self._operations()})

    async def span_names(self) -> list[str]:
        """Those of all services."""
        return sorted({operation.name for operation in await self._operations()})

    async def operations(self, service: str, kind: str | None) -> list[Operation]:
        """By name; of one span kind only, where one is given."""
        matching = {each for each in await self._operations() if each.service == service and kind in (None, each.kind)}
        return sorted(matching)

    async def calls(self, since: datetime, until: datetime) -> dict[Call, int]:
        """How often one service called another: in whole minutes, of long ago in whole hours."""
        source = await self._source(since, until)
        calls: dict[Call, int] = {}
        for counted in _known(await source.flows(SERVICE_CALL, None)):
            call = read_call(counted.value)
            calls[call] = calls.get(call, 0) + counted.sums.count
        return calls

    async def _operations(self) -> set[Operation]:
        now = self._now()
        source = await self._source(now - REMEMBERED, now)
        return {read_operation(counted.value) for counted in _known(await source.flows(OPERATION, None))}

    async def _source(self, since: datetime, until: datetime) -> Source:
        viewer = self._viewer
        if self._principal.visible is None:
            return StoredStatistics(viewer.database, *aligned(since, until, self._now()))
        filters = Filters(started_since=since, started_until=until, visible=self._principal.visible)
        if not filters.nothing_stored:
            filters = await narrowed(viewer.database, filters, MOST_READ)
        return DirectStatistics(viewer.database, filters)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._viewer.clock(), UTC)


def _known(found: Iterable[Counted]) -> list[Counted]:
    """Without the tail that is counted as one."""
    return [counted for counted in found if counted.value != OTHER]
