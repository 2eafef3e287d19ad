"""Measures what conditions judge, in Postgres and among the flows that still run."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from spanflow.span_processors import names
from spanflow.viewer_api.alerts.condition import (
    RATED,
    Condition,
    DenialRate,
    ErrorRate,
    LongerThan,
    Losses,
    NoActivity,
    SlowerThanUsual,
    StepSlowerThanUsual,
    StillRunning,
    window_of,
)
from spanflow.viewer_api.alerts.observation import MAX_FLOWS, Observation
from spanflow.viewer_api.alerts.rule import Rule
from spanflow.viewer_api.alerts.step_times import observed, step_flows
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.flow_filters import DURATION, ENDED, Bounds, Filters
from spanflow.viewer_api.store.search_plan import SearchPlan

#: How far back the last activity is looked for; before that it is as if there had never been any.
_OLDEST_ACTIVITY: Final = timedelta(days=8)
#: So many flows of the baseline are read at most, the newest.
_MAX_BASELINE: Final = 20_000
#: A baseline is not computed at every evaluation.
_BASELINE_KEPT: Final = timedelta(minutes=5)
_MAX_BASELINES: Final = 1000
_LONGEST: Final = f"""
SELECT count(*) OVER () AS matching, flow_id, took FROM ({{flows}}) AS found
ORDER BY took DESC, flow_id LIMIT {MAX_FLOWS}
"""
_RATE: Final = f"""
WITH found AS ({{flows}})
SELECT (SELECT count(*) FROM found) AS total, (SELECT count(*) FROM found WHERE outcome = {{outcome}}) AS matching,
       ARRAY(
           SELECT flow_id FROM found WHERE outcome = {{outcome}} ORDER BY ended DESC, flow_id LIMIT {MAX_FLOWS}
       ) AS ids
"""
_BASELINE: Final = f"""
SELECT count(*) AS samples, percentile_disc(0.95) WITHIN GROUP (ORDER BY took) AS p95
FROM (SELECT took FROM ({{flows}}) AS found WHERE took >= 0 ORDER BY ended DESC LIMIT {_MAX_BASELINE}) AS newest
"""
_LAST: Final = "SELECT max(ended) AS last FROM ({flows}) AS found"
_LOST: Final = """
SELECT kind, sum(number)::bigint AS number FROM {s}.loss_reports WHERE at >= $1 AND at <= $2 GROUP BY kind
UNION ALL
SELECT 'poisoned', count(*) FROM {s}.poison_records WHERE at >= $1 AND at <= $2
"""
_INTERRUPTED: Final = """
SELECT count(*) FILTER (WHERE outcome = 'interrupted') AS interrupted, coalesce(sum(cut_spans), 0)::bigint AS cut
FROM ({flows}) AS found
"""


@dataclass(frozen=True, slots=True)
class RunningFlow:
    flow_id: str
    started_at: datetime


class OpenFlows(Protocol):
    """The flows that still run. Without Redis, which knows them, a `Problem`."""

    async def older_than(self, seconds: float, filters: Filters, now: datetime) -> Sequence[RunningFlow]:
        """Those that began so long ago, the oldest first."""

    async def any(self, filters: Filters, now: datetime) -> bool:
        """Whether one of them matches."""


@dataclass
class Measures:
    """Kept by the viewer that evaluates. Statements only read."""

    database: Database
    #: What the reading role may not read.
    primary: Database
    running: OpenFlows
    _baselines: dict[tuple[str, int], tuple[datetime, Observation]] = field(default_factory=dict)

    async def observe(self, rule: Rule, now: datetime) -> Observation:
        condition = rule.definition.condition
        measure = self._measure_of(condition)
        return await measure(rule, condition, now)

    def _measure_of(self, condition: Condition) -> Callable[[Rule, Any, datetime], Awaitable[Observation]]:
        match condition:
            case LongerThan():
                return self._longest
            case SlowerThanUsual():
                return self._slower
            case StepSlowerThanUsual():
                return self._step
            case ErrorRate() | DenialRate():
                return self._rate
            case StillRunning():
                return self._oldest_running
            case NoActivity():
                return self._silence
            case Losses():
                return self._losses
        raise AssertionError(condition)

    async def _longest(self, rule: Rule, condition: LongerThan, now: datetime) -> Observation:
        filters = replace(_ended(rule, condition, now), duration_ms=Bounds(low=condition.lowest))
        rows = await self._fetch(_LONGEST, filters, f"flow_id, {DURATION} AS took", now)
        if not rows:
            return Observation(0.0)
        return Observation(rows[0]["took"], rows[0]["matching"], tuple(row["flow_id"] for row in rows))

    async def _slower(self, rule: Rule, condition: SlowerThanUsual, now: datetime) -> Observation:
        usual = await self._usual(rule, condition, now)
        if usual.samples < condition.min_samples or not usual.baseline:
            return Observation(None, usual.samples)
        slow = Bounds(low=condition.lowest * usual.baseline)
        filters = replace(_ended(rule, condition, now), duration_ms=slow)
        rows = await self._fetch(_LONGEST, filters, f"flow_id, {DURATION} AS took", now)
        if not rows:
            return Observation(0.0, usual.samples, (), usual.baseline)
        ids = tuple(row["flow_id"] for row in rows)
        return Observation(rows[0]["took"] / usual.baseline, usual.samples, ids, usual.baseline)

    async def _usual(self, rule: Rule, condition: SlowerThanUsual, now: datetime) -> Observation:
        key = (rule.rule_id, rule.version)
        cached = self._baselines.get(key)
        if cached is not None and timedelta() <= now - cached[0] < _BASELINE_KEPT:
            return cached[1]
        until = now - timedelta(seconds=condition.window_seconds)
        filters = replace(
            rule.definition.filters.filters(),
            outcomes=(names.OUTCOME_OK,),
            since=until - timedelta(seconds=condition.baseline_seconds),
            until=until,
        )
        (row,) = await self._fetch(_BASELINE, filters, f"{DURATION} AS took, {ENDED} AS ended", until)
        observation = Observation(None, row["samples"], baseline=row["p95"])
        if len(self._baselines) >= _MAX_BASELINES:
            self._baselines.clear()
        self._baselines[key] = (now, observation)
        return observation

    async def _step(self, rule: Rule, condition: StepSlowerThanUsual, now: datetime) -> Observation:
        observation = await observed(self.database, condition, now)
        if observation.value is None or observation.value < condition.lowest:
            return observation
        rows = await self._fetch(_LONGEST, step_flows(condition, now), f"flow_id, {DURATION} AS took", now)
        return replace(observation, flow_ids=tuple(row["flow_id"] for row in rows))

    async def _rate(self, rule: Rule, condition: ErrorRate | DenialRate, now: datetime) -> Observation:
        filters = replace(_ended(rule, condition, now), outcomes=names.OUTCOMES)
        text = _RATE.replace("{outcome}", f"'{RATED[condition.kind]}'")
        (row,) = await self._fetch(text, filters, f"flow_id, outcome, {ENDED} AS ended", now)
        if row["total"] < condition.min_samples:
            return Observation(None, row["total"])
        return Observation(row["matching"] / row["total"], row["total"], tuple(row["ids"]))

    async def _oldest_running(self, rule: Rule, condition: StillRunning, now: datetime) -> Observation:
        seconds = condition.lowest
        flows = await self.running.older_than(seconds, rule.definition.filters.filters(), now)
        if not flows:
            return Observation(0.0)
        oldest = (now - flows[0].started_at).total_seconds()
        return Observation(oldest, len(flows), tuple(flow.flow_id for flow in flows[:MAX_FLOWS]))

    async def _silence(self, rule: Rule, condition: NoActivity, now: datetime) -> Observation:
        filters = rule.definition.filters.filters()
        if await self.running.any(filters, now):
            return Observation(0.0, 1)
        least = timedelta(seconds=condition.lowest)
        # Nearly always there was some lately: only then it is looked for far back.
        for back in (least, _OLDEST_ACTIVITY):
            asked = replace(filters, since=now - back, until=now)
            (row,) = await self._fetch(_LAST, asked, f"{ENDED} AS ended", now)
            if row["last"] is not None:
                return Observation(max(0.0, (now - row["last"]).total_seconds()), 1)
        # Nobody expects any from before there was the rule.
        return Observation(max(0.0, (now - rule.changed_at).total_seconds()))

    async def _losses(self, rule: Rule, condition: Losses, now: datetime) -> Observation:
        low = now - timedelta(seconds=condition.window_seconds)
        counted = {row["kind"]: row["number"] for row in await self.primary.fetch(_LOST, low, now)}
        if not {"interrupted", "cut"}.isdisjoint(condition.of):
            filters = Filters(since=low, until=now, outcomes=names.OUTCOMES)
            (row,) = await self._fetch(_INTERRUPTED, filters, f"outcome, cut_spans, {ENDED} AS ended", now)
            counted |= dict(row)
        return Observation(float(sum(counted.get(kind, 0) for kind in condition.of)))

    async def _fetch(self, text: str, filters: Filters, columns: str, until: datetime) -> list[Row]:
        """About flows that had ended at a moment."""
        flows, values = SearchPlan.of(filters).every(
            columns if "AS ended" in columns else f"{columns}, {ENDED} AS ended"
        )
        bounded = f"SELECT * FROM ({flows}) AS flows WHERE ended <= ${len(values) + 1}"
        return await self.database.fetch(text.replace("{flows}", bounded), *values, until)


def _ended(rule: Rule, condition: Condition, now: datetime) -> Filters:
    """The flows of a rule that ended in the window before a moment, or had not ended before it."""
    low = now - timedelta(seconds=window_of(condition))
    return replace(rule.definition.filters.filters(), since=low, until=now, outcomes=names.OUTCOMES)
