"""Whom each Spanflow watches, where several with databases of their own share one Redis.

Gateways read one set of watched users for all. Without this, each viewer would take out what its own database does not
know, the others would put it back, and so on for ever. So each says whom it wants watched, under a name of its own, and
all of them keep the shared keys at what all want together.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from spanflow.span_processors.names import WATCH_OWNERS, watched_by, withheld_by
from spanflow.span_processors.redis.redis_client import AsyncClient

#: What a Spanflow wanted that has not been heard of for so long is forgotten.
REMEMBERED_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Claims:
    """When watching each user ends, and of whom watchers do not see what was said."""

    until: Mapping[str, float] = field(default_factory=dict)
    withheld: Collection[str] = ()

    def with_others(self, others: "Claims", now: float) -> "Claims":
        """What both want: the later end, and contents only where both show them."""
        until = {user: end for user, end in others.until.items() if end > now}
        for user, end in self.until.items():
            until[user] = max(end, until.get(user, end))
        return Claims(until, {*self.withheld, *(user for user in others.withheld if user in others.until)})


async def add(client: AsyncClient, owner: str, claims: Claims) -> None:
    """Want these as well. Before they stand in the shared keys, so that no other viewer takes them out again."""
    pipeline: Any = client.pipeline(transaction=False)
    pipeline.sadd(WATCH_OWNERS, owner)
    if claims.until:
        pipeline.zadd(watched_by(owner), dict(claims.until))
    if claims.withheld:
        pipeline.sadd(withheld_by(owner), *claims.withheld)
    for key in (WATCH_OWNERS, watched_by(owner), withheld_by(owner)):
        pipeline.expire(key, REMEMBERED_SECONDS)
    await pipeline.execute()


async def settle(client: AsyncClient, owner: str, claims: Claims) -> Claims:
    """Want exactly these; gives what the others want."""
    claim = await _read(client, owner)
    await add(client, owner, claims)
    no_longer_watched = [user for user in claim.until if user not in claims.until]
    no_longer_withheld = [user for user in claim.withheld if user not in claims.withheld]
    if no_longer_watched:
        await client.zrem(watched_by(owner), *no_longer_watched)
    if no_longer_withheld:
        await _awaited(client.srem(withheld_by(owner), *no_longer_withheld))
    until: dict[str, float] = {}
    withheld: set[str] = set()
    for other in await _awaited(client.smembers(WATCH_OWNERS)):
        name = _text(other)
        if name != owner:
            theirs = await _read(client, name)
            until |= {user: max(end, until.get(user, end)) for user, end in theirs.until.items()}
            withheld.update(theirs.withheld)
    return Claims(until, withheld)


async def _read(client: AsyncClient, owner: str) -> Claims:
    until: Any = await client.zrange(watched_by(owner), 0, -1, withscores=True)
    withheld = await _awaited(client.smembers(withheld_by(owner)))
    return Claims({_text(user): end for user, end in until}, {_text(user) for user in withheld})


async def _awaited(answer: Any) -> Any:
    """redis-py types some answers of its asynchronous client as possibly synchronous."""
    return await answer


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
