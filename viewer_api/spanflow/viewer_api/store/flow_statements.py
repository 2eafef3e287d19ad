"""The statements of a search: a page of the list, from an index in its order or by the indexes of its filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from spanflow.viewer_api.store.flow_filters import COST, DURATION, TOKENS, Conditions, Filters, split_conditions
from spanflow.viewer_api.store.time_windows import TimeWindow, time_windows_of

#: What a list says about a flow.
SUMMARY: Final = """
flow_id, start_key, session_id, user_id, conversation_id, source, name, outcome, started_at, completed_at, duration_ms,
span_count, cut_spans, checkpoint_count, error_count, tokens_in, tokens_out, cost, tools, models, mcp_servers,
outcome_reason, gate, reason, status_message, event_types
"""
#: Up to so many people, each one's newest flows are read apart and put together.
_PEOPLE_APART: Final = 50
#: What filters read beside that.
_FILTERED: Final = ", ended_at, search"
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
    stretch: TimeWindow,
    order: Order,
    after: Position | None,
    limit: int,
    before: Sequence[Any] = (),
    *,
    near: bool = False,
) -> tuple[str, list[Any]]:
    """One page of one stretch; `near`: only from the next few thousand flows. `before` are the values of a statement
    that this one becomes a part of."""
    if order is Order.NEWEST and stretch == TimeWindow() and (person := _only_person(filters)) is not None:
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
    for stretch in time_windows_of(filters):
        text, values = page_statement(filters, stretch, order, after, limit, values)
        parts.append(text)
    return (parts[0] if len(parts) == 1 else _united(parts, limit)), values


def every_flow(filters: Filters, columns: str) -> tuple[str, list[Any]]:
    """All flows that match, in no order."""
    values: list[Any] = []
    parts = []
    for stretch in time_windows_of(filters):
        split = split_conditions(filters, after=values)
        placed = Conditions(split.values)
        stretch.add_to(placed)
        parts.append(f"SELECT {columns} FROM {_TABLE} WHERE {_all([*split.all, *placed.parts])}")
        values = placed.values
    return " UNION ALL ".join(parts), values


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
