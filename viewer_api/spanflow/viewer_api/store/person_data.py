"""All rows about one person, beside their flows: each kind a page at a time, so that nobody's data is too much."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.tree.costs import sql_total
from spanflow.viewer_api.store.activities import ActivityStore, Period
from spanflow.viewer_api.store.database import Database, Row

_PAGE: Final = 500
_DIRECTORY: Final = """
SELECT user_id, email, full_name, team, first_seen, last_seen FROM {s}.user_directory WHERE user_id = $1
"""
_WATCH: Final = """
SELECT config_value::text AS watch, is_active, created_at, updated_at FROM {s}.omni2_config WHERE config_key = $1
"""
_USAGE: Final = f"""
SELECT to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, count(*) AS flows,
       count(*) FILTER (WHERE outcome = '{names.OUTCOME_ERROR}') AS errors,
       count(*) FILTER (WHERE outcome = '{names.OUTCOME_DENIED}') AS denied,
       coalesce(sum(tokens_in), 0)::bigint AS tokens_input, coalesce(sum(tokens_out), 0)::bigint AS tokens_output,
       {sql_total("cost")} AS cost
FROM {{s}}.interaction_flows WHERE user_id = $1 GROUP BY 1 ORDER BY 1 DESC
"""
#: Ids of others' flows that the same event names are left out.
_ALERTS: Final = """
SELECT event.event_id, event.rule_id, event.at, event.kind, event.level, event.value, event.threshold, event.since,
       event.until, rule.definition ->> 'name' AS rule, rule.definition #>> '{condition,kind}' AS condition,
       rule.about, theirs.flow_ids
FROM {s}.alert_events AS event
JOIN (SELECT rule_id, definition, coalesce($1 = ANY (user_ids), false) AS about FROM {s}.alert_rules) AS rule
    USING (rule_id)
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(flow.flow_id), '{}') AS flow_ids
    FROM unnest(event.flow_ids) AS wanted (id) CROSS JOIN LATERAL {s}.flow_by_id(wanted.id) AS flow
    WHERE flow.user_id = $1
) AS theirs
WHERE event.event_id < $2 AND (rule.about OR cardinality(theirs.flow_ids) > 0)
ORDER BY event.event_id DESC LIMIT $3
"""
_RULES: Final = """
SELECT rule_id, definition ->> 'name' AS name, (definition -> 'condition')::text AS condition, enabled, created_at
FROM {s}.alert_rules WHERE $1 = ANY (user_ids) ORDER BY created_at DESC, rule_id
"""
_RECORDS: Final = """
SELECT id, at, kind, flow_id, error, payload FROM {s}.poison_records WHERE user_id = $1 AND id < $2
ORDER BY id DESC LIMIT $3
"""
_SHARE_LINKS: Final = """
SELECT link_id, flow_id, user_id, contents, created_at, created_by, expires_at, revoked_at, revoked_by, opened,
       opened_at
FROM {s}.share_links WHERE $1 IN (user_id, owner_user_id) ORDER BY created_at DESC, link_id DESC
"""
_NOTES: Final = """
SELECT note_id, flow_id, user_id, verdict, note, created_at, created_by, changed_at
FROM {s}.flow_notes WHERE $1 IN (user_id, owner_user_id) ORDER BY created_at DESC, note_id DESC
"""
_SAVED_FILTERS: Final = """
SELECT filter_id, name, filter::text AS filter, shared, created_at, created_by
FROM {s}.saved_filters WHERE $1 = ANY (user_ids) OR $1 = owner_user_id ORDER BY created_at DESC, filter_id
"""
_READS: Final = """
SELECT id, at, actor, actor_role, action, target, reason, outcome FROM {s}.audit_log
WHERE target_user = $1 AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3)) ORDER BY at DESC, id DESC LIMIT $4
"""
_NO_ID: Final = 2**63 - 1


class PersonData:
    """Everything is the newest first."""

    def __init__(self, database: Database, user_id: str) -> None:
        self._database = database
        self._user_id = user_id

    async def directory(self) -> Sequence[Row]:
        return await self._fetch(_DIRECTORY, self._user_id)

    async def watch(self) -> Sequence[Row]:
        return await self._fetch(_WATCH, names.monitor_config_key(self._user_id))

    async def usage(self) -> Sequence[Row]:
        """By day, in UTC."""
        return await self._database.fetch(_USAGE, self._user_id)

    async def rules(self) -> Sequence[Row]:
        """Alert rules about them."""
        return await self._fetch(_RULES, self._user_id)

    async def share_links(self) -> Sequence[Row]:
        """Links that show their flows, and those that they made."""
        return await self._fetch(_SHARE_LINKS, self._user_id)

    async def notes(self) -> Sequence[Row]:
        """What operators say of their flows, and what they say of others'."""
        return await self._fetch(_NOTES, self._user_id)

    async def saved_filters(self) -> Sequence[Row]:
        """Searches that name them, and those that they saved."""
        return await self._fetch(_SAVED_FILTERS, self._user_id)

    async def activities(self) -> AsyncIterator[Sequence[Row]]:
        store, after = ActivityStore(self._database), None
        while rows := await store.of_user(self._user_id, Period(), after, _PAGE):
            yield rows
            after = rows[-1]["created_at"], rows[-1]["activity_id"]

    def alerts(self) -> AsyncIterator[Sequence[Row]]:
        """What rules about them found, and what others found in their flows."""
        return self._by_id(_ALERTS, "event_id")

    def records(self) -> AsyncIterator[Sequence[Row]]:
        """What could not be stored."""
        return self._by_id(_RECORDS, "id")

    async def reads(self) -> AsyncIterator[Sequence[Row]]:
        """Who looked at them, and what else was done about them."""
        at: Any = None
        last = _NO_ID
        while rows := await self._fetch(_READS, self._user_id, at, last, _PAGE):
            yield rows
            at, last = rows[-1]["at"], rows[-1]["id"]

    async def _by_id(self, text: str, name: str) -> AsyncIterator[Sequence[Row]]:
        last = _NO_ID
        while rows := await self._fetch(text, self._user_id, last, _PAGE):
            yield rows
            last = rows[-1][name]

    async def _fetch(self, text: str, *values: Any) -> Sequence[Row]:
        """By the way of writes: the reading role may not see all of it."""
        async with self._database.transaction() as connection:
            rows: Sequence[Row] = await connection.fetch(self._database.sql(text), *values)
        return rows
