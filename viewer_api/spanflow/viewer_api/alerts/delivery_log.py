"""Deliveries: what is to be sent, and the outcome of each. Rows are queued in the transaction that writes the event."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from spanflow.viewer_api.store.database import Connection, Database, Row

#: A viewer that has taken a delivery and not told its outcome for so long has died.
LEASE: Final = timedelta(seconds=60)
_QUEUE: Final = """
INSERT INTO {s}.alert_deliveries (delivery_id, event_id, channel_id, created_at, due_at, outcome, problem)
SELECT $1, $2, channel_id, $4, $5, $6, $7 FROM {s}.alert_channels WHERE channel_id = $3
"""
_TAKE: Final = """
UPDATE {s}.alert_deliveries
SET attempts = attempts + 1, attempted_at = $1, due_at = $2, outcome = 'sending'
WHERE delivery_id IN (
    SELECT delivery_id FROM {s}.alert_deliveries WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING delivery_id, event_id, channel_id, attempts
"""
#: Only by the one that has it: one whose lease is over has been taken by another viewer.
_SETTLE: Final = """
UPDATE {s}.alert_deliveries SET outcome = $3, status = $4, problem = $5, due_at = $6
WHERE delivery_id = $1 AND attempts = $2
"""
_LIST: Final = """
SELECT delivery.delivery_id, delivery.event_id, event.rule_id, delivery.channel_id, channel.name AS channel,
       channel.kind, delivery.created_at, delivery.attempts, delivery.attempted_at, delivery.outcome,
       delivery.status AS http_status, delivery.problem, delivery.due_at
FROM {s}.alert_deliveries AS delivery
JOIN {s}.alert_channels AS channel USING (channel_id)
LEFT JOIN {s}.alert_events AS event USING (event_id)
WHERE ($1::text IS NULL OR event.rule_id = $1) AND ($2::text IS NULL OR delivery.channel_id = $2)
  AND ($3::timestamptz IS NULL OR (delivery.created_at, delivery.delivery_id) < ($3, $4))
ORDER BY delivery.created_at DESC, delivery.delivery_id DESC LIMIT $5
"""


class Outcome(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    DELIVERED = "delivered"
    #: It failed, and is tried again.
    RETRYING = "retrying"
    #: It is not tried again.
    FAILED = "failed"
    #: Kept back: snoozed, cooldown or not_announced.
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that this viewer is to make now."""

    delivery_id: str
    #: None: a test.
    event_id: int | None
    channel_id: str
    attempts: int


class DeliveryLog:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def queue(
        self,
        connection: Connection,
        event_id: int | None,
        channel_id: str,
        now: datetime,
        *,
        suppressed: str | None = None,
        due: bool = True,
    ) -> str:
        delivery_id = f"msg_{secrets.token_hex(16)}"
        outcome = Outcome.QUEUED if suppressed is None else Outcome.SUPPRESSED
        due_at = now if suppressed is None and due else None
        await connection.execute(
            self.database.sql(_QUEUE), delivery_id, event_id, channel_id, now, due_at, outcome, suppressed
        )
        return delivery_id

    async def take(self, now: datetime, most: int) -> list[Taken]:
        """Deliveries that are due, leased: no other viewer takes them until the lease expires."""
        async with self.database.transaction() as connection:
            rows = await connection.fetch(self.database.sql(_TAKE), now, now + LEASE, most)
        return [Taken(row["delivery_id"], row["event_id"], row["channel_id"], row["attempts"]) for row in rows]

    async def settle(
        self,
        connection: Connection,
        taken: Taken,
        outcome: Outcome,
        *,
        status: int | None,
        problem: str | None,
        due_at: datetime | None = None,
    ) -> None:
        await connection.execute(
            self.database.sql(_SETTLE), taken.delivery_id, taken.attempts, outcome, status, problem, due_at
        )

    async def page(
        self, rule_id: str | None, channel_id: str | None, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Row]:
        """The newest first, after a place in the list."""
        at, delivery_id = after or (None, None)
        async with self.database.transaction() as connection:
            rows: Sequence[Row] = await connection.fetch(
                self.database.sql(_LIST), rule_id, channel_id, at, delivery_id, limit
            )
        return rows
