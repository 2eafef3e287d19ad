"""What flows of one kind usually look like: which steps they have at which place, how long these take, and how long
nothing runs before them.

A step's place is the one below its parent: the first call of a tool there is one place, the second call another one.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median_low
from typing import Final, TypeAlias

from spanflow.viewer_api.analysis.rows import waits_of
from spanflow.viewer_api.analysis.steps import MIN_RUN, Step, StepKey

#: Equal siblings that have a place of their own; all of them are in the run of their key.
_MAX_EQUAL: Final = 50
#: The key of a step, and how many equal siblings are before it.
Place: TypeAlias = tuple[StepKey, int]


@dataclass(slots=True)
class UsualRun:
    """All equal children of one step, in the flows that have any."""

    name: str | None
    counts: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)

    @property
    def is_long(self) -> bool:
        return median_low(self.counts) >= MIN_RUN


@dataclass(slots=True)
class UsualStep:
    """One place in all flows that have a step there."""

    key: StepKey
    name: str | None = None
    #: None: it stands for the flows themselves, and its children are their roots.
    parent: "UsualStep | None" = None
    flows: int = 0
    #: Those in which it went well.
    well: int = 0
    #: Of steps that have ended, in nanoseconds.
    durations: list[int] = field(default_factory=list)
    self_times: list[int] = field(default_factory=list)
    #: How long nothing ran before it, and after the last of its children.
    waits: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    #: When it began, after its parent.
    offsets: list[int] = field(default_factory=list)
    children: "dict[Place, UsualStep]" = field(default_factory=dict)
    runs: dict[StepKey, UsualRun] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Of the flows that have its parent."""
        return 1.0 if self.parent is None else self.flows / self.parent.flows

    def add(self, step: Step, waited: int, parent_start: int) -> None:
        self.flows += 1
        self.well += step.outcome in (None, "ok")
        self.waits.append(waited)
        if step.facts is not None:
            self.offsets.append(step.facts.start_ns - parent_start)
            if not step.facts.open:
                self.durations.append(step.duration_ns)
                self.self_times.append(step.self_ns)


def usual_shape(flows: Iterable[Sequence[Step]]) -> UsualStep:
    """All of these flows laid over each other. A flow takes as long as its first root."""
    shape = UsualStep(("", ""))
    for roots in flows:
        time.sleep(0)  # other threads get the interpreter
        shape.flows += 1
        shape.durations += [step.duration_ns for step in roots[:1]]
        stack: list[tuple[UsualStep, Sequence[Step], Step | None]] = [(shape, roots, None)]
        while stack:
            usual, siblings, parent = stack.pop()
            stack += _laid_over(usual, siblings, parent)
    return shape


def _laid_over(
    usual: UsualStep, siblings: Sequence[Step], parent: Step | None
) -> list[tuple[UsualStep, Sequence[Step], Step | None]]:
    """The places of the siblings, with what is below each."""
    if not siblings:
        return []
    waits = waits_of(siblings, parent)
    usual.after.append(waits.after)
    start = start_below(siblings, parent)
    seen: Counter[StepKey] = Counter()
    equal: dict[StepKey, list[Step]] = {}
    below: list[tuple[UsualStep, Sequence[Step], Step | None]] = []
    for step, waited in zip(siblings, waits.before, strict=True):
        place = step.key, seen[step.key]
        seen[step.key] += 1
        equal.setdefault(step.key, []).append(step)
        if place[1] < _MAX_EQUAL:
            child = usual.children.setdefault(place, UsualStep(step.key, step.name, usual))
            child.add(step, waited, start)
            below.append((child, step.children, step))
    for key, steps in equal.items():
        run = usual.runs.setdefault(key, UsualRun(steps[0].name))
        run.counts.append(len(steps))
        run.durations += [step.duration_ns for step in steps]
        run.totals.append(sum(step.duration_ns for step in steps))
        if steps[0].facts is not None:
            run.offsets.append(steps[0].facts.start_ns - start)
    return below


def start_below(siblings: Sequence[Step], parent: Step | None) -> int:
    """What the beginnings of siblings are measured from."""
    if parent is not None and parent.facts is not None:
        return parent.facts.start_ns
    return min((step.facts.start_ns for step in siblings if step.facts is not None), default=0)


def at_share(values: Sequence[int], share: float) -> int:
    """The value that this share of all stay below or reach: by nearest rank."""
    return sorted(values)[max(1, ceil(share * len(values) - 1e-9)) - 1]
