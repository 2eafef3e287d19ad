"""Connections to Postgres, direct or through pgbouncer in transaction mode: no prepared statement that outlives its
query, no setting of a session.
"""

import inspect
from typing import Any, Final

import asyncpg

from spanflow.span_processors.shared_settings import SharedSettings


class UntracedConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection whose own queries are never traced, even when asyncpg is instrumented.

    The instrumentation replaces these methods on the class that we inherit from, and it does not look whether
    instrumentation is suppressed: storing a trace would make a trace.
    """

    __slots__ = ()

    execute = inspect.unwrap(asyncpg.Connection.execute)
    executemany = inspect.unwrap(asyncpg.Connection.executemany)
    fetch = inspect.unwrap(asyncpg.Connection.fetch)
    fetchval = inspect.unwrap(asyncpg.Connection.fetchval)
    fetchrow = inspect.unwrap(asyncpg.Connection.fetchrow)


def connection_options(settings: SharedSettings, purpose: str) -> dict[str, Any]:
    """What every connection of ours is opened with. `purpose` is shown to a DBA in `pg_stat_activity`."""
    return {
        "dsn": settings.postgres_dsn,
        "timeout": settings.postgres_connect_timeout,
        "command_timeout": settings.postgres_timeout,
        # pgbouncer in transaction mode gives the next statement to another server, which knows no prepared statement.
        "statement_cache_size": 0,
        "server_settings": {"application_name": f"spanflow {purpose}"},
    }


async def connect(settings: SharedSettings, purpose: str) -> UntracedConnection:
    """One connection. It belongs to the running event loop and does not survive a fork."""
    options = connection_options(settings, purpose)
    connection: UntracedConnection = await asyncpg.connect(**options, connection_class=UntracedConnection)
    return connection


def make_pool(settings: SharedSettings, purpose: str, *, max_size: int = 10, **options: Any) -> asyncpg.Pool:
    """A pool that opens its first connection when it is needed. Enter it (`async with`) in the loop that uses it."""
    return asyncpg.create_pool(
        **{**connection_options(settings, purpose), **options}, min_size=0, max_size=max_size, reset=_keep_as_it_is
    )


async def _keep_as_it_is(_: object) -> None:
    """We leave nothing behind in a session, so handing a connection back costs no round trip."""


#: First words of every transaction that writes. What waits for a lock, or was left by a process that vanished in the
#: middle, must not hold up others for long. `jit` off: compiling costs more than these statements do.
BEGIN: Final = (
    "BEGIN; SET LOCAL lock_timeout = {half}; SET LOCAL statement_timeout = {whole}; "
    "SET LOCAL idle_in_transaction_session_timeout = {whole}; SET LOCAL jit = off; SET LOCAL TimeZone = 'UTC'"
)


def begin(seconds: float) -> str:
    """Statements, for one round trip, that open a transaction which the server itself ends after being idle so long."""
    milliseconds = max(2, round(seconds * 1000))
    return BEGIN.format(half=milliseconds // 2, whole=milliseconds)
