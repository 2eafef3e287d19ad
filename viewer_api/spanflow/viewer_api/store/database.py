"""The viewer's way to Postgres: short transactions with a time limit, and clear errors when there is no answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

from spanflow.viewer_api.problems import not_migrated, query_timeout, storage_unavailable

_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
_NOT_MIGRATED = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
)
Connection: TypeAlias = Any
#: A record of asyncpg: `row["column"]`.
Row: TypeAlias = Any


class Database:
    """Runs the viewer's statements. `schema` is a checked identifier; everything else travels as `$n`."""

    def __init__(self, pool: asyncpg.Pool, schema: str, timeout: float) -> None:
        self._pool = pool
        self._schema = schema
        self._timeout = timeout
        self._giving: set[asyncio.Future[None]] = set()

    def sql(self, text: str) -> str:
        """The statement with the schema in place of `{s}`."""
        return text.replace("{s}", f'"{self._schema}"')

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """A connection in a transaction. Failures become problems that a client can understand."""
        try:
            # A little more than the server's own limit, for a server that does not answer at all.
            async with self._connection(self._timeout + 1) as connection:
                async with connection.transaction(readonly=readonly):
                    limit = f"{int(self._timeout * 1000)}ms"
                    await connection.execute("SELECT set_config('statement_timeout', $1, true)", limit)
                    yield connection
        except _NOT_MIGRATED as why:
            raise not_migrated() from why
        except asyncpg.QueryCanceledError as why:
            raise query_timeout() from why
        except _UNREACHABLE as why:
            raise storage_unavailable() from why

    async def fetch(self, text: str, *values: Any) -> list[Row]:
        async with self.transaction(readonly=True) as connection:
            rows: list[Row] = await connection.fetch(self.sql(text), *values)
            return rows

    async def fetchrow(self, text: str, *values: Any) -> Row | None:
        async with self.transaction(readonly=True) as connection:
            row: Row | None = await connection.fetchrow(self.sql(text), *values)
            return row

    async def fetch_within(self, max_bytes: int, size_of: str, text: str, *values: Any) -> tuple[list[Row], bool]:
        """Rows until their column `size_of` adds up to `max_bytes`, and whether all of them were read."""
        rows: list[Row] = []
        total = 0
        async with self.transaction(readonly=True) as connection:
            async for row in connection.cursor(self.sql(text), *values, prefetch=20):
                total += len(row[size_of] or "")
                if rows and total > max_bytes:
                    return rows, False
                rows.append(row)
        return rows, True

    async def execute(self, text: str, *values: Any) -> None:
        async with self.transaction() as connection:
            await connection.execute(self.sql(text), *values)

    async def is_up(self) -> bool:
        """Whether Postgres answers within two seconds."""
        try:
            async with self._connection(2) as connection:
                await connection.fetchval("SELECT 1", timeout=2)
        except (*_UNREACHABLE, asyncpg.PostgresError):
            return False
        return True

    @asynccontextmanager
    async def _connection(self, patience: float) -> AsyncIterator[Connection]:
        """A connection of the pool. Whoever is cancelled while it is being made (a client that has gone) leaves it to
        the pool: asyncpg complains loudly about connections that are given up half-made."""
        making = asyncio.ensure_future(self._pool.acquire(timeout=patience))
        try:
            connection = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(self._give_back)
            raise
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    def _give_back(self, making: "asyncio.Future[Connection]") -> None:
        if not making.cancelled() and making.exception() is None:
            giving = asyncio.ensure_future(self._pool.release(making.result()))
            self._giving.add(giving)
            giving.add_done_callback(self._giving.discard)
