"""How many rows a list has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import orjson

from spanflow.viewer_api.http.list_query import Counting
from spanflow.viewer_api.store.database import Database

F = TypeVar("F", contravariant=True)


@dataclass(frozen=True, slots=True)
class Count:
    value: int
    #: exact, at_least or estimated.
    kind: str

    def shown(self) -> dict[str, Any]:
        return {"value": self.value, "kind": self.kind}


class Countable(Protocol[F]):
    async def count(self, filters: F) -> Count: ...

    async def estimate(self, filters: F) -> Count: ...


async def counted(source: Countable[F], filters: F, counting: Counting) -> dict[str, Any]:
    """The member `count` of an answer, if it was asked for."""
    if counting is Counting.NONE:
        return {}
    count = await (source.count(filters) if counting is Counting.EXACT else source.estimate(filters))
    return {"count": count.shown()}


async def planned_rows(database: Database, text: str, values: Sequence[Any]) -> int:
    """How many rows the planner expects; none is read."""
    plan = (await database.fetch(f"EXPLAIN (FORMAT JSON) {text}", *values))[0][0]
    plan = orjson.loads(plan) if isinstance(plan, str) else plan
    rows: int = round(plan[0]["Plan"]["Plan Rows"])
    return rows
