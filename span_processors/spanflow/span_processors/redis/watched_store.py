"""Writes the watched users: both keys in step, and the announcement that every gateway process listens for.

The keys are `monitored_users` (a set, as dashboards older than Spanflow read it) and `monitored_until` (a sorted set:
when each ends).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from spanflow.span_processors.names import MONITORED_UNTIL, MONITORED_USERS, MONITORING_CHANGED
from spanflow.span_processors.redis.redis_client import AsyncClient
from spanflow.span_processors.redis.watched import watched_until

_ANY_CHANGE: Final = "*"


async def watch(client: AsyncClient, users: Mapping[str, float]) -> None:
    """Watch these users until the given times (seconds since 1970). Takes effect in every gateway within a second."""
    if not users:
        return
    pipeline: Any = client.pipeline(transaction=False)
    # In this order, so that nobody is ever seen as watched without an end.
    pipeline.zadd(MONITORED_UNTIL, dict(users))
    pipeline.sadd(MONITORED_USERS, *users)
    await pipeline.execute()
    await _announce(client, users)


async def unwatch(client: AsyncClient, user_ids: Iterable[str]) -> None:
    """Stop watching these users."""
    users = list(user_ids)
    if not users:
        return
    pipeline: Any = client.pipeline(transaction=False)
    pipeline.srem(MONITORED_USERS, *users)
    pipeline.zrem(MONITORED_UNTIL, *users)
    await pipeline.execute()
    await _announce(client, users)


async def watched_users(client: AsyncClient) -> dict[str, float]:
    """Everybody in the two keys and when watching them ends (infinity for those an older dashboard added)."""
    pipeline: Any = client.pipeline(transaction=False)
    pipeline.smembers(MONITORED_USERS)
    pipeline.zrange(MONITORED_UNTIL, 0, -1, withscores=True)
    members, until = await pipeline.execute()
    return watched_until(map(_bytes, members), [(_bytes(user), end) for user, end in until])


async def bring_in_step(client: AsyncClient, wanted: Mapping[str, float], now: float) -> bool:
    """After a flush, or when times have run out: make the keys say what the durable store says. True if they did not.

    Who stands in the keys without an end was added by an older dashboard and stays.
    """
    present = await watched_users(client)
    missing = {user: end for user, end in wanted.items() if end > now and present.get(user) != end}
    over = [user for user, end in present.items() if end <= now]
    await watch(client, missing)
    await unwatch(client, over)
    return bool(missing or over)


async def _announce(client: Any, users: Iterable[str]) -> None:
    """Apart from the pipeline: in a cluster there is no PUBLISH in pipelines."""
    await client.publish(MONITORING_CHANGED, _announcement(users))


def _announcement(users: Iterable[str]) -> str:
    """What changed, for people who look; gateways read everything anew. Long lists are not spelled out."""
    text = ",".join(users)
    return text if len(text) <= 1000 else _ANY_CHANGE


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "replace")
