"""The flows of one rule over a range of time, in memory: what would have been measured at each moment of it."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final, NamedTuple

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
)
from spanflow.viewer_api.alerts.observation import MAX_FLOWS, Observation
from spanflow.viewer_api.alerts.step_times import StepMinutes

_BASELINE_KEPT: Final = timedelta(minutes=5)
_MAX_BASELINE: Final = 20_000


class PastFlow(NamedTuple):
    ended: datetime
    started: datetime
    flow_id: str
    outcome: str
    #: In milliseconds; negative where it is not known.
    took: float


@dataclass(frozen=True, slots=True)
class Loss:
    at: datetime
    kind: str
    number: int


class History:
    """`flows` ended, by when they did."""

    def __init__(
        self,
        flows: Sequence[PastFlow],
        losses: Sequence[Loss],
        since: datetime,
        steps: StepMinutes | None = None,
    ) -> None:
        self._steps = steps
        self._flows = sorted(flows)
        self._ended = [flow.ended for flow in self._flows]
        self._started = sorted(flow.started for flow in self._flows)
        self._longest_ones: list[PastFlow] | None = None
        self._losses = losses
        self._since = since
        self._baseline: tuple[datetime, int, float | None] | None = None

    def observe(self, condition: Condition, now: datetime) -> Observation:
        """What the measures would have found at a moment."""
        match condition:
            case LongerThan():
                return self._longest(condition, now)
            case SlowerThanUsual():
                return self._slower(condition, now)
            case StepSlowerThanUsual():
                assert self._steps is not None
                return self._steps.observe(condition, now)
            case ErrorRate() | DenialRate():
                return self._rate(condition, now)
            case StillRunning():
                return self._oldest_running(condition, now)
            case NoActivity():
                return self._silence(now)
            case Losses():
                return self._lost(condition, now)
        raise AssertionError(condition)

    def _within(self, low: datetime, high: datetime) -> list[PastFlow]:
        return self._flows[bisect_left(self._ended, low) : bisect_right(self._ended, high)]

    def _longest(self, condition: LongerThan, now: datetime) -> Observation:
        low = condition.lowest
        window = self._within(now - timedelta(seconds=condition.window_seconds), now)
        return _worst([flow for flow in window if flow.took >= low], 1.0)

    def _slower(self, condition: SlowerThanUsual, now: datetime) -> Observation:
        samples, p95 = self._usual(condition, now)
        if samples < condition.min_samples or not p95:
            return Observation(None, samples)
        factor = condition.lowest
        window = self._within(now - timedelta(seconds=condition.window_seconds), now)
        return _worst([flow for flow in window if flow.took >= factor * p95], p95)

    def _usual(self, condition: SlowerThanUsual, now: datetime) -> tuple[int, float | None]:
        if self._baseline is not None and now - self._baseline[0] < _BASELINE_KEPT:
            return self._baseline[1:]
        until = now - timedelta(seconds=condition.window_seconds)
        past = self._within(until - timedelta(seconds=condition.baseline_seconds), until)
        took = sorted(
            [flow.took for flow in past if flow.outcome == names.OUTCOME_OK and flow.took >= 0][-_MAX_BASELINE:]
        )
        p95 = took[max(0, ceil(0.95 * len(took)) - 1)] if took else None
        self._baseline = (now, len(took), p95)
        return len(took), p95

    def _rate(self, condition: ErrorRate | DenialRate, now: datetime) -> Observation:
        window = self._within(now - timedelta(seconds=condition.window_seconds), now)
        bad = [flow.flow_id for flow in window if flow.outcome == RATED[condition.kind]]
        if len(window) < condition.min_samples:
            return Observation(None, len(window))
        return Observation(len(bad) / len(window), len(window), tuple(bad[::-1][:MAX_FLOWS]))

    def _oldest_running(self, condition: StillRunning, now: datetime) -> Observation:
        low = condition.lowest
        began = now - timedelta(seconds=low)
        running = [flow for flow in self._long(low) if flow.started <= began and flow.ended > now]
        if not running:
            return Observation(0.0)
        ids = tuple(flow.flow_id for flow in running[:MAX_FLOWS])
        return Observation((now - running[0].started).total_seconds(), len(running), ids)

    def _long(self, seconds: float) -> list[PastFlow]:
        """Those that ever ran for so long, the oldest first."""
        if self._longest_ones is None:
            least = timedelta(seconds=seconds)
            long = [flow for flow in self._flows if flow.ended - flow.started >= least]
            self._longest_ones = sorted(long, key=lambda flow: flow.started)
        return self._longest_ones

    def _silence(self, now: datetime) -> Observation:
        ended = bisect_right(self._ended, now)
        if bisect_right(self._started, now) > ended:
            return Observation(0.0, 1)
        last = self._ended[ended - 1] if ended else self._since
        return Observation((now - last).total_seconds(), 1)

    def _lost(self, condition: Losses, now: datetime) -> Observation:
        low = now - timedelta(seconds=condition.window_seconds)
        return Observation(
            float(sum(loss.number for loss in self._losses if low <= loss.at <= now and loss.kind in condition.of))
        )


def _worst(flows: Sequence[PastFlow], unit: float) -> Observation:
    if not flows:
        return Observation(0.0)
    worst = sorted(flows, key=lambda flow: (-flow.took, flow.flow_id))
    return Observation(worst[0].took / unit, len(flows), tuple(flow.flow_id for flow in worst[:MAX_FLOWS]))
