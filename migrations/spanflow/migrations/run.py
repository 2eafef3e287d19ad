"""Bring a database to a revision of the schema, or say which one it has.

All functions here are synchronous; from a running event loop use `await asyncio.to_thread(upgrade, dsn, schema)`.
"""

import asyncio
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Final, TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from spanflow.migrations.application_rows import TAKE_ROWS, take_rows
from spanflow.migrations.online_indexes import PSQL, build_missing
from spanflow.migrations.scripts import REVISIONS, VERSION_TABLE, head, quoted, up
from spanflow.span_processors.names import DEFAULT_LEGACY_SCHEMA, DEFAULT_SCHEMA

T = TypeVar("T")

BASE: Final = "base"

CONNECT_TIMEOUT: Final = 10.0
#: How long a schema change may wait for its lock; other statements queue behind it.
LOCK_TIMEOUT: Final = "30s"


def upgrade(
    dsn: str, schema: str = DEFAULT_SCHEMA, *, legacy_schema: str = DEFAULT_LEGACY_SCHEMA, adopt: bool = False
) -> None:
    """Bring the schema to the newest revision. Does nothing when it is there; any number of processes may call it.

    Tables of an application in `legacy_schema` are kept in step with ours from then on. Those that it has in `schema`
    itself stop the migration, unless `adopt` says to convert them, which its own statements do not survive.
    """

    def to_head(config: Config) -> None:
        command.upgrade(config, "head")
        config.attributes["execute"](_connecting(schema, legacy_schema))

    _run(dsn, schema, to_head, ["SET LOCAL spanflow.adopt = 'on'"] if adopt else [])
    asyncio.run(_afterwards(dsn, schema))


async def _afterwards(dsn: str, schema: str) -> None:
    """What takes long and must not hold up writers: in many small transactions, after the tables have changed."""
    await build_missing(dsn, schema, CONNECT_TIMEOUT)
    await take_rows(dsn, schema, CONNECT_TIMEOUT)


def _connecting(schema: str, legacy_schema: str) -> str:
    name = legacy_schema and quoted(legacy_schema)[1:-1]
    return f"DO $$ BEGIN PERFORM {quoted(schema)}.connect_application('{name}'); END $$"


def downgrade(dsn: str, schema: str = DEFAULT_SCHEMA, to: str = BASE) -> None:
    """Go back to an older revision. What the newer ones stored is deleted; adopted tables get their rows back."""
    if current(dsn, schema) is not None:
        _run(dsn, schema, lambda config: command.downgrade(config, to))


def current(dsn: str, schema: str = DEFAULT_SCHEMA) -> str | None:
    """The revision that the database has, or None."""
    return asyncio.run(_current(dsn, schema))


def sql(schema: str = DEFAULT_SCHEMA, *, legacy_schema: str = DEFAULT_LEGACY_SCHEMA, adopt: bool = False) -> str:
    """All of it as one script for psql. Everything but indexes of tables with rows happens in one transaction, and
    running it again changes nothing."""
    table = f"{quoted(schema)}.{VERSION_TABLE}"
    parts = [
        f"-- Spanflow's schema, revision {head()}. Run it with:  psql --set ON_ERROR_STOP=1 --file <this file>\nBEGIN;",
        *(f"{statement};" for statement in _opening(schema)),
        *(["SET LOCAL spanflow.adopt = 'on';"] if adopt else []),
        f"CREATE TABLE IF NOT EXISTS {table} (\n"
        f"    version_num varchar(32) NOT NULL, CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num)\n);",
    ]
    for revision in REVISIONS:
        parts += [*up(revision, schema), f"DELETE FROM {table};\nINSERT INTO {table} VALUES ('{revision}');"]
    parts.append(f"{_connecting(schema, legacy_schema)};")
    afterwards = [text.format(schema=quoted(schema)) for text in (PSQL, TAKE_ROWS)]
    return "\n\n".join([*parts, "COMMIT;", *afterwards])


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("spanflow.migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _opening(schema: str) -> list[str]:
    """What every migration starts with.

    The advisory lock is held by the transaction and not by the session, so that it also holds behind pgbouncer in
    transaction mode. A waiter must not time out, hence the order.
    """
    return [
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL lock_timeout = 0",
        "SET LOCAL timezone = 'UTC'",
        "SET LOCAL client_min_messages = warning",
        f"DO $$ BEGIN PERFORM pg_advisory_xact_lock(hashtextextended('spanflow migrations {schema}', 0)); END $$",
        f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'",
        # CREATE SCHEMA IF NOT EXISTS asks for rights on the database even when the schema is there.
        f"DO $$ BEGIN IF to_regnamespace('{quoted(schema)}') IS NULL THEN CREATE SCHEMA {quoted(schema)}; "
        "END IF; END $$",
    ]


def _run(dsn: str, schema: str, steer: Callable[[Config], None], more: Sequence[str] = ()) -> None:
    quoted(schema)
    asyncio.run(_run_in_transaction(dsn, schema, steer, more))


async def _run_in_transaction(dsn: str, schema: str, steer: Callable[[Config], None], more: Sequence[str]) -> None:
    def migrate(connection: Connection) -> None:
        for statement in [*_opening(schema), *more]:
            connection.execute(text(statement))
        config = _config()
        config.attributes["connection"] = connection
        config.attributes["schema"] = schema
        config.attributes["execute"] = lambda script: _execute_script(connection, script)
        steer(config)

    engine = _engine(dsn)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


def _engine(dsn: str) -> AsyncEngine:
    """An engine for one transaction, also behind pgbouncer: nothing is prepared under a name."""

    async def connect(**options: Any) -> asyncpg.Connection:
        return await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT, statement_cache_size=0, **options)

    return create_async_engine(
        "postgresql+asyncpg://",
        poolclass=NullPool,
        connect_args={
            "async_creator_fn": connect,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: "",
        },
    )


def _execute_script(connection: Connection, script: str) -> None:
    """Run a script of many statements, as psql would; a prepared statement could hold only one."""
    driver: Any = connection.connection.dbapi_connection
    driver.run_async(lambda raw: raw.execute(script))


async def _current(dsn: str, schema: str) -> str | None:
    table = f"{quoted(schema)}.{VERSION_TABLE}"
    connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT, statement_cache_size=0)
    try:
        if await connection.fetchval("SELECT to_regclass($1)::text", table) is None:
            return None
        revision: str | None = await connection.fetchval(f"SELECT version_num FROM {table}")
        return revision
    finally:
        await connection.close()
