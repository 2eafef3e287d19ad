"""What Postgres really read for the statements of a store."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

from spanflow.viewer_api.store.database import Database, Row


@dataclass
class Readings:
    """Of all statements since the last `clear`."""

    #: Rows that scans of tables and indexes looked at, kept or not.
    rows: int = 0
    indexes: set[str] = field(default_factory=set)
    #: Tables that were read from beginning to end.
    whole: set[str] = field(default_factory=set)
    #: As the server says, the planning included.
    milliseconds: float = 0.0

    def clear(self) -> None:
        self.rows = 0
        self.indexes.clear()
        self.whole.clear()
        self.milliseconds = 0.0


class ExplainedDatabase(Database):
    """Runs each statement under EXPLAIN ANALYZE first and remembers what was read for it."""

    def __init__(self, pool: asyncpg.Pool, schema: str = "omni2", timeout: float = 60.0) -> None:
        super().__init__(pool, schema, timeout)
        self.readings = Readings()

    async def fetch(self, text: str, *values: Any, within: float | None = None, options: str = "") -> list[Row]:
        if not text.startswith("EXPLAIN"):
            plan = await super().fetch(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {text}", *values, options=options)
            self._add(plan[0][0])
        return await super().fetch(text, *values, within=within, options=options)

    async def fetchrow(self, text: str, *values: Any) -> Row | None:
        rows = await self.fetch(text, *values)
        return rows[0] if rows else None

    def _add(self, explained: str) -> None:
        (told,) = orjson.loads(explained)
        self.readings.milliseconds += told["Planning Time"] + told["Execution Time"]
        for node in _nodes(told["Plan"]):
            kind = node["Node Type"]
            if "Scan" not in kind or not node["Actual Loops"]:
                continue
            if "Index Name" in node:
                self.readings.indexes.add(node["Index Name"])
            elif kind == "Seq Scan" and node["Actual Rows"] + node.get("Rows Removed by Filter", 0):
                self.readings.whole.add(node["Relation Name"])
            elif "Relation Name" not in node:
                continue
            looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            looked_at += node.get("Rows Removed by Index Recheck", 0)
            self.readings.rows += int(looked_at * node["Actual Loops"])


@asynccontextmanager
async def explained(dsn: str) -> AsyncIterator[ExplainedDatabase]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        yield ExplainedDatabase(pool)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)
