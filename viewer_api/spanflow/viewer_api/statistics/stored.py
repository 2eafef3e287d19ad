"""Precomputed statistics of all flows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.tree.costs import exact
from spanflow.viewer_api.statistics.counted import Counted
from spanflow.viewer_api.statistics.counting_sql import OTHER, SUMMED_AS_TEXT
from spanflow.viewer_api.statistics.histogram import Buckets, unpacked
from spanflow.viewer_api.statistics.periods import WEEK, Part, parts_of
from spanflow.viewer_api.statistics.tally import STEP, STEP_DIMENSIONS, Sums
from spanflow.viewer_api.store.database import Database, Row

#: What steps can be grouped by.
STEP_GROUPS: Final = (STEP, *STEP_DIMENSIONS)
#: All of them, for sorting by anything; a value that is the tail of others is one of them.
_SUMS: Final = """
SELECT {value} AS value, outcome, {start} AS start, {summed} FROM {{s}}.{table} WHERE {within} GROUP BY 1, 2, 3
"""
_COUNT: Final = "sum(count)::bigint AS count"
_WAITING: Final = """
SELECT count(*) AS waiting FROM (
    SELECT DISTINCT start FROM {s}.changed_periods
    WHERE start + make_interval(secs => seconds) > $1 AND start < $2
) AS periods
"""
_STEP: Final = "event_type || ':' || name"
_TYPICAL: Final = f"""
SELECT {_STEP} AS step, sum(buckets)::text AS buckets FROM {{s}}.step_statistics
WHERE ({{within}}) AND outcome = '{names.OUTCOME_OK}' AND timed > 0 AND name <> '{OTHER}'
GROUP BY 1 HAVING sum(timed) >= $1 ORDER BY sum(timed) DESC, 1 LIMIT $2
"""


class StoredStatistics:
    """One range of time, in whole periods."""

    def __init__(self, database: Database, low: datetime, high: datetime) -> None:
        self._database = database
        self._low = low
        self._high = high

    async def steps(self, group_by: str, interval: int | None) -> list[Counted]:
        if group_by != STEP:
            return await self.flows(STEP_DIMENSIONS[group_by], interval)
        return await self._grouped("step_statistics", _STEP, interval)

    async def flows(self, dimension: str, interval: int | None, *, only_counts: bool = False) -> list[Counted]:
        return await self._grouped("flow_statistics", "value", interval, dimension, only_counts=only_counts)

    async def waiting(self) -> int:
        """Periods of the range that are still to be counted, or counted again."""
        rows = await self._database.fetch(_WAITING, self._low, self._high)
        waiting: int = rows[0]["waiting"]
        return waiting

    async def _grouped(
        self, table: str, value: str, interval: int | None, *dimension: str, only_counts: bool = False
    ) -> list[Counted]:
        start = "NULL::timestamptz" if interval is None else f"date_bin('{int(interval)} seconds', start, 'epoch')"
        within, values = within_parts(parts_of(self._low, self._high, interval or WEEK), *dimension)
        summed = _COUNT if only_counts else SUMMED_AS_TEXT
        text = _SUMS.format(value=value, start=start, summed=summed, table=table, within=within)
        rows = await self._database.fetch(text, *values)
        sums_of = _count if only_counts else _sums
        return [Counted(row["value"], row["outcome"], row["start"], sums_of(row)) for row in rows if row["value"] != ""]


async def typical_durations(database: Database, parts: Sequence[Part], least: int, most: int) -> dict[str, Buckets]:
    """How long steps took that went well, by the key of the step; of those that happened at least so often."""
    within, values = within_parts(parts, first=3)
    rows = await database.fetch(_TYPICAL.replace("{within}", within), least, most, *values)
    return {row["step"]: unpacked(row["buckets"]) for row in rows}


def within_parts(parts: Sequence[Part], *dimension: str, first: int = 1) -> tuple[str, list[Any]]:
    """A condition with its values, `$first` and so on. Each part, of which there are nine at most, is a range of an
    index; joined with them, the table would be read from beginning to end."""
    values: list[Any] = [*dimension]
    of = f"dimension = ${first} AND " if dimension else ""
    ranges = []
    for part in parts:
        place = first + len(values)
        ranges.append(f"{of}seconds = {int(part.seconds)} AND start >= ${place} AND start < ${place + 1}")
        values += [part.low, part.high]
    return " OR ".join(f"({each})" for each in ranges) or "false", values


def _count(row: Row) -> Sums:
    return Sums(count=row["count"])


def _sums(row: Row) -> Sums:
    return Sums(
        count=row["count"],
        timed=row["timed"],
        total_ns=int(row["total_ns"]),
        self_ns=int(row["self_ns"]),
        tokens_in=int(row["tokens_in"]),
        tokens_out=int(row["tokens_out"]),
        cost=None if row["cost"] is None else exact(row["cost"]),
        buckets=unpacked(row["buckets"]),
    )
