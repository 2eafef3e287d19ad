"""Questions to a database that `history_flows` has filled, and how many flows the viewer may look at for each.

`CASES` are searches of every kind: what most flows have and what hardly any has, alone and together.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from benchmarks.history_plans import Answer, Reading, reading
from spanflow.viewer_api.store.flow_filters import Bounds, Filters
from spanflow.viewer_api.store.search_plan import BY_FILTERS, IN_ORDER, Order, Position, SearchPlan
from spanflow.viewer_api.store.time_windows import TimeWindow

NOW: Final = datetime.now(UTC)
THEN: Final = NOW - timedelta(weeks=6)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
#: The next 4,000 flows in the order of a list are looked at first, and beside a time range the few that last for hours.
_FIRST_LOOK: Final = 6000
#: In the order of time the first look fills a page unless fewer than 50 of those 4,000 match. Then all that match are
#: read: an eightieth of the flows, or a little more where matches are uneven.
_RARE: Final = 50
#: In another order the first look may miss what is frequent: the cheapest of six models has nothing among the dearest
#: flows, and then all its flows are read, a sixth of everything.
_AT_WORST: Final = 5

CASES: Final[dict[str, Filters]] = {
    "everything": Filters(),
    "one person": Filters(user_ids=("5",)),
    "somebody who is hardly ever there": Filters(user_ids=("900",)),
    "three people": Filters(user_ids=("1", "500", "900")),
    "visible people": Filters(visible=frozenset(map(str, range(600, 700)))),
    "a visible and an invisible one": Filters(user_ids=("1", "650"), visible=frozenset(map(str, range(600, 700)))),
    "nobody": Filters(user_ids=("1",), visible=frozenset({"2"})),
    "a session": Filters(session_ids=("s777",)),
    "two sessions of visible people": Filters(session_ids=("s777", "s778"), visible=frozenset(map(str, range(1, 50)))),
    "a conversation": Filters(conversation_ids=("c777",)),
    "a source": Filters(sources=("mcp",)),
    "a rare source": Filters(sources=("rare_source",)),
    "what went well": Filters(outcomes=("ok",)),
    "what went wrong": Filters(outcomes=("error", "denied")),
    "what was cut short": Filters(outcomes=("interrupted",)),
    "what runs": Filters(outcomes=("running",)),
    "a gate": Filters(gates=("usage_check",)),
    "a checkpoint": Filters(event_types=("tool_call",)),
    "a rare checkpoint": Filters(event_types=("rare_step",)),
    "a tool": Filters(tools=("tool_30",)),
    "a rare tool or another": Filters(tools=("rare_tool", "tool_39")),
    "a rare server": Filters(mcp_servers=("rare_mcp",)),
    "a model": Filters(models=("model-1",)),
    "a rare model": Filters(models=("rare-model",)),
    "a word": Filters(text="w200"),
    "a rare word": Filters(text="needle"),
    "a word that is nowhere": Filters(text="nosuchword"),
    "the beginning of a word": Filters(text="nee"),
    "hours long": Filters(duration_ms=Bounds(3.6e6)),
    "very short": Filters(duration_ms=Bounds(None, 41)),
    "many tokens": Filters(tokens=Bounds(9000.5)),
    "no tokens": Filters(tokens=Bounds(0, 0)),
    "expensive": Filters(cost=Bounds(0.019)),
    "an hour": Filters(since=THEN, until=THEN + HOUR),
    "a day": Filters(since=THEN, until=THEN + DAY),
    "since": Filters(since=NOW - timedelta(weeks=3)),
    "until": Filters(until=NOW - timedelta(weeks=12)),
    "errors of a day": Filters(outcomes=("error",), since=THEN, until=THEN + DAY),
    "a tool of one person": Filters(user_ids=("1",), tools=("tool_30",)),
    "a rare tool of one person": Filters(user_ids=("1",), tools=("rare_tool",)),
    "a word of somebody": Filters(user_ids=("30",), text="w5"),
    "two that never meet": Filters(event_types=("block_check",), tools=("tool_0",)),
    "long ones of a server in three weeks": Filters(
        mcp_servers=("mcp_1",), duration_ms=Bounds(20e3), since=THEN - 21 * DAY, until=THEN
    ),
}


async def readings(
    connection: asyncpg.Connection, filters: Filters, order: Order, after: Position | None
) -> list[Reading]:
    """What the statements of one page read, in the order in which a search tries them."""
    done: list[Reading] = []

    async def ask(statement: tuple[str, list[Any]], options: str = "") -> int:
        text, values = statement
        done.append(await reading(connection, text.replace("{s}", '"omni2"'), values, options))
        return int(done[-1].plan["Actual Rows"])

    plan = SearchPlan.of(filters, order)
    if order is not Order.NEWEST:
        first = plan.page(TimeWindow(), after, 50, near=True)
        found = await ask(first, IN_ORDER) if plan.two_looks else 0
        if found < 50:
            await ask(plan.sorted_page(after, 50), BY_FILTERS if plan.two_looks else "")
        return done
    left = 50
    for window in plan.windows:
        if after is not None and not window.below(after.start_key):
            continue
        near = plan.two_looks and not window.outliers_only
        found = await ask(plan.page(window, after, left, near=near), IN_ORDER if near else "")
        if near and found < left:
            found = await ask(plan.page(window, after, left), BY_FILTERS)
        left -= found
        if left <= 0:
            break
    return done


async def searches(dsn: str, *orders: Order) -> list[Answer]:
    """What every case reads, on its first page and on one far behind, in each of these orders."""
    found: list[Answer] = []
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    try:
        flows = await connection.fetchval('SELECT count(*) FROM "omni2".flow_keys')
        for name, filters in CASES.items():
            if filters.nothing_stored:
                continue
            matches = await _matches(connection, filters, flows)
            for order in orders:
                for after in (None, Position(THEN, "0", None if order is Order.NEWEST else 3000.0)):
                    done = await readings(connection, filters, order, after)
                    found.append(
                        Answer(
                            question=f"{name}, {order}, {'deep' if after else 'first'}",
                            rows=sum(each.rows for each in done),
                            allowed=_FIRST_LOOK
                            + min(matches, flows // (_RARE if order is Order.NEWEST else _AT_WORST)),
                            whole_tables=tuple(table for each in done for table in each.whole_tables),
                            milliseconds=sum(each.milliseconds for each in done),
                        )
                    )
    finally:
        await connection.close()
    return found


async def _matches(connection: asyncpg.Connection, filters: Filters, most: int) -> int:
    text, values = SearchPlan.of(filters).counted(TimeWindow(), most)
    return int(await connection.fetchval(text.replace("{s}", '"omni2"'), *values))
