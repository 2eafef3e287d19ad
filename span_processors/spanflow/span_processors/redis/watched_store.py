"""Writes the watched users: all keys in step, and the announcement that every gateway process listens for.

The keys are `monitored_users` (a set, as dashboards older than Spanflow read it), `monitored_until` (a sorted set: when
each ends) and `monitored_metadata_only` (a set: those of whom watchers do not see what was said).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from spanflow.span_processors.names import (
    MONITORED_METADATA_ONLY,
    MONITORED_UNTIL,
    MONITORED_USERS,
    MONITORING_CHANGED,
)
from spanflow.span_processors.redis.redis_client import AsyncClient
from spanflow.span_processors.redis.watched import watched_until

_ANY_CHANGE: Final = "*"


async def watch(client: AsyncClient, users: Mapping[str, float], metadata_only: Collection[str] = ()) -> None:
    """Watch these users until the given times (seconds since 1970). Takes effect in every gateway within a second.
    Watchers see the contents of all but those in `metadata_only`."""
    if not users:
        return
    withheld = [user for user in users if user in metadata_only]
    shown = [user for user in users if user not in metadata_only]
    pipeline: Any = client.pipeline(transaction=False)
    # In this order, so that no user ever appears watched without an expiry, or with contents that must not be shown.
    if withheld:
        pipeline.sadd(MONITORED_METADATA_ONLY, *withheld)
    pipeline.zadd(MONITORED_UNTIL, dict(users))
    pipeline.sadd(MONITORED_USERS, *users)
    if shown:
        pipeline.srem(MONITORED_METADATA_ONLY, *shown)
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
    pipeline.srem(MONITORED_METADATA_ONLY, *users)
    await pipeline.execute()
    await _announce(client, users)


async def watched_users(client: AsyncClient) -> dict[str, float]:
    """All watched users with the expiry of each watch (infinity for those an older dashboard added)."""
    return (await _read(client))[0]


async def bring_in_step(
    client: AsyncClient, wanted: Mapping[str, float], now: float, metadata_only: Collection[str] = ()
) -> bool:
    """After a flush, or when times have run out: make the keys say what the durable store says. True if they did not.

    Who stands in the keys without an end was added by an older dashboard and stays.
    """
    present, withheld = await _read(client)
    missing = {
        user: end
        for user, end in wanted.items()
        if end > now and (present.get(user) != end or (user in withheld) != (user in metadata_only))
    }
    over = [user for user, end in present.items() if end <= now]
    # A flag whose user is not there is left alone: another viewer may just be about to add the user.
    added = {user for user in present if user not in wanted and (user in withheld) != (user in metadata_only)}
    await watch(client, missing, metadata_only)
    await unwatch(client, over)
    await _mark(client, added.difference(over), metadata_only)
    return bool(missing or over or added)


async def _mark(client: AsyncClient, users: Collection[str], metadata_only: Collection[str]) -> None:
    """Say of users whom an older dashboard has added whether their contents are seen."""
    if not users:
        return
    pipeline: Any = client.pipeline(transaction=False)
    for user in users:
        change = pipeline.sadd if user in metadata_only else pipeline.srem
        change(MONITORED_METADATA_ONLY, user)
    await pipeline.execute()
    await _announce(client, users)


async def _read(client: AsyncClient) -> tuple[dict[str, float], set[str]]:
    pipeline: Any = client.pipeline(transaction=False)
    pipeline.smembers(MONITORED_USERS)
    pipeline.zrange(MONITORED_UNTIL, 0, -1, withscores=True)
    pipeline.smembers(MONITORED_METADATA_ONLY)
    members, until, withheld = await pipeline.execute()
    ends = watched_until(map(_bytes, members), [(_bytes(user), end) for user, end in until])
    return ends, {_bytes(user).decode("utf-8", "replace") for user in withheld}


async def _announce(client: Any, users: Iterable[str]) -> None:
    """Apart from the pipeline: in a cluster there is no PUBLISH in pipelines."""
    await client.publish(MONITORING_CHANGED, _announcement(users))


def _announcement(users: Iterable[str]) -> str:
    """What changed, for people who look; gateways read everything again. Long lists are not spelled out."""
    text = ",".join(users)
    return text if len(text) <= 1000 else _ANY_CHANGE


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "replace")
