"""How long steps of one kind took lately, and how long they usually take: by the statistics.

A minute is looked at when it has surely been counted, so that a preview finds what the evaluator found.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.viewer_api.alerts.condition import StepSlowerThanUsual
from spanflow.viewer_api.alerts.observation import Observation
from spanflow.viewer_api.statistics.histogram import Buckets, percentiles, unpacked, value_of
from spanflow.viewer_api.statistics.periods import MINUTE, Part, aligned, floored, oldest_minute, parts_of
from spanflow.viewer_api.statistics.stored import within_parts
from spanflow.viewer_api.statistics.tally import STEP, STEP_DIMENSIONS
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.flow_filters import Filters

#: Statistics know a minute so long after its end.
COUNTED_AFTER: Final = timedelta(seconds=90)
_SUMMED: Final = """
SELECT start >= $1 AS lately, sum(buckets)::text AS buckets FROM {s}.{table}
WHERE ({within}) AND {is_it} AND outcome = '{ok}' GROUP BY 1
"""
_MINUTES: Final = """
SELECT start, sum(buckets)::text AS buckets FROM {s}.{table} WHERE ({within}) AND {is_it} AND outcome = '{ok}'
GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class StepWindow:
    """Steps of flows that began from `low` on and before `high`, beside those from `usual` on and before `low`."""

    usual: datetime
    low: datetime
    high: datetime

    @classmethod
    def at(cls, condition: StepSlowerThanUsual, now: datetime) -> "StepWindow":
        high = floored(now - COUNTED_AFTER, MINUTE)
        low = floored(high - timedelta(seconds=condition.window_seconds), MINUTE)
        return cls(floored(low - timedelta(seconds=condition.baseline_seconds), MINUTE), low, high)


async def observed(database: Database, condition: StepSlowerThanUsual, now: datetime) -> Observation:
    window = StepWindow.at(condition, now)
    low, _ = aligned(window.usual, window.low, now)
    parts = [*parts_of(low, window.low), *parts_of(window.low, window.high)]
    text, values = _statement(_SUMMED, condition, parts, first=2)
    by_time = {row["lately"]: unpacked(row["buckets"]) for row in await database.fetch(text, window.low, *values)}
    return judged(condition, by_time.get(True, {}), by_time.get(False, {}))


def judged(condition: StepSlowerThanUsual, lately: Buckets, usual: Buckets) -> Observation:
    known, samples = sum(usual.values()), sum(lately.values())
    (p95,) = percentiles(usual, (0.95,))
    needed = condition.min_samples if condition.of == "p95" else 0
    if p95 is None or known < condition.min_samples or samples < needed:
        return Observation(None, min(known, samples))
    if not lately:
        return Observation(0.0, 0, (), p95)
    took = percentiles(lately, (0.95,))[0] if condition.of == "p95" else value_of(max(lately))
    return Observation((took or 0.0) / p95, samples, (), p95)


class StepMinutes:
    """The same for any moment of a range, in memory: what there was up to each minute."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._starts = [row["start"] for row in rows]
        self._up_to: list[Buckets] = [{}]
        for row in rows:
            self._up_to.append(_sum(self._up_to[-1], unpacked(row["buckets"]), 1))

    @classmethod
    async def read(
        cls, database: Database, condition: StepSlowerThanUsual, since: datetime, until: datetime
    ) -> "StepMinutes":
        part = Part(MINUTE, StepWindow.at(condition, since).usual, StepWindow.at(condition, until).high)
        text, values = _statement(_MINUTES, condition, [part], first=1)
        return await asyncio.to_thread(cls, await database.fetch(text, *values))

    def observe(self, condition: StepSlowerThanUsual, now: datetime) -> Observation:
        window = StepWindow.at(condition, now)
        usual, low, high = (bisect_left(self._starts, at) for at in (window.usual, window.low, window.high))
        return judged(condition, self._between(low, high), self._between(usual, low))

    def _between(self, first: int, last: int) -> Buckets:
        return _sum(self._up_to[last], self._up_to[first], -1)


def first_previewed(condition: StepSlowerThanUsual, now: datetime) -> datetime:
    """Before that moment minutes are missing that the evaluator had."""
    apart = timedelta(seconds=condition.window_seconds + condition.baseline_seconds)
    return oldest_minute(now) + apart + COUNTED_AFTER + timedelta(seconds=2 * MINUTE)


def step_flows(condition: StepSlowerThanUsual, now: datetime) -> Filters:
    """The flows that have such steps in the window."""
    window, name = StepWindow.at(condition, now), (condition.name,)
    filters = Filters(outcomes=names.OUTCOMES, started_since=window.low, started_until=window.high)
    match condition.by:
        case "step":
            return replace(filters, steps=name)
        case "tool":
            return replace(filters, tools=name)
        case "mcp_server":
            return replace(filters, mcp_servers=name)
        case "model":
            return replace(filters, models=name)
    return replace(filters, event_types=name)


def _statement(
    text: str, condition: StepSlowerThanUsual, parts: Sequence[Part], *, first: int
) -> tuple[str, list[Any]]:
    if condition.by == STEP:
        table, column = "step_statistics", "event_type || ':' || name"
        within, values = within_parts(parts, first=first)
    else:
        table, column = "flow_statistics", "value"
        within, values = within_parts(parts, STEP_DIMENSIONS[condition.by], first=first)
    is_it = f"{column} = ${first + len(values)}"
    return text.format(s="{s}", table=table, within=within, is_it=is_it, ok=names.OUTCOME_OK), [*values, condition.name]


def _sum(one: Mapping[int, int], other: Mapping[int, int], sign: int) -> Buckets:
    total = dict(one)
    for bucket, count in other.items():
        total[bucket] = total.get(bucket, 0) + sign * count
        if not total[bucket]:
            del total[bucket]
    return total
