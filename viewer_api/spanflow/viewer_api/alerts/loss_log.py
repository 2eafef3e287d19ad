"""What spans and flows were lost, where, and why: by gateways as they tell it, and by viewers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from spanflow.viewer_api.store.database import Connection, Database

#: Lines that one answer has at most, those with the most losses.
MAX_LINES: Final = 200
#: Which kind of loss it is by the stage that lost it.
_KINDS: Final = {"mirror": "not_live", "spool": "spooled", "reaper": "waiting"}
_ADD: Final = """
INSERT INTO {s}.loss_reports (at, process, service, kind, cause, number)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
"""
#: Poisoned records are a table of their own.
_WITHIN: Final = f"""
SELECT process, service, kind, cause, sum(number)::bigint AS number, min(at) AS first_at, max(at) AS last_at
FROM (
    SELECT at, process, service, kind, cause, number FROM {{s}}.loss_reports WHERE at >= $1 AND at <= $2
    UNION ALL
    SELECT at, NULL, NULL, 'poisoned', NULL, 1 FROM {{s}}.poison_records WHERE at >= $1 AND at <= $2
) AS lost
GROUP BY process, service, kind, cause ORDER BY number DESC, process, kind, cause LIMIT {MAX_LINES}
"""


@dataclass(frozen=True, slots=True)
class Loss:
    """What one process has lost since the report before, for one cause: the stage and the reason."""

    process: str
    service: str | None
    cause: str
    number: int

    @property
    def kind(self) -> str:
        return _KINDS.get(self.cause.partition(".")[0], "dropped")


class LossLog:
    """`database` is the one that is written to."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def within(self, since: datetime, until: datetime) -> list[dict[str, Any]]:
        """By process and cause, the most losses first."""
        return [dict(row) for row in await self.database.fetch(_WITHIN, since, until)]


async def add_losses(database: Database, connection: Connection, losses: Sequence[Loss], now: datetime) -> None:
    rows = [(loss.process, loss.service, loss.kind, loss.cause, loss.number) for loss in losses]
    await connection.execute(database.sql(_ADD), now, *map(list, zip(*rows, strict=True)))
