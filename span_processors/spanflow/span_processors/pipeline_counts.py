"""What a pipeline has counted, all of it at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spanflow.span_processors.archive.archive import ArchiveState
from spanflow.span_processors.stages.counters import StageCounts, losses_of


@dataclass(frozen=True, slots=True)
class PipelineCounts:
    """What came in, what went out and what was lost where, by reason."""

    intake: StageCounts
    sinks: Mapping[str, StageCounts] = field(default_factory=dict)
    open_flows: int = 0
    open_bytes: int = 0
    #: None where flows are not archived.
    archive: ArchiveState | None = None
    shortened_texts: int = 0
    #: Flows that were noise.
    left_out: int = 0

    @property
    def losses(self) -> dict[str, int]:
        """What was lost since the process began, by cause."""
        return losses_of({"intake": self.intake, **self.sinks}, 0 if self.archive is None else self.archive.spooled)

    @property
    def spool_bytes(self) -> int:
        """What waits on disk until Postgres takes it."""
        return 0 if self.archive is None else self.archive.spool_bytes
