"""Counts what gateways have lost, as they tell it in Redis: totals of each process since it began.

What of them has been counted is kept in the database and changed in the transaction that counts, by one viewer at a
time, so that each loss is counted once, whichever viewer counts it. A process that starts again is another one, with
an id of its own; a total that is lower than before is an old one, of a Redis that was restored, and counts nothing.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from spanflow.viewer_api.alerts.loss_log import Loss, add_losses
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Connection, Database
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS, RedisFlows, unless_cancelled

log = logging.getLogger(__name__)

#: Causes that one process can have.
_MAX_CAUSES: Final = 50
_MAX_NAME: Final = 200
_MAX_TOTAL: Final = 2**53
_TURN: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))"
_COUNTED: Final = "SELECT process, cause, total FROM {s}.process_losses WHERE process = ANY ($1::text[])"
_KEEP: Final = """
INSERT INTO {s}.process_losses (process, cause, total, told_at)
SELECT told.process, told.cause, told.total, $1
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS told (process, cause, total)
ON CONFLICT (process, cause) DO UPDATE
SET total = greatest(process_losses.total, excluded.total), told_at = excluded.told_at
WHERE process_losses.total < excluded.total OR process_losses.told_at < excluded.told_at - interval '1 hour'
"""


class GatewayLosses:
    """`database` is the one that is written to."""

    def __init__(self, database: Database, redis: RedisFlows) -> None:
        self._database = database
        self._redis = redis

    async def count(self, now: datetime) -> None:
        """Count what is new, unless another viewer does just now. What cannot be counted now is counted later."""
        try:
            async with self._database.transaction() as connection:
                if await connection.fetchval(self._database.sql(_TURN), self._database.sql("losses of {s}")):
                    await self._count(self._database, connection, now)
        except REDIS_ERRORS as why:
            unless_cancelled()
            log.debug("Losses of gateways cannot be read now: %s", why)
        except Problem as why:
            log.debug("Losses of gateways cannot be counted now: %s", why.code)
        except asyncpg.PostgresError as why:
            log.warning("Losses of gateways cannot be counted: %s", why)

    async def _count(self, database: Database, connection: Connection, now: datetime) -> None:
        told = [
            (process, cause, total)
            for process, answer in (await self._redis.losses()).items()
            for cause, total in _totals(answer).items()
        ]
        if not told:
            return
        processes = sorted({process for process, _, _ in told})
        rows = await connection.fetch(database.sql(_COUNTED), processes)
        counted = {(row["process"], row["cause"]): row["total"] for row in rows}
        await connection.execute(database.sql(_KEEP), now, *map(list, zip(*told, strict=True)))
        added = [(process, cause, total - counted.get((process, cause), 0)) for process, cause, total in told]
        added = [each for each in added if each[2] > 0]
        if added:
            about = await self._redis.about({process for process, _, _ in added})
            losses = [Loss(process, _service(about.get(process)), cause, number) for process, cause, number in added]
            await add_losses(database, connection, losses, now)


def _totals(answer: bytes) -> dict[str, int]:
    """By cause; nothing that is not as we write it."""
    try:
        told = orjson.loads(answer)
    except ValueError:
        return {}
    items = list(told.items())[:_MAX_CAUSES] if isinstance(told, dict) else []
    return {
        cause[:_MAX_NAME].replace("\0", ""): total
        for cause, total in items
        if type(total) is int and 0 < total < _MAX_TOTAL
    }


def _service(about: Mapping[str, Any] | None) -> str | None:
    resource: Any = (about or {}).get("resource")
    attributes = resource.get("attributes") if isinstance(resource, dict) else None
    name = attributes.get("service.name") if isinstance(attributes, dict) else None
    return name[:_MAX_NAME].replace("\0", "") if isinstance(name, str) and name else None
