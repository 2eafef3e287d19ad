"""The viewer's way to Postgres: short transactions with a time limit, and clear errors when there is no answer."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import asyncpg

from spanflow.viewer_api.http.problems import not_migrated, query_timeout, storage_unavailable

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
#: To begin a transaction is no work: a server that does not do it within this time does not answer at all.
_ANSWER_SECONDS: Final = 5.0
#: A server that does not even take a transaction back within this time is not waited for.
_ROLLBACK_SECONDS: Final = 1.0
Connection: TypeAlias = Any
#: A record of asyncpg: `row["column"]`.
Row: TypeAlias = Any


def as_array(visible: Collection[str] | None) -> list[str] | None:
    """Users as a statement takes them; NULL stands for all users."""
    return None if visible is None else list(visible)


class Database:
    """Runs the viewer's statements. `schema` is a checked identifier; everything else travels as `$n`.

    `reader` is a pool for statements that only read, should they have a role or a server of their own.
    """

    def __init__(self, pool: asyncpg.Pool, schema: str, timeout: float, reader: asyncpg.Pool | None = None) -> None:
        self._pool = pool
        self._reader = reader or pool
        self._schema = schema
        #: The longest that one statement may take, in seconds.
        self.timeout = timeout
        self._giving: set[asyncio.Future[None]] = set()

    def sql(self, text: str) -> str:
        """The statement with the schema in place of `{s}`."""
        return text.replace("{s}", f'"{self._schema}"')

    @asynccontextmanager
    async def transaction(
        self, *, readonly: bool = False, within: float | None = None, options: str = ""
    ) -> AsyncIterator[Connection]:
        """A connection in a transaction; `within` shortens the time that a statement may take, `options` are settings
        for one that reads. Failures become problems that a client can understand."""
        limit = self.timeout if within is None else min(within, self.timeout)
        milliseconds = max(1, round(limit * 1000))
        try:
            # A little more than the server's own limit, for a server that does not answer at all.
            pool = self._reader if readonly else self._pool
            # Compiling (`jit`) costs more than statements that read do.
            begin = f"BEGIN READ ONLY; SET LOCAL jit = off; {options}" if readonly else "BEGIN"
            begin = f"{begin}; SET LOCAL statement_timeout = {milliseconds}"
            async with self._connection(pool, limit + 1) as connection, _in_transaction(connection, begin):
                yield connection
        except _NOT_MIGRATED as why:
            raise not_migrated() from why
        except asyncpg.QueryCanceledError as why:
            raise query_timeout() from why
        except _UNREACHABLE as why:
            raise storage_unavailable() from why

    async def fetch(self, text: str, *values: Any, within: float | None = None, options: str = "") -> list[Row]:
        async with self.transaction(readonly=True, within=within, options=options) as connection:
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
        """Whether Postgres answers within two seconds, for reading too."""
        try:
            for pool in dict.fromkeys((self._pool, self._reader)):
                async with self._connection(pool, 2) as connection:
                    await connection.fetchval("SELECT 1", timeout=2)
        except (*_UNREACHABLE, asyncpg.PostgresError):
            return False
        return True

    @asynccontextmanager
    async def _connection(self, pool: asyncpg.Pool, patience: float) -> AsyncIterator[Connection]:
        """A connection of a pool. If the caller is cancelled (a client has gone) while it is being made, it is left to
        the pool: asyncpg complains loudly about connections that are given up half-made."""
        making = asyncio.ensure_future(pool.acquire(timeout=patience))
        try:
            connection = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(lambda made: self._give_back(pool, made))
            raise
        try:
            yield connection
        finally:
            await pool.release(connection)

    def _give_back(self, pool: asyncpg.Pool, making: "asyncio.Future[Connection]") -> None:
        if not making.cancelled() and making.exception() is None:
            giving = asyncio.ensure_future(pool.release(making.result()))
            self._giving.add(giving)
            giving.add_done_callback(self._giving.discard)


@asynccontextmanager
async def _in_transaction(connection: Connection, begin: str) -> AsyncIterator[None]:
    """A transaction that is opened with its settings in one round trip: pgbouncer in transaction mode keeps none
    between transactions."""
    try:
        await connection.execute(begin, timeout=_ANSWER_SECONDS)
        yield
        await connection.execute("COMMIT")
    except TimeoutError:
        # The server does not answer: another statement would wait as long again.
        connection.terminate()
        raise
    except BaseException:
        if not connection.is_closed():
            try:
                await connection.execute("ROLLBACK", timeout=_ROLLBACK_SECONDS)
            except BaseException:
                # What is still open in it is not for the next one to find.
                connection.terminate()
                raise
        raise
