"""Precomputed statistics of all flows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.viewer_api.statistics.counted import Counted
from spanflow.viewer_api.statistics.counting_sql import SUMMED
from spanflow.viewer_api.statistics.histogram import Buckets, unpacked
from spanflow.viewer_api.statistics.periods import DAY, Part, parts_of
from spanflow.viewer_api.statistics.tally import Sums
from spanflow.viewer_api.store.database import Database, Row

#: What steps can be grouped by, as SQL.
STEP_VALUES: Final = {
    "step": "event_type || ':' || name",
    "checkpoint": "event_type",
    "tool": "tool",
    "mcp_server": "mcp_server",
    "model": "model",
}
_PARTS: Final = "unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) AS part (length, low, high)"
_WITHIN: Final = "one.seconds = part.length AND one.start >= part.low AND one.start < part.high"
#: All of them, for sorting by anything; a value that is the tail of others is one of them.
_GROUPED: Final = """
SELECT {value} AS value, outcome, {start} AS start, {summed}
FROM {parts} JOIN {{s}}.{table} AS one ON {within} WHERE {where} GROUP BY 1, 2, 3
"""
_WAITING: Final = """
SELECT count(*) AS waiting FROM (
    SELECT DISTINCT start FROM {s}.changed_periods
    WHERE start + make_interval(secs => seconds) > $1 AND start < $2
) AS periods
"""
_TYPICAL: Final = f"""
SELECT event_type || ':' || name AS step, sum(buckets)::text AS buckets
FROM {_PARTS} JOIN {{s}}.step_statistics AS one ON {_WITHIN}
WHERE outcome = '{names.OUTCOME_OK}' AND timed > 0 AND name <> '(other)'
GROUP BY 1 HAVING sum(timed) >= $4 ORDER BY sum(timed) DESC, 1 LIMIT $5
"""


class StoredStatistics:
    """One range of time, in whole periods."""

    def __init__(self, database: Database, low: datetime, high: datetime) -> None:
        self._database = database
        self._low = low
        self._high = high

    async def steps(self, group_by: str, interval: int | None) -> list[Counted]:
        where = f"event_type <> '{names.PLAIN_SPAN}'" if group_by != "step" else "true"
        return await self._grouped("step_statistics", STEP_VALUES[group_by], where, interval)

    async def flows(self, dimension: str, interval: int | None) -> list[Counted]:
        return await self._grouped("flow_statistics", "value", "dimension = $4", interval, dimension)

    async def waiting(self) -> int:
        """Periods of the range that are still to be counted, or counted again."""
        rows = await self._database.fetch(_WAITING, self._low, self._high)
        waiting: int = rows[0]["waiting"]
        return waiting

    async def _grouped(self, table: str, value: str, where: str, interval: int | None, *more: Any) -> list[Counted]:
        start = "NULL::timestamptz" if interval is None else f"date_bin('{int(interval)} seconds', one.start, 'epoch')"
        text = _GROUPED.format(
            value=value, start=start, summed=SUMMED, parts=_PARTS, table=table, within=_WITHIN, where=where
        ).replace("AS buckets", "::text AS buckets")
        parts = parts_of(self._low, self._high, interval or DAY)
        rows = await self._database.fetch(text, *columns_of(parts), *more)
        return [_counted(row) for row in rows if row["value"] != ""]


async def typical_durations(database: Database, parts: Sequence[Part], least: int, most: int) -> dict[str, Buckets]:
    """How long steps took that went well, by the key of the step; of those that happened at least so often."""
    rows = await database.fetch(_TYPICAL, *columns_of(parts), least, most)
    return {row["step"]: unpacked(row["buckets"]) for row in rows}


def columns_of(parts: Sequence[Part]) -> tuple[list[int], list[datetime], list[datetime]]:
    return [part.seconds for part in parts], [part.low for part in parts], [part.high for part in parts]


def _counted(row: Row) -> Counted:
    sums = Sums(
        count=row["count"],
        timed=row["timed"],
        total_ns=int(row["total_ns"]),
        self_ns=int(row["self_ns"]),
        tokens_in=int(row["tokens_in"]),
        tokens_out=int(row["tokens_out"]),
        cost=row["cost"],
        buckets=unpacked(row["buckets"]),
    )
    return Counted(row["value"], row["outcome"], row["start"], sums)
