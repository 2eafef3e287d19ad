"""What went into a stage, what left it, and what was lost there, by reason. Always exact.

For every stage `accepted == delivered + dropped + waiting`, so once nothing waits, `accepted == delivered + dropped`.
What a stage refuses at its door counts as accepted and dropped.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

# Why something was lost. The words appear in metrics, so they are few and stable.
QUEUE_FULL = "queue_full"
START_DROPPED = "start_dropped"
UNAVAILABLE = "unavailable"
REFUSED = "refused"
SHUTDOWN = "shutdown"
FAULT = "fault"


@dataclass(frozen=True, slots=True)
class StageCounts:
    """One reading of a stage's counters, taken under its lock."""

    accepted: int = 0
    delivered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    waiting_bytes: int = 0
    #: How many may wait, and the age of the oldest that does in seconds, where that is known.
    capacity: int = 0
    lag: float | None = None

    @property
    def lost(self) -> int:
        return sum(self.dropped.values())

    @property
    def balanced(self) -> bool:
        return self.accepted == self.delivered + self.lost + self.waiting


#: The cause of what is lost only if the disk is lost as well.
SPOOLED = "spool.written"


def losses_of(stages: Mapping[str, StageCounts], spooled: int) -> dict[str, int]:
    """By cause: the stage and the reason. Only what is more than none."""
    causes = {f"{name}.{why}": number for name, stage in stages.items() for why, number in stage.dropped.items()}
    return {cause: number for cause, number in {**causes, SPOOLED: spooled}.items() if number}


class Tally:
    """The counters of one stage. Its owner guards it with the lock that guards the stage."""

    __slots__ = ("accepted", "delivered", "dropped")

    def __init__(self) -> None:
        self.accepted = 0
        self.delivered = 0
        self.dropped: Counter[str] = Counter()

    def refuse(self, reason: str, number: int = 1) -> None:
        """Count what was turned away at the door."""
        self.accepted += number
        self.dropped[reason] += number

    def read(self, waiting: int, waiting_bytes: int) -> StageCounts:
        return StageCounts(self.accepted, self.delivered, dict(self.dropped), waiting, waiting_bytes)
