"""Removes flows from Redis: streams, what belongs to them, and their places in the indexes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.ids import is_id
from spanflow.span_processors.redis.redis_client import AsyncClient
from spanflow.span_processors.redis.redis_text import text_of
from spanflow.span_processors.tree.flow_identity import identity_of_flow
from spanflow.viewer_api.store.redis_flows import RedisFlows, batched

#: Keys of a flow beside its stream, but for those that are named after a process.
_PARTS: Final = ("activities", "reaped", "reaper")


@dataclass(frozen=True, slots=True)
class StoredFlow:
    """What must be known of a flow to find all that Redis has of it."""

    flow_id: str
    user_id: str | None = None
    session_id: str | None = None
    conversation_id: str | None = None
    processes: tuple[str, ...] = ()


class RedisErasure:
    """`AsyncClient` errors are the caller's: what is removed twice does no harm."""

    def __init__(self, client: AsyncClient, flows: RedisFlows) -> None:
        self._client: Any = client
        self._flows = flows

    async def flow_ids_of(self, user_id: str) -> list[str]:
        """Every flow in the user's index, however many."""
        members = await self._client.zrange(names.user_flows(user_id), 0, -1)
        return [flow_id for flow_id in map(text_of, members) if is_id(flow_id)]

    async def described(self, flow_ids: Sequence[str]) -> list[StoredFlow]:
        """What the streams say of flows; of those that have none nothing but the id."""
        described_flows = []
        for some in batched(flow_ids):
            for flow_id, reducer in (await self._flows.reduced_all(some)).items():
                entries = reducer.entries()
                whose = identity_of_flow(entries)
                processes = {entry["process"] for entry in entries if entry.get("process")}
                described_flows.append(
                    StoredFlow(
                        flow_id, whose.user_id, whose.session_id, whose.conversation_id, tuple(sorted(processes))
                    )
                )
        return described_flows

    async def open_among(self, flow_ids: Sequence[str]) -> set[str]:
        return await self._flows.open_among(list(flow_ids))

    async def remove(self, flows: Iterable[StoredFlow]) -> int:
        """Remove all of these flows; gives how many had a stream."""
        pipe = self._client.pipeline(transaction=False)
        streams = []
        place = 0
        for flow in flows:
            streams.append(place)
            keys = [names.flow_stream(flow.flow_id)]
            keys += [names.flow_key(flow.flow_id, part) for part in _PARTS]
            keys += [names.flow_told(flow.flow_id, process) for process in flow.processes]
            for key in keys:
                pipe.delete(key)
            indexes = [names.OPEN_FLOWS]
            if flow.user_id is not None:
                indexes.append(names.user_flows(flow.user_id))
            if flow.session_id is not None:
                indexes.append(names.session_flows(flow.session_id))
            if flow.conversation_id is not None:
                indexes.append(names.conversation_flows(flow.conversation_id))
            for index in indexes:
                pipe.zrem(index, flow.flow_id)
            place += len(keys) + len(indexes)
        if not streams:
            return 0
        answers = await pipe.execute()
        return sum(int(answers[at]) for at in streams)

    async def remove_from_index(self, user_id: str, flow_ids: Sequence[str]) -> None:
        """Take flows out of a user's index that are not theirs or not there any more."""
        if flow_ids:
            await self._client.zrem(names.user_flows(user_id), *flow_ids)
