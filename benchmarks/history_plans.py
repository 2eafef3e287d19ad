"""What Postgres reads for a statement: its plan, with the rows that were really looked at."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson


@dataclass(frozen=True, slots=True)
class Reading:
    """What one statement took."""

    #: Rows of tables that were looked at, kept or not.
    rows: int
    #: Entries of indexes that bitmaps were made of; a hundred of them cost about what one row does.
    entries: int
    #: Tables that were read from beginning to end.
    whole_tables: tuple[str, ...]
    milliseconds: float
    plan: dict[str, Any]


async def reading(connection: asyncpg.Connection, text: str, values: list[Any], options: str = "") -> Reading:
    """Run a statement under EXPLAIN ANALYZE."""
    async with connection.transaction(readonly=True):
        await connection.execute(f"SET LOCAL jit = off; {options}")
        found = await connection.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {text}", *values)
    (explained,) = orjson.loads(found)
    nodes = list(_nodes(explained["Plan"]))
    return Reading(
        rows=sum(_looked_at(node) for node in nodes if node["Node Type"] != "Bitmap Index Scan"),
        entries=sum(_looked_at(node) for node in nodes if node["Node Type"] == "Bitmap Index Scan"),
        whole_tables=tuple(
            node["Relation Name"]
            for node in nodes
            if node["Node Type"] == "Seq Scan" and node["Actual Loops"] and _looked_at(node)
        ),
        milliseconds=explained["Execution Time"] + explained["Planning Time"],
        plan=explained["Plan"],
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _looked_at(node: dict[str, Any]) -> int:
    if "Scan" not in node["Node Type"] or node["Node Type"] in {"Function Scan", "Subquery Scan", "CTE Scan"}:
        return 0
    kept = node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int(kept * node["Actual Loops"])


@dataclass(frozen=True, slots=True)
class Answer:
    """What was read for one question that a client can ask, with all statements that this takes."""

    question: str
    #: Rows of tables that were looked at.
    rows: int
    #: As many as may be.
    allowed: int
    whole_tables: tuple[str, ...]
    milliseconds: float

    @property
    def fault(self) -> str | None:
        """Why this is not as it should be; None when it is."""
        if self.whole_tables:
            return f"reads from beginning to end: {', '.join(sorted(set(self.whole_tables)))}"
        return f"{self.rows} rows, {self.allowed} allowed" if self.rows > self.allowed else None


def faults(answers: Iterable[Answer]) -> dict[str, str]:
    """By question, what is wrong."""
    return {answer.question: answer.fault for answer in answers if answer.fault is not None}
