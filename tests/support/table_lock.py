"""A table that a transaction of somebody else's holds."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg


@contextmanager
def locked_table(dsn: str, table: str) -> Iterator[None]:
    """Nobody else reads or writes it until the end."""
    locked, may_end = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                locked.set()
                await asyncio.to_thread(may_end.wait, 60)
        finally:
            await connection.close()

    holder = threading.Thread(target=lambda: asyncio.run(hold()))
    holder.start()
    try:
        assert locked.wait(30)
        yield
    finally:
        may_end.set()
        holder.join()
