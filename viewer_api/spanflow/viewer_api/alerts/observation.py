"""What is known about the flows of a rule at one moment, and what a condition makes of it."""

from dataclasses import dataclass
from enum import StrEnum

#: Ids that an event names at most; its link leads to all of them.
MAX_FLOWS = 20


class Level(StrEnum):
    WARNING = "warning"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Observation:
    """One measured value. Which value that is says the condition."""

    #: None: there was nothing to measure, or too little.
    value: float | None
    #: How many flows (or losses) it is measured from.
    samples: int = 0
    #: The flows that it is about, the worst or newest first.
    flow_ids: tuple[str, ...] = ()
    #: What `own p95` was, where the condition is relative.
    baseline: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition says at one moment."""

    level: Level | None
    #: There were fewer samples than the rule asks for.
    no_data: bool = False
    value: float | None = None
    #: The threshold that was reached, or the one that would be reached first.
    threshold: float | None = None
    flow_ids: tuple[str, ...] = ()
    baseline: float | None = None
