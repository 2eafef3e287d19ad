"""Redis and PostgreSQL: reachable, new enough, set up so that nothing is lost, and with the right time."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg

from spanflow.cli.checks.finding import Finding, Situation, note, ok, problem, warning
from spanflow.cli.extras import VIEWER, installed
from spanflow.cli.unreachable import without_password

#: Below the first it goes unnoticed; above the second, flows and expiries of watches are plainly wrong.
SKEW_NOTICED = 0.5
SKEW_HARMFUL = 5.0

#: The oldest servers that we support.
OLDEST_REDIS = (6, 2)
OLDEST_POSTGRES = 140_000


class RedisServer:
    title = "Redis"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        shown = without_password(situation.settings.redis_url)
        if situation.redis is None:
            repair = "Start it, set SPANFLOW_REDIS_URL, or run `spanflow up`, which brings one."
            yield problem(f"cannot be reached at {shown} ({situation.redis_problem}); nothing is live", repair)
            return
        info = await situation.redis.info("server")
        number = str(info.get("valkey_version") or info["redis_version"])
        release = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
        if release < OLDEST_REDIS:
            yield problem(f"{shown} is version {number}", "Spanflow needs 6.2 or newer.")
        else:
            yield ok(f"{shown} answers, version {number}")


class RedisMemory:
    """What Redis does when it is full: refusing is fine, evicting takes streams away in the middle of a flow."""

    title = "Redis memory"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        if situation.redis is None:
            return
        info = await situation.redis.info("memory")
        policy = str(info.get("maxmemory_policy", "noeviction"))
        if policy.startswith("allkeys") or (policy.startswith("volatile") and int(info.get("maxmemory", 0))):
            yield warning(
                f"evicts keys when it is full (maxmemory-policy {policy}): flows vanish from it while they run",
                "CONFIG SET maxmemory-policy noeviction, or a Redis of Spanflow's own.",
            )
        else:
            yield ok(f"keeps what it has (maxmemory-policy {policy})")


class RedisClock:
    title = "Redis clock"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        client = situation.redis
        if client is None:
            return

        async def server_time() -> float:
            seconds, microseconds = await client.time()
            return float(seconds) + float(microseconds) / 1e6

        yield judged(await skew(server_time))


class PostgresServer:
    title = "PostgreSQL"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        shown = without_password(situation.settings.postgres_dsn)
        if situation.postgres is None:
            repair = "Start it, set SPANFLOW_POSTGRES_DSN, or run `spanflow up`, which brings one."
            yield problem(f"cannot be reached at {shown} ({situation.postgres_problem}); finished flows wait", repair)
            return
        number = int(await situation.postgres.fetchval("SHOW server_version_num"))
        name = await situation.postgres.fetchval("SHOW server_version")
        if number < OLDEST_POSTGRES:
            yield problem(f"{shown} is version {name}", "Spanflow needs 14 or newer.")
        else:
            yield ok(f"{shown} answers, version {name}")


class Schema:
    """Whether the tables are those that this version writes."""

    title = "schema"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        if situation.postgres is None:
            return
        name = situation.settings.schema
        if not installed(VIEWER):
            there = await situation.postgres.fetchval("SELECT to_regclass($1)::text", f'"{name}".flow_keys')
            if there is None:
                yield problem(f"schema {name} has no tables yet", "Where [viewer] is installed: spanflow migrate")
            else:
                yield ok(f"schema {name} has its tables; `spanflow[viewer]` can tell their revision")
            return
        from spanflow.migrations.scripts import VERSION_TABLE, head

        table = f'"{name}".{VERSION_TABLE}'
        try:
            revision = await situation.postgres.fetchval(f"SELECT version_num FROM {table}")
        except asyncpg.UndefinedTableError:
            revision = None
        except asyncpg.InsufficientPrivilegeError:
            yield problem(f"this user may not read schema {name}", f"GRANT USAGE ON SCHEMA {name} …")
            return
        if revision == head():
            yield ok(f"schema {name} is at revision {revision}")
        elif revision is None:
            yield problem(f"schema {name} has no tables yet", "spanflow migrate")
        else:
            repair = "spanflow migrate; if that says it is up to date already, this Spanflow is older: pip install -U"
            yield problem(f"schema {name} is at revision {revision}, this version needs {head()}", repair)


class ApplicationTables:
    """What becomes of tables that an application had before Spanflow."""

    title = "own tables"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        if situation.postgres is None or not installed(VIEWER):
            return
        from spanflow.migrations.survey import Effect, survey

        settings = situation.settings
        outlooks = await survey(situation.postgres, settings.schema, settings.legacy_schema)
        for outlook in outlooks:
            if outlook.effect is Effect.REFUSED:
                yield problem(outlook.message, outlook.repair or "")
            elif outlook.effect is Effect.CHANGE:
                yield note(outlook.message, "This is what `spanflow migrate` will do.")
            else:
                yield ok(outlook.message)
        if not outlooks:
            yield ok("no application has tables of flows of its own here")
            return
        try:
            failed = await situation.postgres.fetchval(
                f'SELECT count(*) FROM "{settings.schema}".poison_records '
                "WHERE kind LIKE 'application %' OR kind LIKE 'mirrored %'"
            )
        except asyncpg.PostgresError:
            return  # not migrated yet, or no right to read them
        if failed:
            repair = f"SELECT kind, error, count(*) FROM {settings.schema}.poison_records GROUP BY 1, 2"
            yield warning(f"{failed} rows could not be kept in step", repair)


class Partitions:
    """Whether there is a place for the flows of the coming days."""

    title = "partitions"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        if situation.postgres is None:
            return
        schema = situation.settings.schema
        try:
            days = await situation.postgres.fetchval(
                f'SELECT extract(epoch FROM max(upper_key) - now()) / 86400 FROM "{schema}".flow_partitions()'
            )
        except asyncpg.PostgresError:
            return  # the schema's own check says why
        if days is None or days < 1:
            yield problem("there is no partition for tomorrow's flows", "spanflow retention (viewers do it daily)")
        elif days < 7:
            yield warning(f"there are partitions for {days:.0f} more days only", "spanflow retention")
        else:
            yield ok(f"there are partitions for {days:.0f} more days")


class UsersView:
    """Whether the deployment's own users can be read, where it has named them."""

    title = "users view"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        if situation.viewer is None:
            return
        if not situation.viewer.users_view:
            yield ok("none is set; people are known from gateways")
            return
        if situation.postgres is None or not installed(VIEWER):
            return
        from spanflow.viewer_api.store.own_users import problem_of, view_of

        view = view_of(situation.viewer)
        assert view is not None
        why = await problem_of(situation.postgres, view)
        if why is None:
            yield ok(f"{view.sql} can be read")
        else:
            repair = (
                "Change SPANFLOW_USERS_VIEW or SPANFLOW_USERS_COLUMNS; until then the directory of gateways is used."
            )
            yield problem(why, repair)


class PostgresClock:
    title = "PostgreSQL clock"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        connection = situation.postgres
        if connection is None:
            return

        async def server_time() -> float:
            return float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))

        yield judged(await skew(server_time))


async def skew(server_time: Callable[[], Awaitable[float]], clock: Callable[[], float] = time.time) -> float:
    """Seconds that the server is ahead of us, as close as the way there and back lets us know."""
    best: tuple[float, float] | None = None
    for _ in range(3):
        before = clock()
        theirs = await server_time()
        after = clock()
        measured = (after - before, theirs - (before + after) / 2)
        best = measured if best is None else min(best, measured)
    assert best is not None
    return best[1]


def judged(seconds: float) -> Finding:
    size, word = abs(seconds), "ahead of" if seconds > 0 else "behind"
    repair = "Synchronise both machines' clocks (systemctl enable --now systemd-timesyncd, or chrony)."
    if size < SKEW_NOTICED:
        return ok(f"shows our time, to {max(size, 0.001) * 1000:.0f} ms")
    if size < SKEW_HARMFUL:
        return note(f"is {size:.1f} s {word} ours", repair)
    return warning(f"is {size:.0f} s {word} ours: times of flows and expiries are wrong by that much", repair)
