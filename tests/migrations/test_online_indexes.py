"""Indexes for a database that holds flows already: built beside those who write, and again after a stop."""

import asyncio

import asyncpg
import pytest
from inline_snapshot import snapshot

from spanflow.migrations.run import current, downgrade, upgrade
from spanflow.migrations.scripts import head
from tests.support.poll import eventually_async
from tests.support.query import query, script, value

PUT = "INSERT INTO omni2.interaction_flows (user_id, duration_ms) SELECT '7', n FROM generate_series(1, 500) AS n"
INVALID = "SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid ORDER BY 1"
MISSING = "SELECT parent, state FROM omni2.missing_flow_indexes() ORDER BY 1"


@pytest.fixture
def older_dsn(empty_postgres_dsn: str) -> str:
    """A database of revision 0001 with flows in it."""
    upgrade(empty_postgres_dsn)
    downgrade(empty_postgres_dsn, to="0001")
    assert current(empty_postgres_dsn) == "0001"
    script(empty_postgres_dsn, PUT)
    return empty_postgres_dsn


def test_every_index_is_whole_after_the_upgrade_and_gone_after_the_way_back(older_dsn: str) -> None:
    upgrade(older_dsn)
    assert current(older_dsn) == head()
    assert query(older_dsn, INVALID) == []
    assert query(older_dsn, MISSING) == []
    assert value(older_dsn, "SELECT count(*) FROM omni2.interaction_flows") == 500
    downgrade(older_dsn, to="0001")
    left = query(older_dsn, "SELECT relname::text AS name FROM pg_class WHERE relname LIKE '%\\_duration%'")
    assert left == []
    assert value(older_dsn, "SELECT count(*) FROM omni2.interaction_flows") == 500


def test_nobody_who_writes_waits_for_an_index(older_dsn: str) -> None:
    asyncio.run(_written_while_building(older_dsn))
    assert query(older_dsn, INVALID) == []


async def _written_while_building(dsn: str) -> None:
    in_the_middle, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        upgrading = asyncio.create_task(asyncio.to_thread(upgrade, dsn))

        async def tables_are_changed() -> bool:
            revision = await other.fetchval("SELECT version_num FROM omni2.spanflow_schema_version")
            return bool(revision == head())

        await eventually_async(tables_are_changed)
        # Whoever is in the middle of writing holds up the builder, and not the other way round.
        unfinished = in_the_middle.transaction()
        await unfinished.start()
        await in_the_middle.execute("INSERT INTO omni2.interaction_flows (user_id) VALUES ('8')")
        for _ in range(20):
            await asyncio.wait_for(other.execute("INSERT INTO omni2.interaction_flows (user_id) VALUES ('9')"), 2)
        await unfinished.commit()
        await asyncio.wait_for(upgrading, 20)
    finally:
        await in_the_middle.close()
        await other.close()


def test_what_a_stop_left_half_done_is_done_again(older_dsn: str) -> None:
    upgrade(older_dsn)
    (part,) = query(older_dsn, "SELECT tableoid::regclass::text AS name FROM omni2.interaction_flows GROUP BY 1")
    partition = part["name"].partition(".")[2]
    index = partition.replace("interaction_flows", "interaction_flows_duration")
    script(
        older_dsn,
        f"""
        DROP INDEX omni2.interaction_flows_duration;
        CREATE INDEX interaction_flows_duration ON ONLY omni2.interaction_flows
            (coalesce(duration_ms, -1) DESC, start_key DESC, flow_id DESC);
        CREATE INDEX {index} ON omni2.{partition} (coalesce(duration_ms, -1) DESC, start_key DESC, flow_id DESC);
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'omni2.{index}'::regclass;
        """,
    )
    states = {row["state"] for row in query(older_dsn, MISSING)}
    assert states == snapshot({"broken", "missing"})
    upgrade(older_dsn)
    assert query(older_dsn, INVALID) == []
