"""What sources of statistics give: sums of one value, one outcome and one interval."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from spanflow.viewer_api.statistics.tally import Sums


@dataclass(frozen=True, slots=True)
class Counted:
    value: str
    outcome: str
    #: When the interval begins; None: the whole range.
    start: datetime | None
    sums: Sums


class Source(Protocol):
    """Flows that began in one range of time, and their steps."""

    async def steps(self, group_by: str, interval: int | None) -> list[Counted]:
        """By what they are grouped by; plain spans only where that is the step itself."""

    async def flows(self, dimension: str, interval: int | None, *, only_counts: bool = False) -> list[Counted]:
        """With `only_counts` all other sums may be left out."""

    async def waiting(self) -> int: ...
