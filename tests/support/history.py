"""A database with months of flows, as `benchmarks/history_flows.py` makes them, and searches that run in it."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

from benchmarks.history_flows import fill
from spanflow.span_processors.archive.postgres import make_pool
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.viewer_api.store.database import Database, Row
from tests.support.postgres_server import PostgresServer

T = TypeVar("T")
_numbers = count(1)


def filled_database(server: PostgresServer, template: str, flows: int) -> str:
    """Where it is. It goes with the server."""
    name = f"history_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    dsn = server.dsn(name)
    asyncio.run(fill(dsn, flows))
    return dsn


def run_with(dsn: str, use: Callable[[Database], Awaitable[T]]) -> T:
    """Run a coroutine that is given the viewer's way to the database."""

    async def run() -> T:
        settings = SharedSettings(postgres_dsn=dsn)
        async with make_pool(settings, "test", command_timeout=60) as pool:
            return await use(Database(pool, settings.schema, 60))

    return asyncio.run(run())


class Unreliable:
    """A database that is as slow as `slowness` says: called before each statement, it may sleep or raise."""

    def __init__(self, database: Database, slowness: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._slowness = slowness
        self.timeout = database.timeout

    async def fetch(self, text: str, *values: Any, **options: Any) -> list[Row]:
        if "newest_flows_of" in text or "WHERE" in text:
            await self._slowness()
        return await self._database.fetch(text, *values, **options)
