"""Rules, their states and what they found, in Postgres."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from spanflow.viewer_api.alerts.observation import Level
from spanflow.viewer_api.alerts.rule import Definition, Rule
from spanflow.viewer_api.alerts.state_machine import Memory, Transition
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Connection, Database, Row

MAX_RULES: Final = 200
_COLUMNS: Final = """
rule.rule_id, rule.definition, rule.enabled, rule.snoozed_until, rule.version, rule.created_at, rule.created_by,
rule.changed_at, rule.changed_by, state.memory, state.version AS state_version, state.flow_ids, state.checked_at
"""
_ALL: Final = f"""
SELECT {_COLUMNS} FROM {{s}}.alert_rules AS rule LEFT JOIN {{s}}.alert_states AS state USING (rule_id)
WHERE $1::text[] IS NULL OR (rule.user_ids IS NOT NULL AND rule.user_ids <@ $1)
ORDER BY rule.created_at DESC, rule.rule_id LIMIT {MAX_RULES}
"""
_ONE: Final = f"""
SELECT {_COLUMNS} FROM {{s}}.alert_rules AS rule LEFT JOIN {{s}}.alert_states AS state USING (rule_id)
WHERE rule_id = $1
"""
_ADD: Final = """
INSERT INTO {s}.alert_rules (rule_id, definition, user_ids, enabled, created_at, created_by, changed_at, changed_by)
SELECT $1, $2::jsonb, $3::text[], $4, $5, $6, $5, $6 WHERE (SELECT count(*) FROM {s}.alert_rules) < $7
"""
_CHANGE: Final = """
UPDATE {s}.alert_rules
SET definition = $2::jsonb, user_ids = $3::text[], enabled = $4, changed_at = $5, changed_by = $6, version = version + 1
WHERE rule_id = $1 AND ($7::integer IS NULL OR version = $7)
"""
_SNOOZE: Final = "UPDATE {s}.alert_rules SET snoozed_until = $2 WHERE rule_id = $1"
_DELETE: Final = "DELETE FROM {s}.alert_rules WHERE rule_id = $1"
#: Waits for whoever is deleting the rule, and is empty then: the reference to it would fail otherwise.
_STILL_THERE: Final = "(SELECT FROM {s}.alert_rules WHERE rule_id = $1 FOR KEY SHARE) AS rule"
_KEEP_STATE: Final = f"""
INSERT INTO {{s}}.alert_states (rule_id, version, memory, flow_ids, checked_at)
SELECT $1, $2, $3::jsonb, $4::text[], $5 FROM {_STILL_THERE}
ON CONFLICT (rule_id) DO UPDATE
SET version = excluded.version, memory = excluded.memory, flow_ids = excluded.flow_ids, checked_at = excluded.checked_at
"""
_ADD_EVENT: Final = f"""
INSERT INTO {{s}}.alert_events (rule_id, at, kind, level, value, threshold, baseline, since, until, flow_ids)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $2, $9::text[] FROM {_STILL_THERE}
RETURNING event_id
"""
_EVENT_COLUMNS: Final = """
SELECT event.event_id, event.rule_id, event.at, event.kind, event.level, event.value, event.threshold, event.baseline,
       event.since, event.until, event.flow_ids, lost.losses, rule.definition, rule.enabled, rule.snoozed_until,
       rule.version, rule.created_at, rule.created_by, rule.changed_at, rule.changed_by
FROM {s}.alert_events AS event JOIN {s}.alert_rules AS rule USING (rule_id)
LEFT JOIN LATERAL (
    SELECT jsonb_agg(line) AS losses FROM (
        SELECT service, process, kind, cause, sum(number) AS number FROM {s}.loss_reports
        WHERE at >= event.since AND at <= event.until AND (rule.definition #> '{condition,of}') ? kind
        GROUP BY service, process, kind, cause ORDER BY number DESC, process, cause LIMIT 20
    ) AS line
) AS lost ON rule.definition #>> '{condition,kind}' = 'losses'
"""
_EVENT: Final = f"{_EVENT_COLUMNS} WHERE event.event_id = $1"
_EVENTS: Final = f"""{_EVENT_COLUMNS}
WHERE ($1::text[] IS NULL OR (rule.user_ids IS NOT NULL AND rule.user_ids <@ $1))
  AND ($2::text IS NULL OR event.rule_id = $2) AND ($3::bigint IS NULL OR event.event_id < $3)
  AND ($4::bigint IS NULL OR event.event_id > $4)
"""
_NEWEST_FIRST: Final = "ORDER BY event.event_id DESC LIMIT $5"
_OLDEST_FIRST: Final = "ORDER BY event.event_id LIMIT $5"
_NEWEST_EVENT: Final = "SELECT coalesce(max(event_id), 0) AS newest FROM {s}.alert_events"


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule, and what was found when it was evaluated last."""

    rule: Rule
    #: None: it was not evaluated yet.
    memory: Memory | None
    #: The version of the rule that was evaluated.
    version: int | None
    flow_ids: tuple[str, ...]
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a rule."""

    event_id: int
    rule: Rule
    at: datetime
    kind: str
    level: Level | None
    value: float | None
    threshold: float | None
    baseline: float | None
    #: The window that was looked at.
    since: datetime
    until: datetime
    flow_ids: tuple[str, ...]
    #: Of a rule about losses: who lost what in the window, the most first.
    losses: tuple[dict[str, Any], ...] = ()


class RuleStore:
    """`database` is the one that is written to."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def all(self, visible: Collection[str] | None = None) -> list[RuleState]:
        """The newest first; those about users who may be seen."""
        async with self.database.transaction() as connection:
            return await self.all_in(connection, visible)

    async def all_in(self, connection: Connection, visible: Collection[str] | None = None) -> list[RuleState]:
        rows = await connection.fetch(self.database.sql(_ALL), None if visible is None else sorted(visible))
        return [_state(row) for row in rows]

    async def one(self, connection: Connection, rule_id: str) -> RuleState | None:
        row = await connection.fetchrow(self.database.sql(_ONE), rule_id)
        return None if row is None else _state(row)

    async def add(self, connection: Connection, definition: Definition, enabled: bool, by: str, now: datetime) -> str:
        rule_id = secrets.token_hex(8)
        done = await connection.execute(
            self.database.sql(_ADD), rule_id, *_columns(definition), enabled, now, by, MAX_RULES
        )
        if done != "INSERT 0 1":
            raise Problem(409, "too_many_rules", f"There are {MAX_RULES} rules already, the maximum.")
        return rule_id

    async def change(
        self,
        connection: Connection,
        rule_id: str,
        definition: Definition,
        enabled: bool,
        by: str,
        now: datetime,
        version: int | None,
    ) -> None:
        done = await connection.execute(
            self.database.sql(_CHANGE), rule_id, *_columns(definition), enabled, now, by, version
        )
        if done != "UPDATE 1":
            raise Problem(409, "changed_meanwhile", "The rule was changed meanwhile: read it again.")

    async def snooze(self, connection: Connection, rule_id: str, until: datetime | None) -> None:
        await connection.execute(self.database.sql(_SNOOZE), rule_id, until)

    async def delete(self, connection: Connection, rule_id: str) -> None:
        await connection.execute(self.database.sql(_DELETE), rule_id)

    async def keep_state(
        self, connection: Connection, rule: Rule, memory: Memory, flow_ids: Sequence[str], now: datetime
    ) -> None:
        stored = orjson.dumps(memory.stored()).decode()
        await connection.execute(
            self.database.sql(_KEEP_STATE), rule.rule_id, rule.version, stored, list(flow_ids), now
        )

    async def add_event(
        self,
        connection: Connection,
        rule: Rule,
        transition: Transition,
        memory: Memory,
        since: datetime,
        now: datetime,
        flow_ids: Sequence[str],
    ) -> int | None:
        """The id of the event; None when the rule has been deleted meanwhile."""
        event_id: int | None = await connection.fetchval(
            self.database.sql(_ADD_EVENT),
            rule.rule_id,
            now,
            transition.kind.value,
            transition.level.value if transition.level else None,
            memory.value,
            memory.threshold,
            memory.baseline,
            since,
            list(flow_ids),
        )
        return event_id

    async def events(
        self, visible: Collection[str] | None, rule_id: str | None, before: int | None, limit: int
    ) -> list[Event]:
        """The newest first."""
        return await self._events(_NEWEST_FIRST, visible, rule_id, before, None, limit)

    async def events_after(self, visible: Collection[str] | None, after: int, limit: int) -> list[Event]:
        """The oldest first."""
        return await self._events(_OLDEST_FIRST, visible, None, None, after, limit)

    async def event(self, connection: Connection, event_id: int | None) -> Event | None:
        row = await connection.fetchrow(self.database.sql(_EVENT), event_id)
        return None if row is None else event_of(row)

    async def newest_event(self) -> int:
        async with self.database.transaction() as connection:
            newest: int = await connection.fetchval(self.database.sql(_NEWEST_EVENT))
            return newest

    async def _events(
        self,
        order: str,
        visible: Collection[str] | None,
        rule_id: str | None,
        before: int | None,
        after: int | None,
        limit: int,
    ) -> list[Event]:
        people = None if visible is None else sorted(visible)
        async with self.database.transaction() as connection:
            rows = await connection.fetch(self.database.sql(_EVENTS + order), people, rule_id, before, after, limit)
        return [event_of(row) for row in rows]


def event_of(row: Row) -> Event:
    return Event(
        row["event_id"],
        rule_of(row),
        row["at"],
        row["kind"],
        Level(row["level"]) if row["level"] else None,
        row["value"],
        row["threshold"],
        row["baseline"],
        row["since"],
        row["until"],
        tuple(row["flow_ids"]),
        tuple(orjson.loads(row["losses"] or "[]")),
    )


def rule_of(row: Row) -> Rule:
    return Rule(
        row["rule_id"],
        Definition.model_validate_json(row["definition"]),
        row["enabled"],
        row["snoozed_until"],
        row["version"],
        row["created_at"],
        row["created_by"],
        row["changed_at"],
        row["changed_by"],
    )


def _state(row: Row) -> RuleState:
    memory = None if row["memory"] is None else Memory.read(orjson.loads(row["memory"]))
    return RuleState(rule_of(row), memory, row["state_version"], tuple(row["flow_ids"] or ()), row["checked_at"])


def _columns(definition: Definition) -> tuple[Any, ...]:
    return definition.model_dump_json(), None if definition.user_ids is None else list(definition.user_ids)
