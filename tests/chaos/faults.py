"""What can happen to a gateway's servers, and how it ends."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.support.postgres_server import PostgresServer
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer
from tests.support.table_lock import locked_table


@dataclass(frozen=True)
class Stack:
    """The servers behind one gateway, and the lines to them."""

    redis: RedisServer
    postgres: PostgresServer
    redis_line: TcpProxy
    postgres_line: TcpProxy
    data_dir: Path
    #: What a fault holds until it ends.
    held: ExitStack = field(default_factory=ExitStack)

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
    #: Whether Redis loses what it had, or never gets it: then that is missing there, as `docs/outages.md` says.
    empties_redis: bool = False
    #: Reasons for which the mirror may drop events.
    drops: frozenset[str] = frozenset()


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


def _rights_to_write(given: bool) -> Callable[[Stack], object]:
    return lambda stack: stack.ask_redis("ACL", "SETUSER", "default", "+xadd" if given else "-xadd")


def _evict(stack: Stack) -> None:
    stack.ask_redis("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    stack.ask_redis("CONFIG", "SET", "maxmemory", "1500kb")


def _evict_no_more(stack: Stack) -> None:
    stack.ask_redis("CONFIG", "SET", "maxmemory", "0")
    stack.ask_redis("CONFIG", "SET", "maxmemory-policy", "noeviction")


def _lock_flows(stack: Stack) -> None:
    """As a migration does, or a person with an open transaction."""
    stack.held.enter_context(locked_table(stack.postgres.dsn(), "omni2.interaction_flows"))


def _push(stack: Stack) -> None:
    """Tell every connection of each key that changes, as a client with a cache of its own wants it."""
    client: Any = stack.held.enter_context(redis.Redis.from_url(stack.redis.url))
    for other in client.client_list():
        tracking: Any = redis.Redis.from_url(stack.redis.url, single_connection_client=True)
        stack.held.enter_context(tracking)
        with suppress(redis.ResponseError):  # it has gone meanwhile
            tracking.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", other["id"], "BCAST")


def _let_go(stack: Stack) -> None:
    stack.held.close()


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
    Fault("Redis pushes messages", REDIS, _push, _let_go),
    Fault("Redis evicts keys", REDIS, _evict, _evict_no_more, empties_redis=True),
    Fault(
        "Redis takes rights away",
        REDIS,
        _rights_to_write(False),
        _rights_to_write(True),
        empties_redis=True,
        drops=frozenset({"refused"}),
    ),
    Fault("Postgres is cut off", POSTGRES, lambda s: s.postgres_line.cut(), lambda s: s.postgres_line.restore()),
    Fault("Postgres is silent", POSTGRES, lambda s: s.postgres_line.half_open(), lambda s: s.postgres_line.restore()),
    Fault("Postgres is slow", POSTGRES, lambda s: s.postgres_line.delay(0.3), lambda s: s.postgres_line.restore()),
    Fault("Postgres trickles", POSTGRES, lambda s: s.postgres_line.drip(50), lambda s: s.postgres_line.restore()),
    Fault("Postgres drops connections", POSTGRES, lambda s: s.postgres_line.drop_connections(), lambda s: None),
    Fault("Postgres crashes", POSTGRES, lambda s: s.postgres.kill(), lambda s: s.postgres.start()),
    Fault("Postgres is read-only", POSTGRES, _postgres_read_only(True), _postgres_read_only(False)),
    Fault("a table of Postgres is locked", POSTGRES, _lock_flows, _let_go),
    Fault("the spool cannot be made", DISK, _no_spool, _spool_again),
)
