"""The viewer's way to Postgres while it does not answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from spanflow.span_processors.archive.postgres import make_pool
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.store.database import Database
from tests.support.proxy import TcpProxy

pytestmark = pytest.mark.anyio
PATIENCE = 1.5


@asynccontextmanager
async def database_behind(line: TcpProxy) -> AsyncIterator[Database]:
    async with make_pool(ViewerSettings(postgres_dsn=line.url), "test", command_timeout=PATIENCE, max_size=1) as pool:
        yield Database(pool, "omni2", 1.0)


@pytest.mark.parametrize("readonly", [True, False])
async def test_a_server_that_falls_silent_is_waited_for_once(
    readonly: bool, postgres_dsn: str, proxy: Callable[[str], TcpProxy]
) -> None:
    line = proxy(postgres_dsn)
    async with database_behind(line) as database:
        began = time.monotonic()
        with pytest.raises(Problem) as problem:
            async with database.transaction(readonly=readonly) as connection:
                await asyncio.to_thread(line.half_open)
                began = time.monotonic()
                await connection.execute("SELECT 1")
        assert problem.value.code == "storage_unavailable"
        assert PATIENCE * 0.9 < time.monotonic() - began < PATIENCE * 1.6
        await asyncio.to_thread(line.restore)
        assert (await database.fetch("SELECT 1 AS one"))[0]["one"] == 1
