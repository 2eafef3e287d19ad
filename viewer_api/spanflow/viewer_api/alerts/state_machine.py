"""From verdicts to states: when a rule fires, resolves, flaps, and what of it is told."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from spanflow.viewer_api.alerts.observation import Level, Verdict
from spanflow.viewer_api.alerts.rule import Definition


class Phase(StrEnum):
    OK = "ok"
    #: The condition holds, but not for long enough.
    PENDING = "pending"
    FIRING = "firing"
    #: It does not hold any more, but not for long enough.
    RESOLVING = "resolving"
    #: It begins and ceases to hold again and again.
    FLAPPING = "flapping"
    NO_DATA = "no_data"


class EventKind(StrEnum):
    FIRING = "firing"
    #: A warning has become an alert.
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    FLAPPING = "flapping"


@dataclass(frozen=True, slots=True)
class Transition:
    """Something to be written down, and told unless it is `suppressed`, which says why not."""

    kind: EventKind
    level: Level | None
    suppressed: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a rule from one evaluation to the next."""

    phase: Phase
    since: datetime
    level: Level | None = None
    #: Whether receivers were told that it fires, and not yet that it is over.
    announced: bool = False
    #: When they were told last.
    fired_at: datetime | None = None
    #: When the condition began or ceased to hold while it fired.
    changes: tuple[datetime, ...] = field(default=())
    value: float | None = None
    threshold: float | None = None
    #: What was usual, where the condition compares with it.
    baseline: float | None = None
    #: Why it could not be evaluated, as the code of a problem.
    problem: str | None = None

    @classmethod
    def fresh(cls, now: datetime) -> "Memory":
        return cls(Phase.OK, now)

    @property
    def active(self) -> bool:
        """Whether it fires, or has not ceased to for long enough."""
        return self.phase in (Phase.FIRING, Phase.RESOLVING, Phase.FLAPPING)

    def stored(self) -> dict[str, Any]:
        return {
            "phase": self.phase,
            "since": self.since.isoformat(),
            "level": self.level,
            "announced": self.announced,
            "fired_at": self.fired_at.isoformat() if self.fired_at else None,
            "changes": [moment.isoformat() for moment in self.changes],
            "value": self.value,
            "threshold": self.threshold,
            "baseline": self.baseline,
            "problem": self.problem,
        }

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "Memory":
        return cls(
            Phase(stored["phase"]),
            datetime.fromisoformat(stored["since"]),
            Level(stored["level"]) if stored["level"] else None,
            stored["announced"],
            datetime.fromisoformat(stored["fired_at"]) if stored["fired_at"] else None,
            tuple(map(datetime.fromisoformat, stored["changes"])),
            stored["value"],
            stored["threshold"],
            # Viewers of the release before did not write it.
            stored.get("baseline"),
            stored["problem"],
        )


def step(
    memory: Memory, verdict: Verdict, definition: Definition, now: datetime, *, snoozed: bool = False
) -> tuple[Memory, list[Transition]]:
    """The memory after a verdict, and what is to be told."""
    level = verdict.level
    if verdict.no_data and definition.no_data == "alert":
        level = Level.ALERT
    elif verdict.no_data and definition.no_data == "keep" and memory.active:
        return replace(memory, value=None, problem=None), []
    recent = tuple(at for at in memory.changes if now - at < timedelta(seconds=definition.flapping_seconds))
    memory = replace(memory, changes=recent, problem=None)
    memory = replace(memory, value=verdict.value, threshold=verdict.threshold, baseline=verdict.baseline)
    machine = _Machine(memory, definition, now, snoozed)
    machine.take(level)
    quiet = Phase.NO_DATA if verdict.no_data else Phase.OK
    if machine.memory.phase in (Phase.OK, Phase.NO_DATA) and machine.memory.phase is not quiet:
        machine.memory = replace(machine.memory, phase=quiet, since=now)
    return machine.memory, machine.transitions


def ended(memory: Memory, now: datetime) -> tuple[Memory, list[Transition]]:
    """A changed or disabled rule starts over. Receivers of its firing are notified that it is resolved."""
    told = [Transition(EventKind.RESOLVED, memory.level)] if memory.announced else []
    return replace(Memory.fresh(now), fired_at=memory.fired_at), told


class _Machine:
    def __init__(self, memory: Memory, definition: Definition, now: datetime, snoozed: bool) -> None:
        self.memory = memory
        self.transitions: list[Transition] = []
        self._definition = definition
        self._now = now
        self._snoozed = snoozed

    def take(self, level: Level | None) -> None:
        match self.memory.phase:
            case Phase.OK | Phase.NO_DATA | Phase.PENDING:
                self._quiet(level)
            case Phase.FIRING:
                self._firing(level)
            case Phase.RESOLVING:
                self._resolving(level)
            case Phase.FLAPPING:
                self._flapping(level)

    def _quiet(self, level: Level | None) -> None:
        if level is None:
            if self.memory.phase is Phase.PENDING:
                self._enter(Phase.OK)
            return
        if self.memory.phase is not Phase.PENDING:
            self._enter(Phase.PENDING)
        if self._lasted(self._definition.for_seconds):
            self._changed()
            self._enter(Phase.FIRING, level)
            self._fire(EventKind.FIRING)
            self._check_flapping()
        else:
            self.memory = replace(self.memory, level=level)

    def _firing(self, level: Level | None) -> None:
        if level is None:
            self._changed()
            self._enter(Phase.RESOLVING, self.memory.level)
            if not self._check_flapping():
                self._resolving(None)
            return
        worse = level is Level.ALERT and self.memory.level is Level.WARNING
        self.memory = replace(self.memory, level=level)
        if worse:
            self._fire(EventKind.ESCALATED, within_cooldown=True)
        elif not self.memory.announced and not self._snoozed and self._cooled_down():
            # It was kept back until now.
            self._fire(EventKind.FIRING)

    def _resolving(self, level: Level | None) -> None:
        if level is not None:
            self._changed()
            self._enter(Phase.FIRING, level)
            self._check_flapping()
        elif self._lasted(self._definition.resolve_seconds):
            self._resolve()

    def _flapping(self, level: Level | None) -> None:
        if (level is not None) != (self.memory.level is not None):
            self._changed()
        self.memory = replace(self.memory, level=level)
        if 2 * len(self.memory.changes) >= self._definition.flapping_changes:
            return
        if level is not None:
            self._enter(Phase.FIRING, level)
            self._fire(EventKind.FIRING)
        else:
            self._resolve()

    def _check_flapping(self) -> bool:
        if len(self.memory.changes) < self._definition.flapping_changes:
            return False
        held = None if self.memory.phase is Phase.RESOLVING else self.memory.level
        self._enter(Phase.FLAPPING, held)
        self._tell(EventKind.FLAPPING, "snoozed" if self._snoozed else None)
        self.memory = replace(self.memory, announced=self.memory.announced or not self._snoozed)
        return True

    def _fire(self, kind: EventKind, *, within_cooldown: bool = False) -> None:
        suppressed = "snoozed" if self._snoozed else None
        if suppressed is None and not within_cooldown and not self._cooled_down():
            suppressed = "cooldown"
        self._tell(kind, suppressed)
        if suppressed is None:
            self.memory = replace(self.memory, announced=True, fired_at=self._now)
        elif kind is EventKind.FIRING:
            self.memory = replace(self.memory, announced=False)

    def _resolve(self) -> None:
        suppressed = "snoozed" if self._snoozed else None if self.memory.announced else "not_announced"
        self._tell(EventKind.RESOLVED, suppressed)
        self._enter(Phase.OK)
        self.memory = replace(self.memory, announced=False)

    def _tell(self, kind: EventKind, suppressed: str | None) -> None:
        self.transitions.append(Transition(kind, self.memory.level, suppressed))

    def _enter(self, phase: Phase, level: Level | None = None) -> None:
        self.memory = replace(self.memory, phase=phase, since=self._now, level=level)

    def _changed(self) -> None:
        kept = 2 * self._definition.flapping_changes
        self.memory = replace(self.memory, changes=(*self.memory.changes, self._now)[-kept:])

    def _lasted(self, seconds: float) -> bool:
        return self._now - self.memory.since >= timedelta(seconds=seconds)

    def _cooled_down(self) -> bool:
        fired_at = self.memory.fired_at
        return fired_at is None or self._now - fired_at >= timedelta(seconds=self._definition.cooldown_seconds)
