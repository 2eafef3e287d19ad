"""Fills a migrated database with weeks of past flows, made by the server itself: a million takes a minute or two.

Run as `python -m benchmarks.history_flows '{"dsn": …, "flows": 1000000}'`; prints what it made as JSON. The flows are
as varied as real ones: a few people make most of them, a few tools are used all day and some hardly ever, one in ten
goes wrong, one in a thousand lasts for hours. The same number gives the same flows.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson

from spanflow.span_processors.names import DEFAULT_SCHEMA

USERS: Final = 1000
WEEKS: Final = 12
#: Found once in so many flows.
RARE: Final = 20_000
_SIDE_BY_SIDE: Final = 2

_FLOWS = """
INSERT INTO {s}.{part} (
    flow_id, start_key, started_at, ended_at, session_id, user_id, conversation_id, source, name, created_at,
    completed_at, duration_ms, outcome, gate, reason, status, status_message, error_count, denied_count, span_count,
    checkpoint_count, tokens_in, tokens_out, cost, event_types, tools, mcp_servers, models, processes, complete,
    complete_why, search, flow_data, flow_bytes
)
SELECT
    flow_id, started, started, ended, session_id, user_id, conversation_id, source, name, started, ended, ms,
    outcome, gate, CASE WHEN gate IS NOT NULL THEN 'refused by rule ' || n % 40 END,
    CASE outcome WHEN 'error' THEN 'error' ELSE 'unset' END,
    CASE outcome WHEN 'error' THEN 'upstream answered ' || 500 + n % 5 END,
    (outcome = 'error')::int, (outcome = 'denied')::int, 12, 8, tokens_in, tokens_out, (tokens_in + tokens_out) * 2e-6,
    event_types, tools, servers, models, '{{p1}}', true, 'root_ended',
    array_to_tsvector(ARRAY(SELECT DISTINCT term FROM unnest(
        ARRAY['post', 'api', 'ask', 'auth_check', 'llm_thinking', name, 'w' || floor(r4 * r4 * 3000)::int,
              'w' || floor(r5 * r5 * 3000)::int, 'w' || floor(r6 * 3000)::int, 'n' || n,
              CASE WHEN n % {rare} = 7 THEN 'needle' ELSE 'hay' END]
        || tools || servers || models) AS term)),
    jsonb_build_object('flow_id', flow_id, 'user_id', user_id, 'session_id', session_id, 'processes', '{{}}'::jsonb,
        'events', (SELECT jsonb_agg(jsonb_build_object(
            'node_id', substr(md5(flow_id || place), 1, 16), 'phase', 'end', 'event_type', event_types[1 + place % 4],
            'parent_id', CASE WHEN place > 0 THEN substr(md5(flow_id || '0'), 1, 16) END,
            'name', name, 'start_ns', (extract(epoch FROM started) * 1000000)::bigint || '000',
            'end_ns', (extract(epoch FROM coalesce(ended, started)) * 1000000)::bigint || '000', 'status', 'unset',
            'process', 'p1',
            'attributes', jsonb_build_object('flow.data.tool', tools[1], 'gen_ai.request.model', models[1])
        )) FROM generate_series(0, 11) AS place)),
    4200
FROM (
    SELECT rolled.*,
        CASE WHEN outcome = 'interrupted' THEN NULL ELSE started + ms * interval '1 millisecond' END AS ended,
        CASE WHEN n % {rare} = 11 THEN ARRAY['rare_tool']
             WHEN outcome = 'denied' THEN '{{}}'::text[]
             ELSE ARRAY['tool_' || floor(r3 * r3 * 40)::int] END AS tools,
        CASE WHEN n % {rare} = 13 THEN ARRAY['rare_mcp'] WHEN outcome = 'denied' THEN '{{}}'::text[]
             ELSE ARRAY['mcp_' || floor(r3 * r3 * 8)::int] END AS servers,
        CASE WHEN n % {rare} = 17 THEN ARRAY['rare-model'] WHEN outcome = 'denied' THEN '{{}}'::text[]
             ELSE ARRAY['model-' || floor(r5 * 6)::int] END AS models,
        CASE WHEN n % {rare} = 19 THEN ARRAY['auth_check', 'rare_step', 'llm_complete', 'span']
             WHEN outcome = 'denied' THEN ARRAY['auth_check', 'block_check', 'security_check', 'span']
             ELSE ARRAY['auth_check', 'llm_thinking', 'tool_call', 'span'] END AS event_types,
        CASE WHEN outcome = 'denied'
             THEN CASE WHEN n % 100 = 3 THEN 'usage_check' WHEN r6 < 0.7 THEN 'block_check' ELSE 'auth_check' END
        END AS gate,
        CASE outcome WHEN 'denied' THEN 0 ELSE (r4 * r4 * 8000)::bigint END AS tokens_in,
        CASE outcome WHEN 'denied' THEN 0 ELSE (r5 * r5 * 2000)::bigint END AS tokens_out
    FROM (
        SELECT n, r3, r4, r5, r6, md5('flow ' || n) AS flow_id,
            $1::timestamptz + (n - $2) * ($3::interval / ($4 - $2)) AS started,
            's' || n / 5 AS session_id, 'c' || n / 8 AS conversation_id,
            CASE WHEN r1 < 0.005 THEN NULL ELSE (floor(r2 * r2 * r2 * {users})::int + 1)::text END AS user_id,
            CASE WHEN n % {rare} = 23 THEN 'rare_source' WHEN r1 < 0.7 THEN 'web' ELSE 'mcp' END AS source,
            'POST /ask/' || n % 20 AS name,
            CASE WHEN n % 1000 = 1 THEN 3600000 + r4 * 3e7 ELSE 40 * exp(r4 * 7) END AS ms,
            CASE WHEN r1 < 0.9 THEN 'ok' WHEN r1 < 0.94 THEN 'denied' WHEN r1 < 0.98 THEN 'error'
                 WHEN r1 < 0.99 THEN 'cancelled' ELSE 'interrupted' END AS outcome
        FROM generate_series($2::bigint, $4::bigint - 1) AS n
        CROSS JOIN LATERAL (
            SELECT (hashint8extended(n, 1) & 1048575) / 1048576.0::float8 AS r1,
                   -- One session is one person's.
                   (hashint8extended(n / 5, 2) & 1048575) / 1048576.0::float8 AS r2,
                   (hashint8extended(n, 3) & 1048575) / 1048576.0::float8 AS r3,
                   (hashint8extended(n, 4) & 1048575) / 1048576.0::float8 AS r4,
                   (hashint8extended(n, 5) & 1048575) / 1048576.0::float8 AS r5,
                   (hashint8extended(n, 6) & 1048575) / 1048576.0::float8 AS r6
        ) AS dice
    ) AS rolled
) AS flow
"""
_PEOPLE = """
INSERT INTO {s}.user_directory (user_id, email, full_name)
SELECT n::text, 'person' || n || '@' || CASE WHEN n % 2 = 0 THEN 'example.org' ELSE 'example.com' END,
       (ARRAY['Ada', 'Alan', 'Grace', 'Edsger', 'Barbara', 'Donald', 'Radia', 'Ken'])[1 + n % 8] || ' ' || 'Family' || n
FROM generate_series(1, {users}) AS n
ON CONFLICT DO NOTHING
"""


async def fill(dsn: str, flows: int, schema: str = DEFAULT_SCHEMA, weeks: int = WEEKS) -> dict[str, Any]:
    """Make `flows` flows of the `weeks` weeks before last week, whose partitions must not be there yet."""
    began = time.perf_counter()
    monday = _monday(datetime.now(UTC)) - timedelta(weeks=weeks + 1)
    per_week = flows // weeks
    turns = asyncio.Semaphore(_SIDE_BY_SIDE)
    names = [f"interaction_flows_w{monday + timedelta(weeks=week):%Y%m%d}" for week in range(weeks)]

    async def one(week: int) -> None:
        async with turns:
            connection = await asyncpg.connect(dsn)
            try:
                first = week * per_week
                last = flows if week == weeks - 1 else first + per_week
                await _fill_week(connection, schema, names[week], monday + timedelta(weeks=week), first, last)
            finally:
                await connection.close()

    await asyncio.gather(*map(one, range(weeks)))
    connection = await asyncpg.connect(dsn)
    try:
        for week, name in enumerate(names):
            start = monday + timedelta(weeks=week)
            await connection.execute(
                f'ALTER TABLE "{schema}".interaction_flows ATTACH PARTITION "{schema}".{name} '
                f"FOR VALUES FROM ('{start.isoformat()}') TO ('{(start + timedelta(weeks=1)).isoformat()}')"
            )
        await connection.execute(_PEOPLE.format(s=f'"{schema}"', users=USERS))
        await connection.execute(
            f'INSERT INTO "{schema}".flow_keys SELECT flow_id, start_key FROM "{schema}".interaction_flows '
            "ON CONFLICT DO NOTHING"
        )
        await connection.execute(f'ANALYZE "{schema}".interaction_flows; ANALYZE "{schema}".flow_keys')
        await connection.execute(f'ANALYZE "{schema}".user_directory')
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    return {"flows": flows, "weeks": weeks, "bytes": size, "seconds": round(time.perf_counter() - began, 1)}


async def _fill_week(
    connection: asyncpg.Connection, schema: str, name: str, monday: datetime, first: int, last: int
) -> None:
    """A week's table, filled before it has any index, then given all of them: several times as quick."""
    await connection.execute("SET maintenance_work_mem = '128MB'; SET synchronous_commit = off; SET jit = off")
    part = f'"{schema}".{name}'
    await connection.execute(
        f'CREATE TABLE {part} (LIKE "{schema}".interaction_flows INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
        "INCLUDING STORAGE INCLUDING COMPRESSION)"
    )
    statement = _FLOWS.format(s=f'"{schema}"', part=name, rare=RARE, users=USERS)
    await connection.execute(statement, monday, first, timedelta(weeks=1), last)
    for index in await connection.fetch(
        # The primary key comes with the attaching.
        "SELECT pg_get_indexdef(indexrelid) AS text FROM pg_index "
        "WHERE indrelid = $1::text::regclass AND NOT indisprimary",
        f'"{schema}".interaction_flows',
    ):
        await connection.execute(f"CREATE INDEX ON {part} USING {index['text'].partition(' USING ')[2]}")


def _monday(moment: datetime) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


if __name__ == "__main__":
    options = orjson.loads(sys.argv[1])
    sys.stdout.write(orjson.dumps(asyncio.run(fill(options["dsn"], options["flows"]))).decode() + "\n")
