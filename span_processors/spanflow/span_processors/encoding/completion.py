"""When is a flow complete? Its root ended, no span open, and a short grace gone by; or idle, or too old.

The grace is for what comes after the root: background tasks, yield-dependencies, tasks that were not awaited. A span
that some instrumentation never ends keeps its flow open a little longer, not until it has been idle for long.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spanflow.span_processors import flow_part
from spanflow.span_processors.encoding.open_flows import OpenFlow
from spanflow.span_processors.settings import Settings


@dataclass(frozen=True, slots=True)
class CompletionLimits:
    """In seconds of monotonic time."""

    grace: float = 2.0
    #: As long, when a span is open that an instrumentation perhaps never ends.
    unfinished: float = 60.0
    idle: float = 1800.0
    max_age: float = 86_400.0

    @classmethod
    def from_settings(cls, settings: Settings) -> "CompletionLimits":
        return cls(settings.flow_grace, settings.flow_unfinished, settings.flow_idle, settings.flow_max_age)

    @property
    def scan_every(self) -> float:
        """Idle and old flows need no great precision."""
        return max(0.02, min(5.0, self.unfinished / 10, self.idle / 10, self.max_age / 10))


class Completion:
    """Says which flows are complete. One thread owns it, together with the flows."""

    def __init__(self, limits: CompletionLimits) -> None:
        self._limits = limits
        #: Finished flows and when their grace is over; the grace is the same for all, so they stand in order.
        self._finishing: dict[int, float] = {}
        self._scan_at = 0.0

    def touched(self, flow: OpenFlow, now: float) -> None:
        """Something happened to the flow: its grace period starts, restarts, or is cancelled."""
        finishing = self._finishing
        if flow.trace_id in finishing:
            del finishing[flow.trace_id]
        if flow.finished:
            finishing[flow.trace_id] = now + self._limits.grace

    def busy(self, trace_id: int) -> None:
        """A span has started in it: there is no grace while something is open."""
        if trace_id in self._finishing:
            del self._finishing[trace_id]

    def forget(self, flow: OpenFlow) -> None:
        self._finishing.pop(flow.trace_id, None)

    def finished(self) -> list[int]:
        """Flows in their grace period: a flush may hand them over early."""
        return list(self._finishing)

    def graced(self, now: float) -> Iterator[int]:
        """Flows whose grace is over."""
        while self._finishing:
            trace_id, due = next(iter(self._finishing.items()))
            if due > now:
                return
            del self._finishing[trace_id]
            yield trace_id

    def overdue(self, flows: Iterable[OpenFlow], now: float) -> list[tuple[OpenFlow, str]]:
        """Unfinished flows that are not waited for any longer, and why. Looks only every few seconds."""
        if now < self._scan_at:
            return []
        self._scan_at = now + self._limits.scan_every
        over: list[tuple[OpenFlow, str]] = []
        for flow in flows:
            if now - flow.opened_at >= self._limits.max_age:
                over.append((flow, flow_part.MAX_AGE))
            elif flow.answered and now - flow.touched_at >= self._limits.unfinished:
                over.append((flow, flow_part.ROOT_ENDED))
            elif now - flow.touched_at >= self._limits.idle:
                over.append((flow, flow_part.IDLE))
        return over

    def next_due(self, now: float, any_open: bool) -> float:
        """Seconds until there may be something to do."""
        waits = [60.0]
        if self._finishing:
            waits.append(next(iter(self._finishing.values())) - now)
        if any_open:
            waits.append(self._scan_at - now)
        return max(0.0, min(waits))
