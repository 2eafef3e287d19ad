"""Erases a person from Redis and Postgres, step by step, and says what stays.

An erasure can be cut off anywhere. Its first step makes the tables refuse whatever the person did until then, each
further step counts what it removes in its own transaction, and the same call again goes on where it ended.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import orjson

from spanflow.viewer_api.erasure.receipt import Outside, Receipt
from spanflow.viewer_api.erasure.redis_erasure import RedisErasure, StoredFlow
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS

Finished = Callable[[Mapping[str, int]], Awaitable[None]]
log = logging.getLogger(__name__)

#: Rows with their whole trees are removed so many at once.
_FLOWS_AT_ONCE: Final = 100
_ROWS_AT_ONCE: Final = 1000
#: A stream lives a day after its last event, and an hour more does no harm.
_SWEPT_HOURS: Final = 25
_MOST_SWEPT: Final = 5000

_STAYING = """
SELECT (SELECT count(*) FROM {s}.audit_log WHERE target_user = $1) AS audit_rows,
       (SELECT count(*) FROM {s}.user_activities AS activity JOIN {s}.erasures AS erasure USING (user_id)
         WHERE activity.user_id = $1 AND activity.created_at > erasure.erased_until)
         + (SELECT count(*) FROM {s}.interaction_flows AS flow JOIN {s}.erasures AS erasure USING (user_id)
             WHERE flow.user_id = $1 AND flow.started_at > erasure.erased_until) AS later_rows,
       ARRAY(SELECT format('%s.%s', schema_name, table_name) FROM {s}.application_tables
              WHERE table_name <> 'omni2_config' ORDER BY 1) AS application
"""
_STORED = """
SELECT (SELECT count(*) FROM {s}.interaction_flows WHERE user_id = $1) AS flows,
       (SELECT count(*) FROM {s}.user_activities WHERE user_id = $1) AS activities,
       (SELECT count(DISTINCT conversation_id) FROM {s}.user_activities WHERE user_id = $1) AS conversations,
       (SELECT count(*) FROM {s}.user_directory WHERE user_id = $1) AS directory,
       (SELECT count(*) FROM {s}.omni2_config WHERE config_key = 'monitor_user_' || $1) AS watches,
       (SELECT count(*) FROM {s}.poison_records WHERE user_id = $1) AS records,
       (SELECT count(*) FROM {s}.alert_rules WHERE $1 = ANY (user_ids)) AS alerts,
       (SELECT count(*) FROM {s}.share_links WHERE $1 IN (user_id, owner_user_id)) AS share_links,
       (SELECT count(*) FROM {s}.flow_notes WHERE $1 IN (user_id, owner_user_id)) AS notes,
       (SELECT count(*) FROM {s}.saved_filters WHERE $1 = ANY (user_ids) OR $1 = owner_user_id) AS saved_filters
"""
_ERASED = "SELECT FROM {s}.erasures WHERE user_id = $1"
_RUNNING = """
SELECT flow_id FROM {s}.erased_flows
WHERE running AND erased_at > now() - make_interval(hours => $1) ORDER BY erased_at DESC LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Eraser:
    """`erasing` is the way to the database of the role that may erase; `database` the viewer's own."""

    database: Database
    erasing: Database
    redis: RedisErasure
    outside: Outside

    async def was_erased(self, user_id: str) -> bool:
        """Whether an erasure of this user has begun before."""
        return await self.database.fetchrow(_ERASED, user_id) is not None

    async def stored(self, user_id: str) -> dict[str, int]:
        """How much data a user has, by kind; changes nothing."""
        row = await self.database.fetchrow(_STORED, user_id)
        assert row is not None
        try:
            streams = len(await self.redis.flow_ids_of(user_id))
        except REDIS_ERRORS as why:
            raise redis_is_needed() from why
        return {**dict(row), "flows_in_redis": streams}

    async def erase(self, user_id: str, finished: Finished) -> Receipt:
        """Erase everything a user has done so far. `finished` records completion and counts. A
        `Problem` leaves it to be done again."""
        try:
            await self._call("SELECT {s}.begin_erasure($1)", user_id)
            running = await self._erase_running(user_id)
            await self._erase_stored(user_id)
            await self._call("SELECT {s}.erase_alerts($1)", user_id)
            await self._call("SELECT {s}.erase_annotations($1)", user_id)
            while await self._call("SELECT {s}.erase_rest($1, $2)", user_id, _ROWS_AT_ONCE):
                pass
            return await self._receipt(user_id, running, finished)
        except REDIS_ERRORS as why:
            raise redis_is_needed() from why
        except asyncpg.InsufficientPrivilegeError as why:
            raise Problem(
                501,
                "erasure_not_granted",
                "The viewer's database role may not erase: name one that may in SPANFLOW_VIEWER_ERASE_DSN.",
            ) from why
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as why:
            raise unfinished("Writers were in the way for too long.") from why

    async def sweep(self) -> None:
        """Remove from Redis what processes have gone on writing to flows that were erased while they ran."""
        rows = await self.database.fetch(_RUNNING, _SWEPT_HOURS, _MOST_SWEPT)
        try:
            flows = [flow for flow in await self.redis.described([row["flow_id"] for row in rows]) if flow.processes]
            if removed := await self.redis.remove(flows):
                log.info("Removed from Redis what %d erased flows had written since.", removed)
        except REDIS_ERRORS as why:
            log.warning("What erased flows have written since stays in Redis for now: %s", why)

    async def _erase_running(self, user_id: str) -> int:
        """What Redis holds; gives how many flows were running. The tables refuse it first, so that no reaper archives
        what is read here, and the index is what this step is found by when it has to be done again."""
        flow_ids = await self.redis.flow_ids_of(user_id)
        count = 0
        for first in range(0, len(flow_ids), _FLOWS_AT_ONCE):
            some = flow_ids[first : first + _FLOWS_AT_ONCE]
            described = await self.redis.described(some)
            # A gateway may leave a flow in the index of whom it was taken for at first.
            theirs = [flow for flow in described if flow.user_id == user_id]
            running = await self.redis.open_among([flow.flow_id for flow in theirs])
            for still in (True, False):
                flows = [flow for flow in theirs if (flow.flow_id in running) is still]
                await self._refuse(user_id, flows, running=still)
                await self.redis.remove(flows)
            await self.redis.remove_from_index(user_id, some)
            count += len(running)
        return count

    async def _erase_stored(self, user_id: str) -> None:
        while True:
            async with self.erasing.transaction() as connection:
                statement = self.erasing.sql("SELECT * FROM {s}.flows_to_erase($1, $2)")
                rows = await connection.fetch(statement, user_id, _FLOWS_AT_ONCE)
            if not rows:
                return
            flows = [StoredFlow(row["flow_id"], user_id, row["session_id"], row["conversation_id"]) for row in rows]
            # Here Redis comes first: the row is what this step is found by when it has to be done again.
            await self.redis.remove(flows)
            await self._refuse(user_id, flows, running=False)

    async def _refuse(self, user_id: str, flows: Sequence[StoredFlow], *, running: bool) -> None:
        """Remove flows from the tables, which refuse them from then on."""
        if flows:
            flow_ids = [flow.flow_id for flow in flows]
            await self._call("SELECT {s}.erase_flows($1, $2::text[], $3)", user_id, flow_ids, running)

    async def _call(self, text: str, *values: Any) -> Any:
        async with self.erasing.transaction() as connection:
            return await connection.fetchval(self.erasing.sql(text), *values)

    async def _receipt(self, user_id: str, running: int, finished: Finished) -> Receipt:
        async with self.erasing.transaction() as connection:
            done = await connection.fetchrow(self.erasing.sql("SELECT * FROM {s}.finish_erasure($1)"), user_id)
        erased: dict[str, int] = orjson.loads(done["erased"])
        await finished(erased)
        async with self.database.transaction() as connection:
            # Not by way of a replica, which does not know yet.
            left = await connection.fetchrow(self.database.sql(_STAYING), user_id)
        return Receipt(
            user_id=user_id,
            begun_at=done["begun_at"],
            finished_at=done["finished_at"],
            erased_until=done["erased_until"],
            erased=erased,
            running_flows=running,
            audit_rows=left["audit_rows"],
            later_rows=left["later_rows"],
            application_tables=tuple(left["application"]),
            outside=self.outside,
        )


def unfinished(why: str) -> Problem:
    detail = f"{why} The erasure is not finished; send the same request again, and it goes on."
    return Problem(503, "erasure_unfinished", detail, headers={"Retry-After": "5"})


def redis_is_needed() -> Problem:
    return unfinished("Redis cannot be reached.")
