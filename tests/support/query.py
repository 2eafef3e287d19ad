"""Ask a database one thing, from tests that run no event loop of their own."""

import asyncio
from typing import Any

import asyncpg


def query(dsn: str, statement: str, *arguments: object) -> list[dict[str, Any]]:
    """The rows of one statement."""

    async def run() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            return [dict(row) for row in await connection.fetch(statement, *arguments)]
        finally:
            await connection.close()

    return asyncio.run(run())


def value(dsn: str, statement: str, *arguments: object) -> Any:
    """The first column of the first row."""
    rows = query(dsn, statement, *arguments)
    return next(iter(rows[0].values())) if rows else None


def script(dsn: str, text: str) -> None:
    """Run several statements, as psql would."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await connection.execute(text)
        finally:
            await connection.close()

    asyncio.run(run())
