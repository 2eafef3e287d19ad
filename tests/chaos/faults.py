"""What can happen to a gateway's servers, and how it ends."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.support.postgres_server import PostgresServer
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer


@dataclass(frozen=True)
class Stack:
    """The servers behind one gateway, and the lines to them."""

    redis: RedisServer
    postgres: PostgresServer
    redis_line: TcpProxy
    postgres_line: TcpProxy
    data_dir: Path

    def ask_redis(self, *words: str) -> None:
        client: Any = redis.Redis.from_url(self.redis.url)
        try:
            client.execute_command(*words)
        finally:
            client.close()


@dataclass(frozen=True)
class Fault:
    """`begin` and `end` have taken effect when they return."""

    name: str
    #: What it strikes. Two at once strike different things.
    at: str
    begin: Callable[[Stack], object]
    end: Callable[[Stack], object]
    #: Whether Redis is emptied: then what had ended before is missing there, as `docs/outages.md` says.
    empties_redis: bool = False


def _restart_redis(stack: Stack) -> None:
    stack.redis.kill()
    stack.redis.start()


def _postgres_read_only(on: bool) -> Callable[[Stack], object]:
    def switch(stack: Stack) -> None:
        value = "on" if on else "off"
        stack.postgres.execute(
            f"ALTER SYSTEM SET default_transaction_read_only = {value}",
            "SELECT pg_reload_conf()",
            # What is connected keeps what it began with.
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'spanflow archive'",
        )

    return switch


def _no_spool(stack: Stack) -> None:
    spool = stack.data_dir / "spool"
    if not spool.exists():
        stack.data_dir.mkdir(parents=True, exist_ok=True)
        spool.write_text("a file stands where the folder should be")


def _spool_again(stack: Stack) -> None:
    spool = stack.data_dir / "spool"
    if spool.is_file():
        spool.unlink()


REDIS = "redis"
POSTGRES = "postgres"
DISK = "disk"

FAULTS = (
    Fault("Redis is cut off", REDIS, lambda s: s.redis_line.cut(), lambda s: s.redis_line.restore()),
    Fault("Redis is silent", REDIS, lambda s: s.redis_line.half_open(), lambda s: s.redis_line.restore()),
    Fault("Redis is slow", REDIS, lambda s: s.redis_line.delay(0.3), lambda s: s.redis_line.restore()),
    Fault("Redis drops connections", REDIS, lambda s: s.redis_line.drop_connections(), lambda s: None),
    Fault("Redis restarts empty", REDIS, _restart_redis, lambda s: None, empties_redis=True),
    Fault("Redis is flushed", REDIS, lambda s: s.ask_redis("FLUSHALL"), lambda s: None, empties_redis=True),
    Fault(
        "Redis is out of memory",
        REDIS,
        lambda s: s.ask_redis("CONFIG", "SET", "maxmemory", "1"),
        lambda s: s.ask_redis("CONFIG", "SET", "maxmemory", "0"),
    ),
    Fault(
        "Redis takes no writes",
        REDIS,
        lambda s: s.ask_redis("CONFIG", "SET", "min-replicas-to-write", "1"),
        lambda s: s.ask_redis("CONFIG", "SET", "min-replicas-to-write", "0"),
    ),
    Fault("Postgres is cut off", POSTGRES, lambda s: s.postgres_line.cut(), lambda s: s.postgres_line.restore()),
    Fault("Postgres is silent", POSTGRES, lambda s: s.postgres_line.half_open(), lambda s: s.postgres_line.restore()),
    Fault("Postgres is slow", POSTGRES, lambda s: s.postgres_line.delay(0.3), lambda s: s.postgres_line.restore()),
    Fault("Postgres trickles", POSTGRES, lambda s: s.postgres_line.drip(50), lambda s: s.postgres_line.restore()),
    Fault("Postgres drops connections", POSTGRES, lambda s: s.postgres_line.drop_connections(), lambda s: None),
    Fault("Postgres crashes", POSTGRES, lambda s: s.postgres.kill(), lambda s: s.postgres.start()),
    Fault("Postgres is read-only", POSTGRES, _postgres_read_only(True), _postgres_read_only(False)),
    Fault("the spool cannot be made", DISK, _no_spool, _spool_again),
)
