"""Whether a flow runs: one answer for lists, trees, documents, sessions and conversations."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from spanflow.span_processors import names

if TYPE_CHECKING:
    # A worker that makes trees does without the server's libraries.
    from spanflow.viewer_api.store.database import Row


@dataclass(frozen=True, slots=True)
class StoredStatus:
    """What Postgres says of a flow."""

    #: Its root has ended, or its process is gone.
    complete: bool
    outcome: str | None
    #: When it ended, or was heard of last.
    completed_at: datetime | None
    spans: int

    @classmethod
    def of(cls, row: "Row") -> "StoredStatus":
        return cls(bool(row["complete"]), row["outcome"], row["completed_at"], row["span_count"] or 0)


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """What Redis says of a flow, and how many spans are known in all."""

    open_spans: bool
    #: When it was heard of last.
    heard_at: datetime | None
    spans: int


def still_runs(stored: StoredStatus | None, live: LiveStatus) -> bool:
    """What is stored as complete is over, though its stream may be there yet, with spans that never ended.

    It runs when more has happened than is stored: the root is another process's, a late span has begun, or the process
    that was taken for dead is back.
    """
    if not live.open_spans or stored is None or not stored.complete or live.spans > stored.spans:
        return live.open_spans
    if stored.outcome != names.OUTCOME_INTERRUPTED or live.heard_at is None or stored.completed_at is None:
        return False
    return live.heard_at > stored.completed_at
