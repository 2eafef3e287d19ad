"""Counts archived flows: the one job that writes statistics.

A period is counted again as a whole, from the flows that began in it, in one transaction that also takes away the marks
of its having changed and rolls it up. So a job that is killed leaves nothing half done, one that runs twice changes
nothing, and flows that come late or change correct their period. Of several viewers one counts at a time.

A transaction counts as many hours as it has time for: what each hour is rolled up into is shared by them, and rolling
up is most of the work when there are few flows in an hour.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any, Final, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.tree.prices import NO_PRICES, PriceTable
from spanflow.viewer_api.statistics import counting_sql as sql
from spanflow.viewer_api.statistics.histogram import packed
from spanflow.viewer_api.statistics.periods import HOUR, LENGTHS, MINUTE, floored, oldest_minute
from spanflow.viewer_api.statistics.tally import COLUMNS, STEP_KEYS, Sums, Tally
from spanflow.viewer_api.store.database import Connection, Database, Row
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.search_plan import SearchPlan

#: A minute is counted when it has been over for so long: then most flows that began in it have been archived.
SETTLED: Final = timedelta(seconds=20)
#: Hours that one round begins with at most; the next round goes on.
_HOURS: Final = 200
#: A transaction that has lasted so long takes no more hours.
_TRANSACTION_SECONDS: Final = 5.0
#: Minutes whose kinds are held in memory at once.
_MINUTES_TOGETHER: Final = 10
#: Flows that are taken apart at once, beside the event loop.
CHUNK: Final = 50
_MINUTE: Final = timedelta(seconds=MINUTE)
_HOUR: Final = timedelta(seconds=HOUR)
#: When a period begins, a kind of flows or steps, and what they add up to.
_Counted: TypeAlias = tuple[datetime, tuple[str, ...], Sums]


class Counting:
    """`database` is the one that is written to."""

    def __init__(
        self,
        database: Database,
        *,
        prices: PriceTable = NO_PRICES,
        transaction_seconds: float = _TRANSACTION_SECONDS,
    ) -> None:
        self._database = database
        self._prices = prices
        self._transaction_seconds = transaction_seconds

    async def run(self, now: datetime) -> int:
        """Count whatever has changed; gives how many hours were looked at."""
        done = 0
        while counted := await self.round(now):
            done += counted
        return done

    async def round(self, now: datetime, hours: int = _HOURS) -> int:
        """Count what has changed in so many hours, newest first; 0 when nothing waits, or another one counts."""
        waiting = [row["hour"] for row in await self._database.fetch(sql.HOURS, now - SETTLED, hours)]
        done = 0
        while done < len(waiting):
            counted = await self._count(waiting[done:], now)
            if not counted:
                break
            done += counted
        return done

    async def _count(self, hours: Sequence[datetime], now: datetime) -> int:
        """One transaction; gives how many of these hours it has done, 0 when it was not this job's turn."""
        until = time.monotonic() + self._transaction_seconds
        async with self._database.transaction() as connection:
            await connection.execute("SET LOCAL jit = off")
            if not await connection.fetchval(self._database.sql(sql.TURN), self._database.sql("statistics of {s}")):
                return 0
            changed = []
            done = 0
            for hour in hours:
                if await self._count_hour(connection, hour, now):
                    changed.append(hour)
                done += 1
                if time.monotonic() >= until:
                    break
            for shorter, longer in pairwise(LENGTHS[1:]):
                await self._roll_up(connection, {floored(hour, longer) for hour in changed}, shorter, longer)
        return done

    async def _count_hour(self, connection: Connection, hour: datetime, now: datetime) -> bool:
        """Whether something in it had changed; another job may have been quicker."""
        marks = await connection.fetch(self._database.sql(sql.TAKE), hour, hour + _HOUR, now - SETTLED)
        if not marks:
            return False
        if hour < oldest_minute(now):
            await self._count_flows(connection, [hour], HOUR)
            await connection.execute(self._database.sql(sql.DROP_MINUTES), hour, hour + _HOUR)
            return True
        minutes = {mark["start"] for mark in marks if mark["seconds"] == MINUTE}
        if any(mark["seconds"] == HOUR for mark in marks):
            minutes = {hour + _MINUTE * number for number in range(60)}
        waiting = iter(sorted(minutes))
        while together := list(islice(waiting, _MINUTES_TOGETHER)):
            await self._count_flows(connection, together, MINUTE)
        await self._roll_up(connection, [hour], MINUTE, HOUR)
        return True

    async def _count_flows(self, connection: Connection, starts: Sequence[datetime], seconds: int) -> None:
        """The periods that begin at each of `starts`, in order."""
        until = starts[-1] + timedelta(seconds=seconds)
        filters = Filters(started_since=starts[0], started_until=until, outcomes=names.OUTCOMES)
        text, values = SearchPlan.of(filters).every(f"{COLUMNS}, {STEP_KEYS}, flow_data")
        if seconds == MINUTE:
            values = [*values, starts]
            text = sql.IN_MINUTES.format(flows=text, minutes=f"${len(values)}")
        tallies = {start: Tally(self._prices) for start in starts}

        def add(rows: Iterable[Row]) -> None:
            for row in rows:
                tallies[floored(row["started_at"], seconds)].add(row)

        cursor = await connection.cursor(self._database.sql(text), *values)
        while rows := await cursor.fetch(CHUNK):
            await asyncio.to_thread(add, rows)
        steps = [(start, kind, sums) for start, tally in tallies.items() for kind, sums in tally.steps.items()]
        flows = [(start, kind, sums) for start, tally in tallies.items() for kind, sums in tally.flows.items()]
        await self._replace(connection, sql.STEPS, starts, seconds, steps)
        await self._replace(connection, sql.FLOWS, starts, seconds, flows)

    async def _replace(
        self,
        connection: Connection,
        table: sql.Table,
        starts: Sequence[datetime],
        seconds: int,
        rows: Sequence[_Counted],
    ) -> None:
        await connection.execute(self._database.sql(table.clear), seconds, starts)
        if rows:
            columns = await asyncio.to_thread(_columns, rows)
            await connection.execute(self._database.sql(table.insert), seconds, *columns)

    async def _roll_up(self, connection: Connection, starts: Iterable[datetime], of: int, seconds: int) -> None:
        if not (starts := sorted(starts)):
            return
        for table in (sql.STEPS, sql.FLOWS):
            await connection.execute(self._database.sql(table.clear), seconds, starts)
            await connection.execute(self._database.sql(table.roll_up), seconds, starts, of)


def _columns(rows: Sequence[_Counted]) -> list[list[Any]]:
    """Periods, kinds and their sums, column by column."""
    sums = [each for _, _, each in rows]
    return [
        [start for start, _, _ in rows],
        *([_storable(value) for value in column] for column in zip(*(kind for _, kind, _ in rows), strict=True)),
        [each.count for each in sums],
        [each.timed for each in sums],
        [str(each.total_ns) for each in sums],
        [str(each.self_ns) for each in sums],
        [str(each.tokens_in) for each in sums],
        [str(each.tokens_out) for each in sums],
        [None if each.cost is None else float(each.cost) for each in sums],
        [packed(each.buckets) for each in sums],
    ]


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
