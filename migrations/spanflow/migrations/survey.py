"""What `spanflow migrate` would do to tables that are there already, said before it does anything."""

from dataclasses import dataclass
from enum import StrEnum

import asyncpg

_SHAPES = """
SELECT pg_class.oid::bigint AS oid, relname AS name, nspname AS home, relkind::text AS kind,
       greatest(reltuples, 0)::bigint AS rows, has_table_privilege(pg_class.oid, 'TRIGGER') AS may_watch,
       to_regclass(format('%I.flow_keys', nspname)) IS NOT NULL AS ours,
       (SELECT string_agg(attname || ' ' || format_type(atttypid, NULL), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = pg_class.oid AND attname IN ('session_id', 'user_id', 'conversation_id')
          AND NOT attisdropped) AS ids,
       (SELECT string_agg(DISTINCT format('%I', keeper.nspname), ', ')
        FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_namespace AS keeper ON keeper.oid = pronamespace
        WHERE tgrelid = pg_class.oid AND tgname IN ('spanflow_takes_over', 'spanflow_watch_begins')) AS kept_by
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = ANY ($1::text[]) AND relname = ANY ($2::text[])
ORDER BY nspname, relname
"""
_NAMES = ["interaction_flows", "user_activities", "omni2_config"]
#: What must be there for a table to be kept in step.
_NEEDED = {
    "interaction_flows": {"session_id", "user_id", "flow_data"},
    "user_activities": {"activity_id"},
    "omni2_config": {"config_key", "config_value"},
}
_COLUMNS = "SELECT attname::text FROM pg_attribute WHERE attrelid = $1::bigint::oid AND attnum > 0 AND NOT attisdropped"


class Effect(StrEnum):
    #: Done, or nothing to do.
    NOTHING = "nothing"
    CHANGE = "change"
    #: A running writer would break, or rights are missing: the migration stops.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What happens to one table."""

    effect: Effect
    message: str
    repair: str | None = None


async def survey(
    connection: asyncpg.Connection, schema: str, legacy_schema: str, *, adopt: bool = False
) -> list[Outlook]:
    """The tables of an application in `schema` and `legacy_schema`, and what becomes of each."""
    rows = await connection.fetch(_SHAPES, list({schema, legacy_schema}), _NAMES)
    outlooks = []
    for row in rows:
        if row["ours"]:
            continue
        if row["home"] == schema:
            outlooks.append(_in_our_schema(row, adopt))
        else:
            columns = {each["attname"] for each in await connection.fetch(_COLUMNS, row["oid"])}
            outlooks.append(_beside(row, schema, _NEEDED[row["name"]] - columns))
    return outlooks


def _in_our_schema(row: asyncpg.Record, adopt: bool) -> Outlook:
    table = f"{row['home']}.{row['name']}"
    if row["name"] == "omni2_config":
        return Outlook(
            Effect.CHANGE,
            f"{table} is used as it is: its columns, ids and rows stay; a trigger for watched users is added",
        )
    if row["kind"] != "r":
        return Outlook(Effect.REFUSED, f"{table} is no ordinary table", "Set SPANFLOW_SCHEMA=spanflow.")
    said = f"{table} belongs to an application ({row['ids'] or 'columns of its own'})"
    if adopt:
        return Outlook(
            Effect.CHANGE,
            f"{said} and is converted: {_amount(row)} are copied, ids become text. Statements of the "
            "application that bind numbers or UUIDs fail from then on",
        )
    return Outlook(
        Effect.REFUSED,
        f"{said}; columns of ours are text, and its statements with bound numbers and UUIDs would fail",
        "Set SPANFLOW_SCHEMA=spanflow: its tables stay, and both are kept in step. Or, when nothing of it writes there "
        "any more, convert them: spanflow migrate --adopt",
    )


def _beside(row: asyncpg.Record, schema: str, missing: set[str]) -> Outlook:
    table = f"{row['home']}.{row['name']}"
    if row["kind"] != "r" or missing:
        why = f"it has no {', '.join(sorted(missing))}" if missing else "it is no ordinary table"
        return Outlook(Effect.NOTHING, f"{table} is left alone: {why}")
    if row["kept_by"] == f"{schema}":
        return Outlook(Effect.NOTHING, f"{table} is kept in step with {schema}.{row['name']}")
    if row["kept_by"]:
        repair = "Set SPANFLOW_LEGACY_SCHEMA to nothing for this one."
        return Outlook(Effect.REFUSED, f"{table} is kept in step with the Spanflow in schema {row['kept_by']}", repair)
    if not row["may_watch"]:
        repair = f"Migrate as the owner of {table}, or set SPANFLOW_LEGACY_SCHEMA to nothing."
        return Outlook(Effect.REFUSED, f"{table} may not be given a trigger by this user", repair)
    if row["name"] == "omni2_config":
        return Outlook(
            Effect.CHANGE,
            f"{table} stays as it is and holds our settings too; a trigger for watched users is added",
        )
    return Outlook(
        Effect.CHANGE,
        f"{table} stays as it is ({row['ids']}); a trigger copies what is written there to {schema}, and "
        f"{_amount(row)} that are there already",
    )


def _amount(row: asyncpg.Record) -> str:
    """Of a table that was never analysed, PostgreSQL knows no number."""
    return f"about {row['rows']} rows" if row["rows"] else "the rows"
