"""Statistics counted from the flows themselves at request time: of some users, or with filters.

So many flows are read at most, the newest; the range is narrowed to where they begin, so that the answer is exact.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from spanflow.span_processors import names
from spanflow.span_processors.tree.prices import NO_PRICES, PriceTable
from spanflow.viewer_api.statistics.counted import Counted
from spanflow.viewer_api.statistics.counting import CHUNK
from spanflow.viewer_api.statistics.periods import floored
from spanflow.viewer_api.statistics.tally import (
    COLUMNS,
    FIRST_TOKEN,
    OPERATION,
    SERVICE_CALL,
    STEP,
    STEP_DIMENSIONS,
    STEP_KEYS,
    Sums,
    Tally,
)
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.search_plan import SearchPlan

#: Flows whose steps are counted for one answer.
MAX_WITH_STEPS: Final = 5_000
#: Flows that are counted for one answer: as many as the exact count of a list goes to.
MAX_FLOWS: Final = 100_000
_MANY: Final = 1_000
#: What is counted from the steps of flows.
_OF_STEPS: Final = frozenset({FIRST_TOKEN, OPERATION, SERVICE_CALL, *STEP_DIMENSIONS.values()})
_INSTANT: Final = timedelta(microseconds=1)


async def narrowed(database: Database, filters: Filters, most: int) -> Filters:
    """The same filters from the moment on from which there are no more flows than `most`."""
    text, values = SearchPlan.of(filters).every("started_at")
    text = f"SELECT started_at FROM ({text}) AS found ORDER BY started_at DESC OFFSET {int(most)} LIMIT 1"
    edge = await database.fetchrow(text, *values)
    return filters if edge is None else replace(filters, started_since=edge["started_at"] + _INSTANT)


class DirectStatistics:
    """What matches the filters, which say when flows began."""

    def __init__(self, database: Database, filters: Filters, prices: PriceTable = NO_PRICES) -> None:
        self._database = database
        self._filters = replace(filters, outcomes=finished(filters))
        self._prices = prices

    async def steps(self, group_by: str, interval: int | None) -> list[Counted]:
        if group_by != STEP:
            return await self.flows(STEP_DIMENSIONS[group_by], interval)
        tallies = await self._counted(interval, "flow_data")
        sums_by_step: dict[tuple[str, str, datetime | None], Sums] = {}
        for start, tally in tallies.items():
            for kind, sums in tally.steps.items():
                key = (f"{kind.event_type}:{kind.name}", kind.outcome, start)
                sums_by_step.setdefault(key, Sums()).add(sums)
        return [Counted(*key, sums) for key, sums in sums_by_step.items()]

    async def flows(self, dimension: str, interval: int | None, *, only_counts: bool = False) -> list[Counted]:
        needed = "flow_data" if dimension in _OF_STEPS else ""
        tallies = await self._counted(interval, STEP_KEYS if dimension == STEP else needed)
        return [
            Counted(kind.value, kind.outcome, start, sums)
            for start, tally in tallies.items()
            for kind, sums in tally.flows.items()
            if kind.dimension == dimension and kind.value
        ]

    async def waiting(self) -> int:
        return 0

    async def _counted(self, interval: int | None, needed: str) -> dict[datetime | None, Tally]:
        """`needed` is what is read of each flow beside its columns."""
        steps = needed == "flow_data"
        tallies: dict[datetime | None, Tally] = {}
        if self._filters.nothing_stored:
            return tallies

        def add(rows: Iterable[Row]) -> None:
            for row in rows:
                start = None if interval is None else floored(row["started_at"], interval)
                if start not in tallies:
                    tallies[start] = Tally(self._prices)
                tallies[start].add(row, steps=steps, users=True)

        text, values = SearchPlan.of(self._filters).every(", ".join(filter(None, (COLUMNS, "user_id", needed))))
        size = CHUNK if steps else _MANY
        chunk: list[Row] = []
        async with self._database.transaction(readonly=True) as connection:
            async for row in connection.cursor(self._database.sql(text), *values, prefetch=size):
                chunk.append(row)
                if len(chunk) >= size:
                    await asyncio.to_thread(add, chunk)
                    chunk = []
        await asyncio.to_thread(add, chunk)
        return tallies


def finished(filters: Filters) -> tuple[str, ...]:
    """The outcomes of flows that have ended, among those asked for."""
    return tuple(outcome for outcome in names.OUTCOMES if filters.outcomes is None or outcome in filters.outcomes)
