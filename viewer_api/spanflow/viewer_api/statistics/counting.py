"""Counts archived flows: the one job that writes statistics.

A period is counted again as a whole, from the flows that began in it, in one transaction that also takes away the marks
of its having changed. So a job that is killed leaves nothing half done, one that runs twice changes nothing, and flows
that come late or change correct their period. Of several viewers one counts at a time.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.tree.prices import NO_PRICES, PriceTable
from spanflow.viewer_api.statistics import counting_sql as sql
from spanflow.viewer_api.statistics.histogram import packed
from spanflow.viewer_api.statistics.periods import HOUR, LENGTHS, MINUTE, floored, oldest_minute
from spanflow.viewer_api.statistics.tally import COLUMNS, Sums, Tally, add_all
from spanflow.viewer_api.store.database import Connection, Database, Row
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.search_plan import SearchPlan

#: A minute is counted when it has been over for so long: then most flows that began in it have been archived.
SETTLED: Final = timedelta(seconds=20)
#: Hours that one round begins with at most; the next round goes on.
_HOURS: Final = 200
#: Flows that are taken apart at once, beside the event loop.
CHUNK: Final = 50
_MINUTE: Final = timedelta(seconds=MINUTE)
_HOUR: Final = timedelta(seconds=HOUR)


class Counting:
    """`database` is the one that is written to."""

    def __init__(self, database: Database, *, prices: PriceTable = NO_PRICES) -> None:
        self._database = database
        self._prices = prices

    async def run(self, now: datetime) -> int:
        """Count whatever has changed; gives how many hours were looked at."""
        done = 0
        while counted := await self.round(now):
            done += counted
        return done

    async def round(self, now: datetime, hours: int = _HOURS) -> int:
        """Count what has changed in so many hours, newest first; 0 when nothing waits, or another one counts."""
        waiting = await self._database.fetch(sql.HOURS, now - SETTLED, hours)
        done = 0
        for row in waiting:
            if not await self._count(row["hour"], now):
                return done
            done += 1
        return done

    async def _count(self, hour: datetime, now: datetime) -> bool:
        """Whether it was this job's turn."""
        async with self._database.transaction() as connection:
            await connection.execute("SET LOCAL jit = off")
            if not await connection.fetchval(self._database.sql(sql.TURN), self._database.sql("statistics of {s}")):
                return False
            marks = await connection.fetch(self._database.sql(sql.TAKE), hour, hour + _HOUR, now - SETTLED)
            if not marks:
                return True  # another one was quicker
            if hour < oldest_minute(now):
                await self._count_flows(connection, hour, HOUR)
                await connection.execute(self._database.sql(sql.DROP_MINUTES), hour, hour + _HOUR)
            else:
                minutes = {mark["start"] for mark in marks if mark["seconds"] == MINUTE}
                if any(mark["seconds"] == HOUR for mark in marks):
                    minutes = {hour + _MINUTE * number for number in range(60)}
                for minute in sorted(minutes):
                    await self._count_flows(connection, minute, MINUTE)
                await self._roll_up(connection, hour, MINUTE, HOUR)
            for shorter, longer in pairwise(LENGTHS[1:]):
                await self._roll_up(connection, floored(hour, longer), shorter, longer)
        return True

    async def _count_flows(self, connection: Connection, start: datetime, seconds: int) -> None:
        tally = Tally(self._prices)
        filters = Filters(
            started_since=start, started_until=start + timedelta(seconds=seconds), outcomes=names.OUTCOMES
        )
        text, values = SearchPlan.of(filters).every(f"{COLUMNS}, flow_data")
        chunk: list[Row] = []
        async for row in connection.cursor(self._database.sql(text), *values, prefetch=CHUNK):
            chunk.append(row)
            if len(chunk) >= CHUNK:
                await asyncio.to_thread(add_all, tally, chunk)
                chunk = []
        await asyncio.to_thread(add_all, tally, chunk)
        for table, kinds in ((sql.STEPS, tally.steps), (sql.FLOWS, tally.flows)):
            await connection.execute(self._database.sql(table.clear), seconds, start)
            if kinds:
                columns = await asyncio.to_thread(_columns, list(kinds.items()))
                await connection.execute(self._database.sql(table.insert), seconds, start, *columns)

    async def _roll_up(self, connection: Connection, start: datetime, of: int, seconds: int) -> None:
        until = start + timedelta(seconds=seconds)
        for table in (sql.STEPS, sql.FLOWS):
            await connection.execute(self._database.sql(table.clear), seconds, start)
            await connection.execute(self._database.sql(table.roll_up), seconds, start, of, until)


def _columns(kinds: Sequence[tuple[tuple[str, ...], Sums]]) -> list[list[Any]]:
    """Kinds and their sums, column by column."""
    sums = [each for _, each in kinds]
    return [
        *([_storable(value) for value in column] for column in zip(*(kind for kind, _ in kinds), strict=True)),
        [each.count for each in sums],
        [each.timed for each in sums],
        [str(each.total_ns) for each in sums],
        [str(each.self_ns) for each in sums],
        [str(each.tokens_in) for each in sums],
        [str(each.tokens_out) for each in sums],
        [each.cost for each in sums],
        [packed(each.buckets) for each in sums],
    ]


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
