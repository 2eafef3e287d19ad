"""The archive's statements, and its values as Postgres reads them.

New rows go in by COPY, which needs no look at a column's type first; merged ones by one UPDATE. Both carry every value
as text, so that there is one rendering of each.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from spanflow.span_processors import names

#: The columns of `interaction_flows` that the archive writes, with their types. `start_key` and `flow_id` stand first.
FLOW_COLUMNS: Final = (
    ("start_key", "timestamptz"),
    ("flow_id", "text"),
    ("started_at", "timestamptz"),
    ("ended_at", "timestamptz"),
    ("created_at", "timestamptz"),
    ("completed_at", "timestamptz"),
    ("session_id", "text"),
    ("user_id", "text"),
    ("conversation_id", "text"),
    ("source", "text"),
    ("name", "text"),
    ("duration_ms", "double precision"),
    ("outcome", "text"),
    ("outcome_reason", "text"),
    ("gate", "text"),
    ("reason", "text"),
    ("status", "text"),
    ("status_message", "text"),
    ("error_count", "integer"),
    ("denied_count", "integer"),
    ("span_count", "integer"),
    ("checkpoint_count", "integer"),
    ("tokens_in", "bigint"),
    ("tokens_out", "bigint"),
    ("cost", "double precision"),
    ("event_types", "text[]"),
    ("tools", "text[]"),
    ("mcp_servers", "text[]"),
    ("models", "text[]"),
    ("processes", "text[]"),
    ("redacted_count", "integer"),
    ("cut_spans", "integer"),
    ("cut_bytes", "bigint"),
    ("complete", "boolean"),
    ("complete_why", "text"),
    ("search", "tsvector"),
    ("flow_bytes", "integer"),
    ("flow_data", "jsonb"),
)
COLUMN_NAMES: Final = tuple(name for name, _ in FLOW_COLUMNS)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MICROSECOND: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def moment(ns: int) -> datetime:
    """A time in nanoseconds since 1970 as Postgres can keep it, whatever a broken clock has said."""
    return _EPOCH + timedelta(microseconds=min(max(ns // 1000, 0), _LAST_MICROSECOND))


def moment_text(ns: int) -> str:
    """The same as text."""
    seconds, microseconds = divmod(min(max(ns // 1000, 0), _LAST_MICROSECOND), 1_000_000)
    return f"{_second(seconds)}.{microseconds:06d}+00"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    """Most moments of a batch lie in the same few seconds."""
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}"


def array(values: Sequence[str]) -> str:
    """A literal of type `text[]`."""
    if not values:
        return "{}"
    together = "".join(values)
    if "\\" in together or '"' in together:
        values = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(values) + '"}'


def copy_line(values: Sequence[str | None], document: bytes) -> bytes:
    """A row, or the end of one, in COPY's text format, with a JSON document as its last value."""
    present = [value for value in values if value is not None]
    together = "\t".join(present)
    if "\\" in together or "\n" in together or "\r" in together or together.count("\t") >= len(present):
        values = [value if value is None else _escaped(value) for value in values]
    line = "\t".join(["\\N" if value is None else value for value in values])
    return b"%b\t%b\n" % (line.encode(), document.replace(b"\\", b"\\\\"))


def _escaped(value: str) -> str:
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "\n" in value or "\t" in value or "\r" in value:
        value = value.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return value


class ArchiveSql:
    """The statements for one schema."""

    def __init__(self, schema: str) -> None:
        def table(name: str) -> str:
            return f'"{schema}"."{name}"'

        flows, activities, users = map(table, (names.TABLE_FLOWS, names.TABLE_ACTIVITIES, names.TABLE_USERS))
        self.schema = schema
        self.claim = f'SELECT flow_id, start_key, fresh FROM "{schema}".claim_flow_keys($1::text[], $2::timestamptz[])'
        self.stored = f"""
            SELECT flow.start_key, flow.flow_id, flow.source, flow.flow_data::text AS flow_data
            FROM unnest($1::timestamptz[], $2::text[]) AS wanted (start_key, flow_id)
            JOIN {flows} AS flow ON flow.start_key = wanted.start_key AND flow.flow_id = wanted.flow_id
            ORDER BY flow.flow_id FOR UPDATE OF flow"""
        columns = ", ".join(COLUMN_NAMES)
        arrays = ", ".join(f"${place}::text[]" for place in range(1, len(FLOW_COLUMNS) + 1))
        changes = ", ".join(f"{name} = new.{name}::{kind}" for name, kind in FLOW_COLUMNS[2:])
        self.update = f"""
            UPDATE {flows} AS flow SET {changes}, revision = flow.revision + 1, updated_at = now()
            FROM unnest({arrays}) AS new ({columns})
            WHERE flow.start_key = new.start_key::timestamptz AND flow.flow_id = new.flow_id"""
        self.mirrors = (
            "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = 'mirror_flow' "
            f"AND pronamespace = to_regnamespace('\"{schema}\"'))"
        )
        # Only what was let in: of whoever was erased, the tables refuse what still arrives. In the order in which it is
        # given (see `ApplicationMirror`), whichever way the flows are looked up.
        self.mirror = f"""
            SELECT "{schema}".mirror_flow(flow) FROM (
                SELECT given.flow::jsonb AS flow FROM unnest($1::text[]) WITH ORDINALITY AS given (flow, place)
                WHERE EXISTS (
                    SELECT FROM {table(names.TABLE_FLOW_KEYS)} AS known JOIN {flows} AS kept USING (start_key, flow_id)
                    WHERE known.flow_id = given.flow::jsonb ->> 'flow_id'
                )
                ORDER BY given.place OFFSET 0
            ) AS stored"""
        # A flow whose times were corrected moves to the week that they lie in, or retention would take it too early.
        self.move = f"""
            WITH wanted AS (
                SELECT new.flow_id, new.start_key,
                       least(greatest(new.started, week.lower_key), week.upper_key - interval '1 microsecond')
                           AS moved_to
                FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS new (flow_id, start_key, started)
                CROSS JOIN LATERAL (
                    SELECT lower_key, upper_key FROM "{schema}".flow_partitions() WHERE weekly
                    ORDER BY lower_key <= new.started DESC,
                             CASE WHEN lower_key <= new.started THEN lower_key END DESC, lower_key
                    LIMIT 1
                ) AS week
            ), moved AS (
                UPDATE {table(names.TABLE_FLOW_KEYS)} AS known SET start_key = wanted.moved_to
                FROM wanted WHERE known.flow_id = wanted.flow_id AND wanted.moved_to <> wanted.start_key
                RETURNING known.flow_id, wanted.start_key AS before, wanted.moved_to
            )
            UPDATE {flows} AS flow SET start_key = moved.moved_to
            FROM moved WHERE flow.start_key = moved.before AND flow.flow_id = moved.flow_id
            RETURNING flow.flow_id, flow.start_key"""
        self.poison = f"""
            INSERT INTO {table(names.TABLE_POISON)} (kind, flow_id, user_id, instance, error, sqlstate, payload)
            VALUES ($1, $2, $3, $4, $5, $6, $7)"""
        # Once a minute per user is enough for a directory; a new name or address is written at once.
        self.users = f"""
            INSERT INTO {users} AS known (user_id, email, full_name, team, first_seen, last_seen)
            SELECT new.user_id, new.email, new.full_name, new.team, least(new.seen, now()), least(new.seen, now())
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
                AS new (user_id, email, full_name, team, seen)
            ORDER BY new.user_id
            ON CONFLICT (user_id) DO UPDATE SET
                email = coalesce(excluded.email, known.email),
                full_name = coalesce(excluded.full_name, known.full_name),
                team = coalesce(excluded.team, known.team),
                first_seen = least(known.first_seen, excluded.first_seen),
                last_seen = greatest(known.last_seen, excluded.last_seen)
            WHERE excluded.last_seen >= known.last_seen + interval '1 minute'
               OR excluded.first_seen < known.first_seen
               OR excluded.email <> known.email OR (known.email IS NULL AND excluded.email IS NOT NULL)
               OR excluded.full_name <> known.full_name OR (known.full_name IS NULL AND excluded.full_name IS NOT NULL)
               OR excluded.team <> known.team OR (known.team IS NULL AND excluded.team IS NOT NULL)
            """
        self.lock_conversations = f"""
            SELECT pg_advisory_xact_lock(key) FROM (
                SELECT DISTINCT hashtextextended('spanflow conversation {schema} ' || conversation, 0) AS key
                FROM unnest($1::text[]) AS conversation ORDER BY key
            ) AS keys"""
        self.known_activities = f"SELECT activity_id FROM {activities} WHERE activity_id = ANY ($1::text[])"
        # Two halves, so that each is read from an index of its own.
        lines = f"""
            SELECT 'c' || conversation_id AS line, activity_id, created_at, sequence_num, own_number
            FROM {activities} WHERE conversation_id = ANY ($1::text[])
            UNION ALL
            SELECT 'f' || flow_id, activity_id, created_at, sequence_num, own_number
            FROM {activities} WHERE conversation_id IS NULL AND flow_id = ANY ($2::text[])"""
        self.lines = lines
        self.tails = (
            f"SELECT line, max(created_at) AS time, max(sequence_num) AS number FROM ({lines}) AS lines GROUP BY 1"
        )
        self.renumber = f"""
            UPDATE {activities} AS known SET sequence_num = new.number
            FROM unnest($1::text[], $2::integer[]) AS new (activity_id, number)
            WHERE known.activity_id = new.activity_id"""
        self.add_activities = f"""
            INSERT INTO {activities} (activity_id, conversation_id, session_id, user_id, flow_id, node_id, sequence_num,
                own_number, activity_type, activity_data, duration_ms, source, created_at)
            SELECT activity_id, conversation_id, session_id, user_id, flow_id, node_id, sequence_num,
                own_number, activity_type, activity_data::jsonb, duration_ms, source, created_at
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[],
                $8::boolean[], $9::text[], $10::text[], $11::double precision[], $12::text[], $13::timestamptz[])
            AS new (activity_id, conversation_id, session_id, user_id, flow_id, node_id, sequence_num,
                own_number, activity_type, activity_data, duration_ms, source, created_at)
            ON CONFLICT (activity_id) DO NOTHING"""
