"""How often a rule would have fired: its condition and its states over the stored flows of some time."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.viewer_api.alerts.condition import (
    Condition,
    Losses,
    NoActivity,
    SlowerThanUsual,
    StepSlowerThanUsual,
    StillRunning,
    window_of,
)
from spanflow.viewer_api.alerts.history import History, Loss, PastFlow
from spanflow.viewer_api.alerts.rule import Definition
from spanflow.viewer_api.alerts.state_machine import EventKind, Memory, Phase, step
from spanflow.viewer_api.alerts.step_times import StepMinutes, first_previewed
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.flow_filters import DURATION, ENDED, Filters
from spanflow.viewer_api.store.search_plan import SearchPlan

#: Flows that are read at most, the newest: the range begins where they do.
MAX_FLOWS: Final = 50_000
#: Moments at which the rule is evaluated.
_MAX_STEPS: Final = 10_000
_MAX_EVENTS: Final = 200
_LOSSES: Final = """
SELECT at, kind, number FROM {s}.loss_reports WHERE at >= $1 AND at <= $2
UNION ALL
SELECT at, 'poisoned', 1 FROM {s}.poison_records WHERE at >= $1 AND at <= $2
"""


@dataclass(frozen=True, slots=True)
class Previewer:
    """`seconds` is how often rules are evaluated."""

    database: Database
    #: What the reading role may not read.
    primary: Database
    seconds: float

    async def preview(self, definition: Definition, since: datetime, until: datetime, now: datetime) -> dict[str, Any]:
        low = since - _needed_before(definition.condition)
        filters = replace(definition.filters.filters(), since=low, until=until, outcomes=names.OUTCOMES)
        of_steps = isinstance(definition.condition, StepSlowerThanUsual)
        flows, shortened = ([], False) if of_steps else await self._flows(filters, until)
        if shortened and flows:
            since = max(since, min(flow.ended for flow in flows) + _needed_before(definition.condition))
            since = min(since, until)
        losses = await self._losses(low, until) if isinstance(definition.condition, Losses) else []
        steps = None
        if isinstance(definition.condition, StepSlowerThanUsual):
            first = min(first_previewed(definition.condition, now), until)
            since, shortened = max(since, first), shortened or since < first
            steps = await StepMinutes.read(self.database, definition.condition, since, until)
        history = History(flows, losses, low, steps)
        simulated = await asyncio.to_thread(_simulated, definition, history, since, until, self.seconds)
        return {"since": since, "until": until, "shortened": shortened, "flows": len(flows), **simulated}

    async def _flows(self, filters: Filters, until: datetime) -> tuple[list[PastFlow], bool]:
        columns = f"flow_id, started_at, outcome, {DURATION} AS took, {ENDED} AS ended, cut_spans"
        text, values = SearchPlan.of(filters).every(columns)
        text = f"SELECT * FROM ({text}) AS found WHERE ended <= ${len(values) + 1} ORDER BY ended DESC"
        rows = await self.database.fetch(f"{text} LIMIT {MAX_FLOWS + 1}", *values, until)
        flows = [
            PastFlow(row["ended"], row["started_at"], row["flow_id"], row["outcome"], row["took"])
            for row in rows[:MAX_FLOWS]
        ]
        return flows, len(rows) > MAX_FLOWS

    async def _losses(self, since: datetime, until: datetime) -> list[Loss]:
        rows = await self.primary.fetch(_LOSSES, since, until)
        text, values = SearchPlan.of(Filters(since=since, until=until, outcomes=names.OUTCOMES)).every(
            f"{ENDED} AS ended, outcome, coalesce(cut_spans, 0) AS cut",
        )
        condition = "cut > 0 OR outcome = 'interrupted'"
        found = await self.database.fetch(
            f"SELECT * FROM ({text}) AS found WHERE {condition} LIMIT {MAX_FLOWS}", *values
        )
        return [
            *(Loss(row["at"], row["kind"], row["number"]) for row in rows),
            *(Loss(row["ended"], "cut", row["cut"]) for row in found if row["cut"]),
            *(Loss(row["ended"], "interrupted", 1) for row in found if row["outcome"] == names.OUTCOME_INTERRUPTED),
        ]


def _needed_before(condition: Condition) -> timedelta:
    """What of the time before the range its first moment looks at."""
    if isinstance(condition, StillRunning):
        return timedelta()
    if isinstance(condition, SlowerThanUsual):
        return timedelta(seconds=condition.window_seconds + condition.baseline_seconds)
    if isinstance(condition, NoActivity):
        return timedelta(seconds=2 * condition.alert)
    return timedelta(seconds=window_of(condition))


def _simulated(
    definition: Definition, history: History, since: datetime, until: datetime, seconds: float
) -> dict[str, Any]:
    apart = timedelta(seconds=max(seconds, (until - since).total_seconds() / _MAX_STEPS))
    memory = Memory.fresh(since)
    events: list[dict[str, Any]] = []
    counts = dict.fromkeys(EventKind, 0)
    notified = evaluations = 0
    active = timedelta()
    no_data = 0
    now = since
    while True:
        verdict = definition.condition.judge(history.observe(definition.condition, now))
        memory, transitions = step(memory, verdict, definition, now)
        evaluations += 1
        no_data += memory.phase is Phase.NO_DATA
        active += apart if memory.active else timedelta()
        for transition in transitions:
            counts[transition.kind] += 1
            notified += transition.suppressed is None
            if len(events) < _MAX_EVENTS:
                events.append(
                    {
                        "at": now,
                        "kind": transition.kind,
                        "level": transition.level,
                        "value": memory.value,
                        "threshold": memory.threshold,
                        "suppressed": transition.suppressed,
                        "flow_ids": list(verdict.flow_ids),
                    }
                )
        if now == until:
            break
        now = min(now + apart, until)
    return {
        "evaluations": evaluations,
        "every_seconds": apart.total_seconds(),
        "fired": counts[EventKind.FIRING],
        "escalated": counts[EventKind.ESCALATED],
        "flapping": counts[EventKind.FLAPPING],
        "resolved": counts[EventKind.RESOLVED],
        "notifications": notified,
        "active_seconds": active.total_seconds(),
        "without_data": no_data,
        "events": events,
        "more": sum(counts.values()) > len(events),
    }
