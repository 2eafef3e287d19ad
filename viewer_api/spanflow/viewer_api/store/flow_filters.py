"""The filters of a search of flows, and their SQL conditions."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from math import ceil, floor
from typing import Any, Final, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.archive.search_terms import steps_query, tsquery
from spanflow.viewer_api.store.gates import FUNNEL, later_gates

#: What a running flow is called where outcomes are asked for; nothing that is stored has it.
RUNNING: Final = "running"
#: The last moment that is known of a flow. One that was never finished ends where it began.
ENDED: Final = "coalesce(ended_at, completed_at, started_at)"
TOKENS: Final = "(tokens_in + tokens_out)"
DURATION: Final = "coalesce(duration_ms, -1)"
COST: Final = "coalesce(cost, -1)"

#: Notes are few: the flows are found by them, each by its key.
_SAID: Final = """(start_key, flow_id) IN (
    SELECT place.start_key, place.flow_id FROM {s}.flow_notes AS said JOIN {s}.flow_keys AS place USING (flow_id)
    WHERE said.verdict = ANY ({n}) AND NOT EXISTS (
        SELECT FROM {s}.flow_notes AS newer WHERE newer.flow_id = said.flow_id AND newer.verdict IS NOT NULL
        AND (newer.created_at, newer.note_id) > (said.created_at, said.note_id)))"""
#: How the flow of a connection is called, and that of a message on it. The dashboard says the same (`requestText.ts`).
_WEBSOCKET: Final = "WS "
_MESSAGE: Final = " message"
#: What a connection comes to before anything is said on it.
_NO_STEP: Final = ("auth_check", "span")
_CONNECTION: Final = (
    f"coalesce(name, '') LIKE '{_WEBSOCKET}%' AND name NOT LIKE '%{_MESSAGE}'"
    f" AND event_types <@ '{{{','.join(_NO_STEP)}}}'"
)
#: What a list shows unless it is asked for all: requests with a step, and what did not go well.
WITH_STEPS: Final = f"(outcome IS DISTINCT FROM 'ok' OR checkpoint_count > 0 AND NOT ({_CONNECTION}))"

Choice: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """From `low` to `high`, both included; None is open."""

    low: float | None = None
    high: float | None = None

    def whole(self) -> "Bounds":
        """The same for what is counted: an index of whole numbers is of no use for others."""
        low = None if self.low is None else ceil(self.low)
        return Bounds(low, None if self.high is None else floor(self.high))

    def hold(self, value: float | None) -> bool:
        if self == OPEN:
            return True
        if value is None:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


OPEN: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Filters:
    """Every filter must hold; of several values of one filter, any. None means all."""

    #: Beginnings of the flow's id, in hexadecimal digits.
    id_prefixes: Choice | None = None
    user_ids: Choice | None = None
    session_ids: Choice | None = None
    conversation_ids: Choice | None = None
    sources: Choice | None = None
    outcomes: Choice | None = None
    #: Which kind of denial or error it was.
    outcome_reasons: Choice | None = None
    #: The checkpoint that refused.
    gates: Choice | None = None
    event_types: Choice | None = None
    #: Type and name of a step: `tool_call:tools/call list_snapshots`.
    steps: Choice | None = None
    tools: Choice | None = None
    mcp_servers: Choice | None = None
    models: Choice | None = None
    duration_ms: Bounds = OPEN
    tokens: Bounds = OPEN
    cost: Bounds = OPEN
    #: A flow counts when any moment of it lies from `since` on and before `until`.
    since: datetime | None = None
    until: datetime | None = None
    #: A flow counts when it began from `started_since` on and before `started_until`.
    started_since: datetime | None = None
    started_until: datetime | None = None
    #: The furthest gate that a flow came to.
    stopped_at: Choice | None = None
    #: What operators say of the flow.
    verdicts: Choice | None = None
    #: Words that must all be in the flow, the last one at least as a beginning.
    text: str | None = None
    #: Users whose flows are excluded from text search; None: all users.
    silent: frozenset[str] | None = frozenset()
    #: Whether flows without a step are among them that went well, or still run: open connections, health checks.
    stepless: bool = True
    #: Whose flows may be seen at all; None: all users', and flows without a user.
    visible: frozenset[str] | None = None

    @property
    def people(self) -> list[str] | None:
        """The users whose flows can be found; None: all."""
        if self.visible is None:
            return None if self.user_ids is None else sorted(self.user_ids)
        return sorted(self.visible if self.user_ids is None else self.visible.intersection(self.user_ids))

    @property
    def ended_outcomes(self) -> list[str] | None:
        if self.outcomes is None:
            return None
        return [outcome for outcome in self.outcomes if outcome != RUNNING]

    @property
    def nothing_stored(self) -> bool:
        """Whether no stored flow can be among them."""
        return self.ended_outcomes == [] or self.people == []

    def canonical(self) -> list[Any]:
        """All of it in one form, the same for the same search."""
        return [_plain(getattr(self, field.name)) for field in fields(self)]


def _plain(value: Any) -> Any:
    if isinstance(value, Bounds):
        return [value.low, value.high]
    if isinstance(value, datetime):
        return value.timestamp()
    return sorted(value) if isinstance(value, Collection) and not isinstance(value, str) else value


def has_steps(checkpoints: int, name: str | None, event_types: Iterable[str]) -> bool:
    """Whether somebody asked for something, as `Filters.stepless` means it."""
    return checkpoints > 0 and not (_is_connection(name or "") and set(event_types) <= set(_NO_STEP))


def _is_connection(name: str) -> bool:
    """Whether a flow of this name is a WebSocket's own, not that of a message on it."""
    return name.startswith(_WEBSOCKET) and not name.endswith(_MESSAGE)


class Conditions:
    """Conditions and the values that stand in them as `$n`."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self.parts: list[str] = []
        self.values: list[Any] = list(values)

    def value(self, value: Any, kind: str) -> str:
        self.values.append(value)
        return f"${len(self.values)}::{kind}"

    def add(self, text: str) -> None:
        self.parts.append(text)

    def among(self, column: str, choice: Collection[str] | None) -> None:
        """The column has one of these values."""
        if choice is None:
            return
        if len(choice) == 1:
            self.add(f"{column} = {self.value(next(iter(choice)), 'text')}")
        else:
            self.add(f"{column} = ANY ({self.value(list(choice), 'text[]')})")

    def beginning(self, column: str, prefixes: Choice | None) -> None:
        """The column begins with one of these hexadecimal digits: ranges, which an index serves under any collation."""
        if prefixes is not None:
            ranges = (
                f"{column} >= {self.value(prefix, 'text')} AND {column} < {self.value(f'{prefix}g', 'text')}"
                for prefix in prefixes
            )
            self.add(f"({' OR '.join(ranges)})")

    def within(self, expression: str, bounds: Bounds, kind: str) -> None:
        if bounds.low is not None:
            self.add(f"{expression} >= {self.value(bounds.low, kind)}")
        if bounds.high is not None:
            self.add(f"{expression} <= {self.value(bounds.high, kind)}")
            if bounds.low is None:
                self.add(f"{expression} >= 0")

    @property
    def sql(self) -> str:
        return " AND ".join(self.parts) or "true"


@dataclass(frozen=True, slots=True)
class Split:
    """Conditions in three: the one whose index is in the order of time, the range of time, and all others."""

    lead: str | None
    time: tuple[str, ...]
    rest: tuple[str, ...]
    values: list[Any]
    #: Of several users: their condition among the others, and the placeholder of their ids.
    users: str | None = None
    user_ids: str | None = None

    @property
    def ordered(self) -> list[str]:
        """Those that an index in the order of time serves."""
        return [*([self.lead] if self.lead else []), *self.time]

    @property
    def all(self) -> list[str]:
        return [*self.ordered, *self.rest]


def split_conditions(filters: Filters) -> Split:
    """Everything but the place in the list."""
    conditions = Conditions()
    leads: list[str] = []
    users = user_ids = None
    for column, choice in (
        ("session_id", filters.session_ids),
        ("conversation_id", filters.conversation_ids),
        ("user_id", filters.people),
        ("gate", filters.gates),
        ("outcome_reason", filters.outcome_reasons),
        ("outcome", filters.ended_outcomes),
        ("source", filters.sources),
    ):
        if choice is None:
            continue
        start = len(conditions.parts)
        conditions.among(column, choice)
        if column == "user_id" and len(choice) > 1:
            users, user_ids = conditions.parts[-1], f"${len(conditions.values)}::text[]"
        elif column in ("gate", "outcome_reason"):
            # These stand in the words of the indexes, so that they may be used.
            conditions.add(f"{column} IS NOT NULL")
        elif column == "outcome" and names.OUTCOME_OK not in choice:
            conditions.add("outcome <> 'ok'")
        if len(choice) == 1 and list(choice) != [names.OUTCOME_OK]:
            leads.append(" AND ".join(conditions.parts[start:]))
            if len(leads) == 1:
                del conditions.parts[start:]
    _add_unindexed(conditions, filters)
    time = _times(conditions, filters)
    return Split(leads[0] if leads else None, tuple(time), tuple(conditions.parts), conditions.values, users, user_ids)


def _add_unindexed(conditions: Conditions, filters: Filters) -> None:
    """What no index serves in the order of time."""
    for column in ("event_types", "tools", "mcp_servers", "models"):
        wanted: Choice | None = getattr(filters, column)
        if wanted is not None:
            conditions.add(f"{column} && {conditions.value(list(wanted), 'text[]')}")
    if filters.steps is not None:
        conditions.add(f"search @@ {conditions.value(steps_query(filters.steps), 'tsquery')}")
    if not filters.stepless:
        conditions.add(WITH_STEPS)
    conditions.beginning("flow_id", filters.id_prefixes)
    conditions.within(DURATION, filters.duration_ms, "double precision")
    conditions.within(TOKENS, filters.tokens.whole(), "bigint")
    conditions.within(COST, filters.cost, "double precision")
    if filters.text is not None and (words := tsquery(filters.text)) is not None:
        conditions.add(f"search @@ {conditions.value(words, 'tsquery')}")
        conditions.add(unless_silent(conditions, filters.silent))
    if filters.verdicts is not None:
        conditions.add(_SAID.replace("{n}", conditions.value(list(filters.verdicts), "text[]")))
    if filters.stopped_at is not None:
        conditions.add(_stopped_at(conditions, filters.stopped_at))


def _times(conditions: Conditions, filters: Filters) -> list[str]:
    bounds = (
        (ENDED, ">=", filters.since),
        ("started_at", "<", filters.until),
        ("started_at", ">=", filters.started_since),
        ("started_at", "<", filters.started_until),
    )
    return [
        f"{column} {compared} {conditions.value(moment, 'timestamptz')}"
        for column, compared, moment in bounds
        if moment is not None
    ]


def _stopped_at(conditions: Conditions, gates: Choice) -> str:
    """Whether a flow came to one of these gates and to none behind it."""
    parts = []
    for gate in FUNNEL:
        if gate in gates:
            reached = f"event_types @> {conditions.value([gate], 'text[]')}"
            later = later_gates(gate)
            beyond = f" AND NOT event_types && {conditions.value(list(later), 'text[]')}" if later else ""
            parts.append(f"({reached}{beyond})")
    return f"({' OR '.join(parts)})" if parts else "false"


def unless_silent(conditions: Conditions, silent: frozenset[str] | None) -> str:
    """The condition under which a text may find what is a user's."""
    if not silent:
        return "false" if silent is None else "true"
    return f"(user_id IS NULL OR user_id <> ALL ({conditions.value(sorted(silent), 'text[]')}))"
