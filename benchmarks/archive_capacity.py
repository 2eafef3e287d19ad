"""How many flows per second reach Postgres, against a plain COPY of the same rows into the same table.

Run as `python -m benchmarks.archive_capacity '{"dsn": …, "flows": 2000, "rounds": 5}'` against a migrated database that
no other program uses; prints one JSON object. The cases take turns within each round, on one connection.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from benchmarks.cpu_time import thread_cpu_seconds
from spanflow.span_processors import names
from spanflow.span_processors.archive.archive import BATCH, BATCHES, ArchiveSink, build_archive
from spanflow.span_processors.archive.archive_sql import COLUMN_NAMES, ArchiveSql
from spanflow.span_processors.archive.flow_draft import Drafter, Drafting
from spanflow.span_processors.archive.flow_limits import FlowLimits
from spanflow.span_processors.archive.postgres import UntracedConnection, begin, connect
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.stages.sink import Receipt
from spanflow.span_processors.tree.prices import NO_PRICES

RAW: Final = "raw COPY, same table"
READY: Final = "idempotent insert, rows ready"
WITHOUT_TRIGGERS: Final = "idempotent insert, rows ready, without the table's triggers"
FROM_PARTS: Final = "archive, from encoded parts"
CHECKPOINTS: Final = 11
_WORDS: Final = (
    "list show snapshot volume schedule pool health of the last week failed backup copy restore usage".split()
)

Case = Callable[[UntracedConnection, list[FlowPart]], Awaitable[float]]


def make_part(choose: random.Random) -> FlowPart:
    """A request with a root, eleven checkpoints and the kind of attributes that they carry; no two are alike."""
    # Not from `choose`: what an earlier run has stored would be merged instead of written.
    flow_id = uuid.uuid4().hex
    user = choose.randrange(1000)
    start = time.time_ns() - choose.randrange(10**9)
    ids = [f"{choose.getrandbits(64):016x}" for _ in range(CHECKPOINTS + 1)]
    entries = []
    for place, node_id in enumerate(ids):
        kind = ("auth_check", "security_check", "usage_check", "tool_filter", "llm_thinking", "tool_call")[place % 6]
        event = {
            "phase": "end",
            "node_id": node_id,
            "parent_id": ids[0] if place else None,
            "event_type": kind if place else "span",
            "name": kind if place else "POST /api/v1/ask/stream",
            "kind": "internal" if place else "server",
            "start_ns": str(start + place * 10**6),
            "end_ns": str(start + place * 10**6 + choose.randrange(10**8)),
            "status": "ok",
            "outcome": "ok",
            "attributes": {
                "user.id": str(user),
                "flow.session_id": f"session-{user}",
                "flow.data.tool": choose.choice(_WORDS) + "_" + choose.choice(_WORDS),
                "flow.data.score": choose.random(),
                "flow.data.note": " ".join(choose.choices(_WORDS, k=12)),
            },
            "process": "gateway-1",
            "scope": "gateway",
            "late": ["end_ns", "outcome", "status"],
        }
        entries.append(orjson.dumps(event))
    identity = Identity(user_id=str(user), email=f"user{user}@example.org", session_id=f"session-{user}", source="web")
    return FlowPart(flow_id, "gateway-1", tuple(entries), b'{"resource":{}}', identity, (), start, start, True)


def rendered(parts: list[FlowPart], start_key: datetime) -> bytes:
    drafting = Drafting(Drafter(FlowLimits(), NO_PRICES), parts)
    drafting.finish()
    return b"".join(b"%b\t%b" % (str(start_key).encode(), draft.line) for draft in drafting.made)


async def _copy(connection: UntracedConnection, schema: str, data: bytes) -> None:
    await connection.copy_to_table(names.TABLE_FLOWS, schema_name=schema, columns=COLUMN_NAMES, source=memoryview(data))


def cases(schema: str, archive: ArchiveSink) -> dict[str, Case]:
    sql = ArchiveSql(schema)

    def batches(parts: list[FlowPart], size: int = BATCH) -> list[list[FlowPart]]:
        return [parts[start : start + size] for start in range(0, len(parts), size)]

    async def raw_copy(connection: UntracedConnection, parts: list[FlowPart]) -> float:
        now = datetime.now(UTC)
        data = [rendered(batch, now) for batch in batches(parts)]
        begun = time.perf_counter()
        for batch in data:
            await _copy(connection, schema, batch)
        return time.perf_counter() - begun

    async def claimed_copy(connection: UntracedConnection, parts: list[FlowPart], first: str = "") -> float:
        now = datetime.now(UTC)
        data = [(sorted(part.flow_id for part in batch), rendered(batch, now)) for batch in batches(parts)]
        begun = time.perf_counter()
        for flow_ids, batch in data:
            await connection.execute(begin(10) + first)
            await connection.fetch(sql.claim, flow_ids, [now] * len(flow_ids))
            await _copy(connection, schema, batch)
            await connection.execute("COMMIT")
        return time.perf_counter() - begun

    async def without_triggers(connection: UntracedConnection, parts: list[FlowPart]) -> float:
        return await claimed_copy(connection, parts, "; SET LOCAL session_replication_role = replica")

    async def from_parts(connection: UntracedConnection, parts: list[FlowPart]) -> float:
        def deliver() -> float:
            begun = time.perf_counter()
            for batch in batches(parts, BATCHES * BATCH):  # as its runner hands them over when so many wait
                assert archive.deliver(batch, time.monotonic() + 10) == Receipt(len(batch))
            return time.perf_counter() - begun

        return await asyncio.to_thread(deliver)  # it has a thread and a connection of its own

    return {
        RAW: raw_copy,
        READY: claimed_copy,
        WITHOUT_TRIGGERS: without_triggers,
        FROM_PARTS: from_parts,
    }


async def measure(dsn: str, flows: int, rounds: int, data_dir: str) -> dict[str, Any]:
    settings = Settings(postgres_dsn=dsn, data_dir=data_dir)
    connection = await connect(settings, "benchmark")
    choose = random.Random(1)
    rates: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    # Of the server's process for this connection: unlike the time, it does not depend on what else the machine does.
    server_cpu: dict[str, float] = {}
    archive = build_archive(settings, lambda: "benchmark")
    every_case = list(cases(settings.schema, archive).items())
    try:
        for number in range(rounds + 1):
            choose.shuffle(every_case)
            for name, case in every_case:
                parts = [make_part(choose) for _ in range(flows)]
                before = time.process_time()
                server_before = thread_cpu_seconds(connection.get_server_pid())
                took = await case(connection, parts)
                if number:  # the first round warms up
                    used = thread_cpu_seconds(connection.get_server_pid()) - server_before
                    server_cpu[name] = server_cpu.get(name, 0.0) + used
                    rates.setdefault(name, []).append(flows / took)
                    cpu.setdefault(name, []).append((time.process_time() - before) / flows * 1e6)
        size = await connection.fetchrow(
            f"""
            SELECT sum(pg_total_relation_size(inhrelid))::bigint AS bytes,
                   (SELECT count(*) FROM "{settings.schema}".interaction_flows) AS flows,
                   (SELECT avg(flow_bytes)::integer FROM "{settings.schema}".interaction_flows) AS json
            FROM pg_inherits WHERE inhparent = '"{settings.schema}".interaction_flows'::regclass"""
        )
    finally:
        await connection.close()
        await asyncio.to_thread(archive.close, time.monotonic() + 5)
    per_s = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "raw_copy_per_s": per_s[RAW],
        "rows_ready_per_s": per_s[READY],
        "server_cpu_us_per_flow": server_cpu[READY] / (rounds * flows) * 1e6,
        "without_triggers_cpu_us_per_flow": server_cpu[WITHOUT_TRIGGERS] / (rounds * flows) * 1e6,
        "from_parts_per_s": per_s[FROM_PARTS],
        "client_cpu_us_per_flow": statistics.median(cpu[FROM_PARTS]),
        "postgres_bytes_per_flow": size["bytes"] / size["flows"],
        "json_bytes_per_flow": size["json"],
    }


def main() -> None:
    given = orjson.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as data_dir:
        found = asyncio.run(measure(given["dsn"], given.get("flows", 2000), given.get("rounds", 5), data_dir))
    sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")


if __name__ == "__main__":
    main()
