"""How long reading the past takes, against the smallest question that the same server can be asked.

Run as `python -m benchmarks.history_reads {"dsn": …, "rounds": 5}` against a database that `history_flows` has filled;
prints one JSON object with microseconds per read, medians of each round. `statement` is the bare statement, prepared,
on one connection; `store` is what the viewer does for it, with its transaction and time limit.
"""

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg
import orjson

from spanflow.span_processors.archive.postgres import make_pool
from spanflow.span_processors.settings import Settings
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.flows import BY_ID, FlowStore
from spanflow.viewer_api.store.search_plan import SearchPlan
from spanflow.viewer_api.store.time_windows import TimeWindow

READS: Final = 300
LIMIT: Final = 50

Case = Callable[[], Awaitable[Any]]


async def measured(dsn: str, rounds: int) -> dict[str, Any]:
    settings = Settings(postgres_dsn=dsn)
    choose = random.Random(11)
    async with make_pool(settings, "benchmark", command_timeout=60) as pool:
        database = Database(pool, settings.schema, 60)
        store = FlowStore(database)
        known = await database.fetch(
            "SELECT flow_id FROM {s}.flow_keys TABLESAMPLE SYSTEM (0.5) ORDER BY flow_id LIMIT 50"
        )
        people = await database.fetch("SELECT user_id FROM {s}.user_directory ORDER BY user_id LIMIT 20")
        flow_ids, user_ids = [row["flow_id"] for row in known], [row["user_id"] for row in people]
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("SET jit = off")
            list_text, (_, *place) = SearchPlan.of(Filters(user_ids=("1",))).page(TimeWindow(), None, LIMIT)
            nothing = await connection.prepare("SELECT 1")
            by_id = await connection.prepare(database.sql(BY_ID))
            listed = await connection.prepare(database.sql(list_text))
            cases: dict[str, Case] = {
                "statement_select_1_us": lambda: nothing.fetch(),
                "statement_flow_by_id_us": lambda: by_id.fetch(choose.choice(flow_ids), None),
                "statement_last_50_us": lambda: listed.fetch(choose.choice(user_ids), *place),
                "store_select_1_us": lambda: database.fetch("SELECT 1"),
                "store_flow_by_id_us": lambda: store.one(choose.choice(flow_ids), None),
                "store_last_50_us": lambda: store.search.page(
                    SearchPlan.of(Filters(user_ids=(choose.choice(user_ids),))), None, LIMIT
                ),
            }
            await _microseconds(cases)  # warm
            found = [await _microseconds(cases) for _ in range(rounds)]
        finally:
            await connection.close()
    return {
        "flows": len(flow_ids),
        "rounds": found,
        "t9_flow_by_id": _ratio(found, "statement_flow_by_id_us", "statement_select_1_us"),
        "t9_last_50": _ratio(found, "statement_last_50_us", "statement_select_1_us"),
        "store_flow_by_id": _ratio(found, "store_flow_by_id_us", "store_select_1_us"),
        "store_last_50": _ratio(found, "store_last_50_us", "store_select_1_us"),
    }


async def _microseconds(cases: dict[str, Case]) -> dict[str, float]:
    """Medians of the cases, which take turns: one question asked again and again would only find everything ready."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(READS):
        for name, case in cases.items():
            began = time.perf_counter_ns()
            await case()
            taken[name].append((time.perf_counter_ns() - began) / 1000)
    return {name: statistics.median(times) for name, times in taken.items()}


def _ratio(rounds: list[dict[str, float]], name: str, reference: str) -> float:
    return round(statistics.median(one[name] / one[reference] for one in rounds), 2)


if __name__ == "__main__":
    options = orjson.loads(sys.argv[1])
    found = asyncio.run(measured(options["dsn"], options.get("rounds", 5)))
    sys.stdout.write(orjson.dumps(found).decode() + "\n")
