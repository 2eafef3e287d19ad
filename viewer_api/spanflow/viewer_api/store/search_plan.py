"""How a search reads flows: decided once for a request, and the statements of its pages and counts.

A page comes from an index in the order of the list or from the indexes of the filters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

from spanflow.viewer_api.store.flow_filters import COST, DURATION, TOKENS, Conditions, Filters, Split, split_conditions
from spanflow.viewer_api.store.time_windows import TimeWindow, time_windows_of

#: What a list says about a flow.
SUMMARY: Final = """
flow_id, start_key, session_id, user_id, conversation_id, source, name, outcome, started_at, completed_at, duration_ms,
span_count, cut_spans, checkpoint_count, error_count, tokens_in, tokens_out, cost, tools, models, mcp_servers,
outcome_reason, gate, reason, status_message, event_types
"""
#: Of so many users at most, the newest flows of each are read and merged.
_MAX_MERGED_USERS: Final = 50
#: The columns that only filters read.
_FILTERED: Final = ", ended_at, search"
_TABLE: Final = "{s}.interaction_flows"
_NEWEST_OF_USER: Final = f"SELECT {SUMMARY} FROM {{s}}.newest_flows_of($1, $2, $3, $4)"
#: A moment that no flow begins at or after.
_END_OF_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC)
#: So many flows are read in the order of the list before the indexes of the filters are used.
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


Statement: TypeAlias = tuple[str, list[Any]]


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How the flows that match `filters` are read."""

    filters: Filters
    order: Order
    split: Split
    #: Newest first; together they hold every flow that can match.
    windows: tuple[TimeWindow, ...]
    #: Nothing but the flows of this user is asked for.
    only_user: str | None
    #: The newest flows of each of a few users are merged, because nothing else is asked.
    by_user: bool
    #: The list is read in its order first, then by the indexes of the filters: there is more than one condition.
    two_looks: bool

    @classmethod
    def of(cls, filters: Filters, order: Order = Order.NEWEST) -> "SearchPlan":
        split = split_conditions(filters)
        users = filters.people or ()
        by_user = 1 < len(users) <= _MAX_MERGED_USERS and split.rest == (split.users,)
        if filters.session_ids is not None or filters.conversation_ids is not None:
            two_looks = False
        elif order is Order.NEWEST:
            two_looks = bool(split.rest) and not by_user
        else:
            two_looks = bool(split.all)
        return cls(
            filters=filters,
            order=order,
            split=split,
            windows=tuple(time_windows_of(filters)),
            only_user=users[0] if len(users) == 1 and not split.rest and not split.time else None,
            by_user=by_user,
            two_looks=two_looks,
        )

    def page(self, window: TimeWindow, after: Position | None, limit: int, *, near: bool = False) -> Statement:
        """One page of one window; `near`: only from the next few thousand flows."""
        newest = self.order is Order.NEWEST
        if newest and self.only_user is not None and window == TimeWindow():
            place = (after.start_key, after.flow_id) if after is not None else (_END_OF_TIME, "")
            return _NEWEST_OF_USER, [self.only_user, *place, limit]
        placed = self._conditions()
        text = self._page(placed, window, after, limit, near=near)
        return text, placed.values

    def sorted_page(self, after: Position | None, limit: int) -> Statement:
        """One page of a list that is not in the order of time."""
        placed = self._conditions()
        parts = [self._page(placed, window, after, limit) for window in self.windows]
        if len(parts) == 1:
            return parts[0], placed.values
        united = " UNION ALL ".join(f"({part})" for part in parts)
        order = "ORDER BY sort_key DESC, start_key DESC, flow_id DESC"
        return f"SELECT * FROM ({united}) AS flow {order} LIMIT {int(limit)}", placed.values

    def every(self, columns: str) -> Statement:
        """All flows that match, in no order."""
        return self._united(columns, "")

    def newest(self, columns: str, most: int) -> Statement:
        """So many of each window, in no order."""
        return self._united(columns, f"ORDER BY start_key DESC, flow_id DESC LIMIT {int(most)}")

    def counted(self, window: TimeWindow, most: int) -> Statement:
        """How many flows of one window match, up to `most`."""
        placed = self._conditions()
        conditions = [*self.split.all, *_added(placed, window)]
        flows = f"SELECT 1 FROM {_TABLE} WHERE {_all(conditions)} LIMIT {int(most)}"
        return f"SELECT count(*) AS found FROM ({flows}) AS counted", placed.values

    def expected(self) -> Statement:
        """What the planner is asked about, for an estimate."""
        return f"SELECT 1 FROM {_TABLE} WHERE {_all(self.split.all)}", self.split.values

    def among(self, keys: Sequence[datetime], flow_ids: Sequence[str]) -> Statement:
        """The matching ones of these flows with their users. Each is read by its key, whatever the planner thinks."""
        placed = self._conditions()
        places = f"{placed.value(keys, 'timestamptz[]')}, {placed.value(flow_ids, 'text[]')}"
        conditions = [*self.split.all, "start_key = place.key", "flow_id = place.id"]
        flow = f"SELECT flow_id, user_id FROM {_TABLE} WHERE {_all(conditions)} OFFSET 0"
        text = f"SELECT flow.* FROM unnest({places}) AS place (key, id) CROSS JOIN LATERAL ({flow}) AS flow"
        return text, placed.values

    def spread(self, moments: Sequence[datetime], each: int) -> Statement:
        """So many matching flows before each of these moments."""
        placed = self._conditions()
        (within,) = [window for window in self.windows if not window.outliers_only]
        conditions = [*self.split.all, *_added(placed, within), "start_key <= place.moment"]
        text = (
            f"SELECT flow.* FROM unnest({placed.value(moments, 'timestamptz[]')}) AS place (moment) CROSS JOIN LATERAL "
            f"(SELECT {SUMMARY} FROM {_TABLE} WHERE {_all(conditions)} "
            f"ORDER BY start_key DESC, flow_id DESC LIMIT {int(each)}) AS flow"
        )
        return text, placed.values

    def _united(self, columns: str, ending: str) -> Statement:
        placed = self._conditions()
        parts = []
        for window in self.windows:
            conditions = [*self.split.all, *_added(placed, window)]
            parts.append(f"(SELECT {columns} FROM {_TABLE} WHERE {_all(conditions)} {ending})")
        return " UNION ALL ".join(parts), placed.values

    def _conditions(self) -> Conditions:
        """For what a statement adds; its values come behind those of the filters."""
        return Conditions(self.split.values)

    def _page(
        self, placed: Conditions, window: TimeWindow, after: Position | None, limit: int, *, near: bool = False
    ) -> str:
        split, key = self.split, _KEYS.get(self.order)
        place = _added(placed, window)
        if after is not None:
            place.append(self._behind(placed, after))
        ordered = f"ORDER BY {f'{key} DESC, ' if key else ''}start_key DESC, flow_id DESC"
        columns = SUMMARY + (f", {key} AS sort_key" if key else "")
        ending = f"{ordered} LIMIT {int(limit)}"
        if self.by_user and key is None:
            conditions = _all([*split.ordered, *place, "user_id = person.id"])
            each = f"CROSS JOIN LATERAL (SELECT {columns} FROM {_TABLE} WHERE {conditions} {ending}) AS flow"
            return f"SELECT flow.* FROM unnest({split.user_ids}) AS person (id) {each} {ending}"
        if near:
            # In another order than that of time, only the index of that order is used.
            first, rest = (split.ordered, list(split.rest)) if key is None else ([], split.all)
            inner = f"SELECT {SUMMARY}{_FILTERED} FROM {_TABLE} WHERE {_all([*first, *place])} {ordered}"
            return f"SELECT {columns} FROM ({inner} LIMIT {_NEAR}) AS near WHERE {_all(rest)} {ending}"
        if window.outliers_only:
            # They are few: all of them are read from their own index, and then filtered.
            inner = f"SELECT {SUMMARY}{_FILTERED} FROM {_TABLE} WHERE {_all([*split.time, *place])} OFFSET 0"
            rest = [*split.rest, *([split.lead] if split.lead else [])]
            return f"SELECT {columns} FROM ({inner}) AS few WHERE {_all(rest)} {ending}"
        return f"SELECT {columns} FROM {_TABLE} WHERE {_all([*split.all, *place])} {ending}"

    def _behind(self, placed: Conditions, after: Position) -> str:
        at = f"{placed.value(after.start_key, 'timestamptz')}, {placed.value(after.flow_id, 'text')}"
        key = _KEYS.get(self.order)
        if key is None:
            return f"(start_key, flow_id) < ({at})"
        # Of the index's own type: otherwise it would be of no use.
        value = round(after.value or 0) if self.order is Order.TOKENS else after.value
        return f"({key}, start_key, flow_id) < ({placed.value(value, _KINDS[self.order])}, {at})"


def _added(conditions: Conditions, window: TimeWindow) -> list[str]:
    """The conditions of a window, whose values are added to `conditions`."""
    before = len(conditions.parts)
    window.add_to(conditions)
    return conditions.parts[before:]


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "true"
