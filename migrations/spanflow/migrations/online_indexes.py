"""Builds indexes of partitions that already hold flows, without blocking writers.

A revision makes such an index on the partitioned table alone; this gives it its parts, one partition after the other,
newest first. It can be stopped at any time: the next run goes on where it ended.
"""

import asyncio
from typing import Final

import asyncpg

from spanflow.migrations.scripts import quoted

#: Polling interval while another process builds.
_PATIENCE: Final = 0.5

#: The same for psql, which runs each line of an answer as a statement, outside of any transaction.
PSQL: Final = """\\set QUIET on
SELECT format('DROP INDEX CONCURRENTLY {schema}.%I', index)
FROM {schema}.missing_flow_indexes() WHERE state = 'broken' \\gexec
SELECT 'CREATE INDEX CONCURRENTLY ' || definition FROM {schema}.missing_flow_indexes() WHERE state = 'missing' \\gexec
SELECT format('ALTER INDEX {schema}.%I ATTACH PARTITION {schema}.%I', parent, index)
FROM {schema}.missing_flow_indexes() WHERE state = 'built' \\gexec
"""


async def build_missing(dsn: str, schema: str, patience: float) -> int:
    """Build and attach what is missing; gives how many indexes that were. Processes that do it at once take turns."""
    guard = await asyncpg.connect(dsn, timeout=patience, statement_cache_size=0)
    try:
        worker = await asyncpg.connect(dsn, timeout=patience, statement_cache_size=0)
        try:
            return await _build(guard, worker, schema)
        finally:
            await worker.close()
    finally:
        await guard.close()


async def _build(guard: asyncpg.Connection, worker: asyncpg.Connection, schema: str) -> int:
    built = 0
    while await _missing(worker, schema):
        # Held by an idle transaction of another connection: a concurrent build waits for every transaction
        # with a snapshot, and one that waits for a lock has one. Hence the asking again instead of waiting.
        turn = guard.transaction()
        await turn.start()
        try:
            ours = await guard.fetchval(
                "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", f"spanflow indexes {schema}"
            )
            # A query with parameters stays open, its snapshot too, until the next one without any takes its place.
            await guard.execute("SELECT")
            if ours:
                for row in await _missing(worker, schema):
                    await _build_one(worker, schema, row)
                    built += 1
                return built
        finally:
            await turn.rollback()
        await asyncio.sleep(_PATIENCE)
    return built


async def _missing(worker: asyncpg.Connection, schema: str) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await worker.fetch(f"SELECT * FROM {quoted(schema)}.missing_flow_indexes()")
    return rows


async def _build_one(worker: asyncpg.Connection, schema: str, row: asyncpg.Record) -> None:
    if row["state"] == "broken":
        await worker.execute(f"DROP INDEX CONCURRENTLY {quoted(schema)}.{quoted(row['index'])}")
    if row["state"] != "built":
        await worker.execute(f"CREATE INDEX CONCURRENTLY {row['definition']}")
    await worker.execute(
        f"ALTER INDEX {quoted(schema)}.{quoted(row['parent'])} ATTACH PARTITION {quoted(schema)}.{quoted(row['index'])}"
    )
