"""Servers that are there and refuse: what they answer to every write is an error."""

from typing import Any

import redis

from tests.support.query import script


def postgres_refuses(dsn: str, refuses: bool) -> None:
    """The database of `dsn` takes no writes, or takes them again. Clients are sent away: they would keep their mode."""
    database = dsn.rpartition("/")[2]
    script(
        dsn,
        f"""
        SET TRANSACTION READ WRITE;
        ALTER DATABASE "{database}" SET default_transaction_read_only = {"on" if refuses else "off"};
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
        """,
    )


def redis_refuses(url: str, refuses: bool) -> None:
    """The server waits for a replica that it does not have, or does not."""
    client: Any = redis.Redis.from_url(url)
    try:
        client.config_set("min-replicas-to-write", int(refuses))
    finally:
        client.close()
