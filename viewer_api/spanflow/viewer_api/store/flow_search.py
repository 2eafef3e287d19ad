"""Finds flows by their summary columns, page by page, and counts them. `flow_data` is never opened.

Lists are in the order of time. How a page is found depends on how often flows match, which is unknown beforehand,
and the planner guesses badly for filters that seldom meet. So a page is first looked for among the next few thousand
flows, read from an index in the order of the list. If they do not fill it, matches are rare, and the indexes of the
filters are asked instead. Should that take long as well, it is given up after a moment, and the list is walked in
slices of time, newest first. A page that ran out of time says until when it has searched, and the next one goes on from
there: so every search ends in time, and each page gets further.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from spanflow.viewer_api.http.problems import Problem, query_timeout
from spanflow.viewer_api.store.counts import Count, planned_rows
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.search_plan import BY_FILTERS, IN_ORDER, Order, Position, SearchPlan
from spanflow.viewer_api.store.time_windows import TimeWindow

#: An exact count goes no further.
MAX_COUNT: Final = 100_000
#: An estimate counts so many itself, for so many seconds.
_FEW: Final = 1000
_MOMENT: Final = 0.1
_EDGES = "SELECT min(start_key) AS oldest, max(start_key) AS newest FROM {s}.interaction_flows"
_KEYS: Final = "SELECT flow_id, start_key FROM {s}.flow_keys WHERE flow_id = ANY ($1::text[])"
_FIRST_SLICE: Final = timedelta(days=1)
_WIDE_SLICE: Final = timedelta(days=7)
_MOST_SLICE: Final = timedelta(days=56)
_LEAST_SLICE: Final = timedelta(seconds=10)
_INSTANT: Final = timedelta(microseconds=1)
_LEAST_TIME: Final = 0.05


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Row]
    #: None: there is nothing further.
    end: Position | None
    #: The page ended for lack of time: everything newer than this has been searched.
    searched_until: datetime | None = None


@dataclass(slots=True)
class _Walk:
    """A walk in slices, and how far it has come."""

    width: timedelta
    #: The indexes of the filters are asked, as long as that is quick.
    by_filters: bool = False
    top: datetime | None = None
    out_of_time: bool = False


class FlowSearch:
    """`first_try` is how long one statement may take before the search goes on in slices, `patience` what all of them
    may take together, both in seconds."""

    def __init__(self, database: Database, *, first_try: float = 1.0, patience: float | None = None) -> None:
        self._database = database
        self._patience = database.timeout * 0.8 if patience is None else patience
        self._first_try = min(first_try, self._patience / 3)

    async def page(self, plan: SearchPlan, after: Position | None, limit: int) -> Page:
        if plan.filters.nothing_stored:
            return Page([], None)
        if plan.order is not Order.NEWEST:
            return await self._sorted_page(plan, after, limit)
        deadline = _now() + self._patience
        rows: list[Row] = []
        for window in plan.windows:
            if after is not None and not window.below(after.start_key):
                continue
            more, walk = await self._in_window(plan, window, after, limit - len(rows), deadline)
            rows += more
            if walk is not None and walk.out_of_time and walk.top is not None:
                reached = Position(walk.top, "", slice_seconds=walk.width.total_seconds())
                return Page(rows, reached, searched_until=walk.top)
            if len(rows) >= limit:
                seconds = walk.width.total_seconds() if walk is not None else None
                return Page(rows, Position(rows[-1]["start_key"], rows[-1]["flow_id"], slice_seconds=seconds))
        return Page(rows, None)

    async def count(self, plan: SearchPlan, cap: int = MAX_COUNT) -> Count:
        """How many stored flows match: exactly, or at least so many when that takes too long or passes `cap`."""
        if plan.filters.nothing_stored:
            return Count(0, "exact")
        deadline = _now() + self._patience
        total = 0

        async def read(part: TimeWindow, within: float) -> bool:
            nonlocal total
            text, values = plan.counted(part, cap + 1 - total)
            total += (await self._database.fetch(text, *values, within=within))[0]["found"]
            return bool(total > cap)

        for window in plan.windows:
            try:
                enough = await read(window, self._first_try)
            except Problem as why:
                _must_be_slow(why)
                walk = _Walk(_FIRST_SLICE)
                await self._walk(walk, window, None, deadline, read)
                enough = walk.out_of_time
            if enough or total > cap:
                return Count(min(total, cap), "at_least")
        return Count(total, "exact")

    async def among(self, plan: SearchPlan, flow_ids: Sequence[str]) -> list[Row]:
        """Those of these flows that are stored and match, with their users. Of running flows, few are."""
        if plan.filters.nothing_stored or not flow_ids:
            return []
        keys = await self._database.fetch(_KEYS, list(flow_ids))
        if not keys:
            return []
        text, values = plan.among([row["start_key"] for row in keys], [row["flow_id"] for row in keys])
        return await self._database.fetch(text, *values)

    async def estimate(self, plan: SearchPlan) -> Count:
        """Exactly where few match. Otherwise what the planner expects, which may be far off: never less than was found
        in a moment."""
        if plan.filters.nothing_stored:
            return Count(0, "exact")
        found = 0
        try:
            for window in plan.windows:
                text, values = plan.counted(window, _FEW + 1 - found)
                found += (await self._database.fetch(text, *values, within=_MOMENT))[0]["found"]
                if found > _FEW:
                    break
            else:
                return Count(found, "exact")
        except Problem as why:
            _must_be_slow(why)
        return Count(max(await planned_rows(self._database, *plan.expected()), found), "estimated")

    async def _in_window(
        self, plan: SearchPlan, window: TimeWindow, after: Position | None, limit: int, deadline: float
    ) -> tuple[list[Row], _Walk | None]:
        walk = _Walk(_MOST_SLICE, by_filters=plan.two_looks and not window.outliers_only)
        if after is not None and after.slice_seconds is not None:
            walk.width = timedelta(seconds=after.slice_seconds)
        else:
            text, values = plan.page(window, after, limit, near=walk.by_filters)
            try:
                within = min(self._first_try, max(deadline - _now(), _LEAST_TIME))
                options = IN_ORDER if walk.by_filters else ""
                near = await self._database.fetch(text, *values, within=within, options=options)
            except Problem as why:
                _must_be_slow(why)
                walk.width = _FIRST_SLICE
            else:
                if len(near) >= limit or not walk.by_filters:
                    return near, None
                walk.width = _WIDE_SLICE
        rows: list[Row] = []

        async def read(part: TimeWindow, within: float) -> bool:
            text, values = plan.page(part, after, limit - len(rows))
            options = BY_FILTERS if walk.by_filters else ""
            rows.extend(await self._database.fetch(text, *values, within=within, options=options))
            return len(rows) >= limit

        await self._walk(walk, window, after, deadline, read)
        return rows, walk

    async def _walk(
        self,
        walk: _Walk,
        window: TimeWindow,
        after: Position | None,
        deadline: float,
        read: Callable[[TimeWindow, float], Awaitable[bool]],
    ) -> None:
        """Read slices of a window, newest first, until `read` has enough, or the end, or the deadline."""
        edges = (await self._database.fetch(_EDGES))[0]
        if edges["oldest"] is None:
            return
        tops = [window.high, edges["newest"] + _INSTANT, None if after is None else after.start_key + _INSTANT]
        walk.top = min(moment for moment in tops if moment is not None)
        bottom = edges["oldest"] if window.low is None else max(window.low, edges["oldest"])
        tried = read_any = False
        while walk.top > bottom:
            left = deadline - _now()
            if left < _LEAST_TIME and tried:
                if not read_any:
                    raise query_timeout()
                walk.out_of_time = True
                return
            # Every page gets further by one slice at least, if that is possible at all.
            left, tried = max(left, _LEAST_TIME), True
            low = max(walk.top - walk.width, bottom)
            began = _now()
            try:
                enough = await read(window.cut(low, walk.top), left if walk.width <= _LEAST_SLICE else left / 2)
            except Problem as why:
                _must_be_slow(why)
                walk.width = max(walk.width / 8, _LEAST_SLICE)
                walk.by_filters = False
                continue
            read_any = True
            if enough:
                return
            walk.top = low
            if _now() - began < self._patience / 8:
                walk.width = min(walk.width * 2, _MOST_SLICE)

    async def _sorted_page(self, plan: SearchPlan, after: Position | None, limit: int) -> Page:
        rows: list[Row] = []
        if plan.two_looks:
            text, values = plan.page(TimeWindow(), after, limit, near=True)
            rows = await self._database.fetch(text, *values, within=self._patience / 2, options=IN_ORDER)
        if len(rows) < limit:
            text, values = plan.sorted_page(after, limit)
            options = BY_FILTERS if plan.two_looks else ""
            rows = await self._database.fetch(text, *values, within=self._patience, options=options)
        if len(rows) < limit:
            return Page(rows, None)
        last = rows[-1]
        return Page(rows, Position(last["start_key"], last["flow_id"], float(last["sort_key"])))


def _must_be_slow(problem: Problem) -> None:
    if problem.code != "query_timeout":
        raise problem


def _now() -> float:
    return asyncio.get_running_loop().time()
