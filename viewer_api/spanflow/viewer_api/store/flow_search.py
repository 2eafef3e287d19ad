"""Finds flows by their summary columns, page by page, and counts them. `flow_data` is never opened.

Lists are in the order of time. How a page is found depends on how often flows match, which nobody knows beforehand,
and the planner guesses badly for filters that seldom meet. So a page is first looked for among the next few thousand
flows, read from an index in the order of the list. If they do not fill it, matches are rare, and the indexes of the
filters are asked instead. Should that take long as well, it is given up after a moment, and the list is walked in
slices of time, newest first. A page that ran out of time says until when it has searched, and the next one goes on from
there: so every search ends in time, and each page gets further.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

import orjson

from spanflow.viewer_api.problems import Problem, query_timeout
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.flow_filters import (
    COST,
    DURATION,
    TOKENS,
    Conditions,
    Filters,
    conditions_of,
    split_conditions,
)
from spanflow.viewer_api.store.stretches import Stretch, stretches_of

T = TypeVar("T")

SUMMARY: Final = """
flow_id, start_key, session_id, user_id, conversation_id, source, name, outcome, started_at, completed_at, duration_ms,
span_count, checkpoint_count, error_count, tokens_in, tokens_out, cost, tools, models, mcp_servers, gate, reason,
status_message
"""
#: Up to so many people, each one's newest flows are read apart and put together.
_PEOPLE_APART: Final = 50
#: An exact count goes no further.
MAX_COUNT: Final = 100_000
#: What filters read beside that.
_FILTERED: Final = ", ended_at, event_types, search"
_TABLE: Final = "{s}.interaction_flows"
_OF_PERSON: Final = f"SELECT {SUMMARY} FROM {{s}}.newest_flows_of($1, $2, $3, $4)"
#: A moment that no flow begins at or after.
_AFTER_ALL: Final = datetime(9999, 12, 31, tzinfo=UTC)
#: So many flows are looked at in the order of the list, before the indexes of the filters are asked.
_NEAR: Final = 4000
#: Settings for a statement that is to be read from an index in the order of the list.
IN_ORDER: Final = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off"
#: Settings for a statement that is to be read by the indexes of its filters, and not in the order of the list.
BY_FILTERS: Final = "SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = off"
_EDGES = "SELECT min(start_key) AS oldest, max(start_key) AS newest FROM {s}.interaction_flows"
_FIRST_SLICE: Final = timedelta(days=1)
_WIDE_SLICE: Final = timedelta(days=7)
_MOST_SLICE: Final = timedelta(days=56)
_LEAST_SLICE: Final = timedelta(seconds=10)
_INSTANT: Final = timedelta(microseconds=1)
_LEAST_TIME: Final = 0.05


class Order(StrEnum):
    """What comes first."""

    NEWEST = "newest"
    DURATION = "duration"
    TOKENS = "tokens"
    COST = "cost"


_KEYS: Final = {Order.DURATION: DURATION, Order.TOKENS: TOKENS, Order.COST: COST}
_KINDS: Final = {Order.DURATION: "double precision", Order.TOKENS: "bigint", Order.COST: "double precision"}


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: the next one holds what comes after it."""

    start_key: datetime
    flow_id: str
    #: What the list is sorted by, unless that is time.
    value: float | None = None
    #: The search is being walked in slices; so long was the last one, in seconds.
    slice_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Row]
    #: None: there is nothing further.
    end: Position | None
    #: The page ended for lack of time: everything newer than this has been searched.
    searched_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Count:
    value: int
    #: exact, at_least or estimated.
    kind: str


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

    async def page(self, filters: Filters, order: Order, after: Position | None, limit: int) -> Page:
        if filters.nothing_stored:
            return Page([], None)
        if order is not Order.NEWEST:
            return await self._sorted_page(filters, order, after, limit)
        deadline = _now() + self._patience
        rows: list[Row] = []
        for stretch in stretches_of(filters):
            if after is not None and not stretch.below(after.start_key):
                continue
            found, walk = await self._in_stretch(filters, stretch, after, limit - len(rows), deadline)
            rows += found
            if walk is not None and walk.out_of_time and walk.top is not None:
                reached = Position(walk.top, "", slice_seconds=walk.width.total_seconds())
                return Page(rows, reached, searched_until=walk.top)
            if len(rows) >= limit:
                seconds = walk.width.total_seconds() if walk is not None else None
                return Page(rows, Position(rows[-1]["start_key"], rows[-1]["flow_id"], slice_seconds=seconds))
        return Page(rows, None)

    async def count(self, filters: Filters, cap: int = MAX_COUNT) -> Count:
        """How many stored flows there are: exactly, or «at least» when that takes too long or passes `cap`."""
        if filters.nothing_stored:
            return Count(0, "exact")
        deadline = _now() + self._patience
        conditions = conditions_of(filters)
        total = 0
        for stretch in stretches_of(filters):

            async def read(part: Stretch, within: float) -> bool:
                nonlocal total
                text, values = _counted(conditions, part, cap + 1 - total)
                total += (await self._database.fetch(text, *values, within=within))[0]["found"]
                return bool(total > cap)

            try:
                enough = await read(stretch, self._first_try)
            except Problem as why:
                _must_be_slow(why)
                walk = _Walk(_FIRST_SLICE)
                await self._walk(walk, stretch, None, deadline, read)
                enough = walk.out_of_time
            if enough or total > cap:
                return Count(min(total, cap), "at_least")
        return Count(total, "exact")

    async def estimate(self, filters: Filters) -> Count:
        """How many the planner expects: no row is read."""
        if filters.nothing_stored:
            return Count(0, "estimated")
        conditions = conditions_of(filters)
        text = f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {{s}}.interaction_flows WHERE {conditions.sql}"
        rows = await self._database.fetch(text, *conditions.values)
        plan = rows[0][0]
        plan = orjson.loads(plan) if isinstance(plan, str) else plan
        return Count(round(plan[0]["Plan"]["Plan Rows"]), "estimated")

    async def _in_stretch(
        self, filters: Filters, stretch: Stretch, after: Position | None, limit: int, deadline: float
    ) -> tuple[list[Row], _Walk | None]:
        walk = _Walk(_MOST_SLICE, by_filters=needs_two_looks(filters) and not stretch.outliers_only)
        if after is not None and after.slice_seconds is not None:
            walk.width = timedelta(seconds=after.slice_seconds)
        else:
            text, values = page_statement(filters, stretch, Order.NEWEST, after, limit, near=walk.by_filters)
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

        async def read(part: Stretch, within: float) -> bool:
            text, values = page_statement(filters, part, Order.NEWEST, after, limit - len(rows))
            options = BY_FILTERS if walk.by_filters else ""
            rows.extend(await self._database.fetch(text, *values, within=within, options=options))
            return len(rows) >= limit

        await self._walk(walk, stretch, after, deadline, read)
        return rows, walk

    async def _walk(
        self,
        walk: _Walk,
        stretch: Stretch,
        after: Position | None,
        deadline: float,
        read: Callable[[Stretch, float], Awaitable[bool]],
    ) -> None:
        """Read slices of a stretch, newest first, until `read` has enough, or the end, or the deadline."""
        edges = (await self._database.fetch(_EDGES))[0]
        if edges["oldest"] is None:
            return
        tops = [stretch.high, edges["newest"] + _INSTANT, None if after is None else after.start_key + _INSTANT]
        walk.top = min(moment for moment in tops if moment is not None)
        bottom = edges["oldest"] if stretch.low is None else max(stretch.low, edges["oldest"])
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
                enough = await read(stretch.cut(low, walk.top), left if walk.width <= _LEAST_SLICE else left / 2)
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

    async def _sorted_page(self, filters: Filters, order: Order, after: Position | None, limit: int) -> Page:
        rows: list[Row] = []
        two_looks = needs_two_looks(filters, order)
        if two_looks:
            text, values = page_statement(filters, Stretch(), order, after, limit, near=True)
            rows = await self._database.fetch(text, *values, within=self._patience / 2, options=IN_ORDER)
        if len(rows) < limit:
            text, values = sorted_statement(filters, order, after, limit)
            options = BY_FILTERS if two_looks else ""
            rows = await self._database.fetch(text, *values, within=self._patience, options=options)
        if len(rows) < limit:
            return Page(rows, None)
        last = rows[-1]
        return Page(rows, Position(last["start_key"], last["flow_id"], float(last["sort_key"])))


def needs_two_looks(filters: Filters, order: Order = Order.NEWEST) -> bool:
    """Whether there is anything but one condition whose index is in the order of the list."""
    if filters.session_ids is not None or filters.conversation_ids is not None:
        return False
    split = split_conditions(filters)
    if order is not Order.NEWEST:
        return bool(split.all)
    return bool(split.rest) and not _person_by_person(filters)


def page_statement(
    filters: Filters,
    stretch: Stretch,
    order: Order,
    after: Position | None,
    limit: int,
    before: Sequence[Any] = (),
    *,
    near: bool = False,
) -> tuple[str, list[Any]]:
    """One page of one stretch; `near`: only from the next few thousand flows. `before` are the values of a statement
    that this one becomes a part of."""
    if order is Order.NEWEST and stretch == Stretch() and (person := _only_person(filters)) is not None:
        place = (after.start_key, after.flow_id) if after is not None else (_AFTER_ALL, "")
        return _OF_PERSON, [person, *place, limit]
    apart = order is Order.NEWEST and _person_by_person(filters)
    split = split_conditions(filters, people=not apart, after=before)
    placed = Conditions(split.values)
    stretch.add_to(placed)
    key = _KEYS.get(order)
    if after is not None:
        at = f"{placed.value(after.start_key, 'timestamptz')}, {placed.value(after.flow_id, 'text')}"
        if key is None:
            placed.add(f"(start_key, flow_id) < ({at})")
        else:
            # Of the index's own type: otherwise it would be of no use.
            value = round(after.value or 0) if order is Order.TOKENS else after.value
            placed.add(f"({key}, start_key, flow_id) < ({placed.value(value, _KINDS[order])}, {at})")
    ordered = f"ORDER BY {f'{key} DESC, ' if key else ''}start_key DESC, flow_id DESC"
    columns = SUMMARY + (f", {key} AS sort_key" if key else "")
    ending = f"{ordered} LIMIT {int(limit)}"
    if apart:
        each = (
            f"SELECT {columns} FROM {_TABLE} WHERE {_all([*split.all, *placed.parts, 'user_id = person.id'])} {ending}"
        )
        who = placed.value(filters.people, "text[]")
        text = f"SELECT flow.* FROM unnest({who}) AS person (id) CROSS JOIN LATERAL ({each}) AS flow {ending}"
    elif near:
        if key is None:
            first, rest = [*([split.lead] if split.lead else []), *split.time], list(split.rest)
        else:
            # Read in the order of what they are sorted by, whoever's they are and whenever they were.
            first, rest = [], split.all
        inner = f"SELECT {SUMMARY}{_FILTERED} FROM {_TABLE} WHERE {_all([*first, *placed.parts])} {ordered}"
        text = f"SELECT {columns} FROM ({inner} LIMIT {_NEAR}) AS near WHERE {_all(rest)} {ending}"
    elif stretch.outliers_only:
        # They are few: all of them are read from their own index, and then looked at.
        inner = f"SELECT {SUMMARY}{_FILTERED} FROM {_TABLE} WHERE {_all([*split.time, *placed.parts])} OFFSET 0"
        rest = [*split.rest, *([split.lead] if split.lead else [])]
        text = f"SELECT {columns} FROM ({inner}) AS few WHERE {_all(rest)} {ending}"
    else:
        text = f"SELECT {columns} FROM {_TABLE} WHERE {_all([*split.all, *placed.parts])} {ending}"
    return text, placed.values


def sorted_statement(filters: Filters, order: Order, after: Position | None, limit: int) -> tuple[str, list[Any]]:
    """One page of a list that is sorted by something else than time."""
    values: list[Any] = []
    parts = []
    for stretch in stretches_of(filters):
        text, values = page_statement(filters, stretch, order, after, limit, values)
        parts.append(text)
    return (parts[0] if len(parts) == 1 else _united(parts, limit)), values


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "true"


def _only_person(filters: Filters) -> str | None:
    """The one person whose flows are asked for, when nothing else is."""
    people = filters.people
    if people is None or len(people) != 1:
        return None
    split = split_conditions(filters)
    return None if split.rest or split.time else people[0]


def _person_by_person(filters: Filters) -> bool:
    """Whether a few people's flows are read for each of them and put together, because nothing else is asked."""
    people = filters.people
    if people is None or not 1 < len(people) <= _PEOPLE_APART:
        return False
    return not split_conditions(filters, people=False).rest


def _united(parts: list[str], limit: int) -> str:
    return (
        f"SELECT * FROM ({' UNION ALL '.join(f'({part})' for part in parts)}) AS found "
        f"ORDER BY sort_key DESC, start_key DESC, flow_id DESC LIMIT {int(limit)}"
    )


def _counted(conditions: Conditions, stretch: Stretch, cap: int) -> tuple[str, list[Any]]:
    conditions = conditions.copy()
    stretch.add_to(conditions)
    text = (
        "SELECT count(*) AS found FROM "
        f"(SELECT 1 FROM {{s}}.interaction_flows WHERE {conditions.sql} LIMIT {int(cap)}) AS counted"
    )
    return text, conditions.values


def _must_be_slow(problem: Problem) -> None:
    if problem.code != "query_timeout":
        raise problem


def _now() -> float:
    return asyncio.get_running_loop().time()
