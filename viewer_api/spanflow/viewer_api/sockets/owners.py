"""Whose a topic is: looked up in Redis for what runs, and in Postgres for what is over."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from spanflow.span_processors.tree.flow_identity import identity_of_flow
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.live.topic import Kind, Topic
from spanflow.viewer_api.store.flow_owners import FlowOwners
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS, RedisFlows

Find = Callable[[str], Awaitable[list[str | None]]]
#: Flows of a conversation that are asked whose it is, the newest.
_MAX_ASKED: Final = 5
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.05


class Owners:
    def __init__(self, redis: RedisFlows, stored: FlowOwners) -> None:
        self._redis = redis
        self._stored = stored

    async def topic(self, kind: Kind, id: str, principal: Principal) -> Topic | None:
        """What `principal` may follow under this name; None when there is nothing that they may see."""
        if kind is Kind.USER:
            return Topic.of_user(id) if principal.sees(id) else None

        async def running(id: str) -> list[str | None]:
            flow_ids = [id] if kind is Kind.FLOW else await self._redis.of_conversation(id)
            return await self._of_flows(await self._redis.visible_among(flow_ids, principal.visible))

        owners = await _both(id, running, self._stored.of_flow if kind is Kind.FLOW else self._stored.of_conversation)
        for owner in owners:
            if principal.sees(owner):
                return Topic(kind, id, owner)
        return None

    async def _of_flows(self, flow_ids: Sequence[str]) -> list[str | None]:
        owners: list[str | None] = []
        for flow_id in flow_ids[:_MAX_ASKED]:
            reducer = await self._redis.reduced(flow_id)
            owner = identity_of_flow(reducer.entries()).user_id
            if len(reducer) and owner not in owners:
                owners.append(owner)
        return owners


async def _both(id: str, running: Find, stored: Find) -> list[str | None]:
    """Each of the two servers may be away; what one of them knows is enough."""
    from_redis = await _from_redis(id, running)
    try:
        owners = from_redis or []
        owners += [owner for owner in await stored(id) if owner not in owners]
    except Problem:
        if not from_redis:
            raise
    if from_redis is None and not owners:
        raise Problem(503, "live_unavailable", "Redis cannot be reached: try again in a moment.")
    # A flow's user may have become known after a part of it was stored.
    return sorted(owners, key=lambda owner: owner is None)


async def _from_redis(id: str, running: Find) -> list[str | None] | None:
    """None when there is no answer. After a moment's absence the first tries only notice that their line is broken."""
    for _ in range(_TRIES):
        with suppress(*REDIS_ERRORS):
            return await running(id)
        await asyncio.sleep(_PAUSE_SECONDS)
    return None
