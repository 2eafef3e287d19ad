"""How far a feed has read one flow, and what is open in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from spanflow.viewer_api.live.cursor import MAX_MOVED, Base, Cursor, CursorKey
from spanflow.viewer_api.live.flow_owner import FlowOwner
from spanflow.viewer_api.live.open_spans import OpenSpans
from spanflow.viewer_api.live.topic import Kind, Topic
from spanflow.viewer_api.store.redis_flows import RedisFlows
from spanflow.viewer_api.store.stream_id import BEGINNING


@dataclass
class Tail:
    """How far one flow has been read."""

    last_id: str = BEGINNING
    open: bool = True
    closed_at: float = 0.0
    spans: OpenSpans = field(default_factory=OpenSpans)
    #: Processes with open spans that are gone.
    lost: set[str] = field(default_factory=set)
    owner: FlowOwner = field(default_factory=FlowOwner)
    #: Subscribers have been told that it is there, which they are not before it is known whose it is.
    announced: bool = False


class Positions:
    """A cursor at any moment, for the price of the few flows that have moved lately."""

    def __init__(self, key: CursorKey) -> None:
        self._key = key
        #: By the clock of Redis, when all of them were looked at.
        self.read_ms = 0
        #: The last entry of each flow; the flows that were read last are the last ones.
        self._last: dict[str, str] = {}
        self._base: Base | None = None
        self._moved: dict[str, str] = {}

    def move(self, flow_id: str, entry_id: str) -> None:
        for positions in (self._last, self._moved):
            positions.pop(flow_id, None)
            positions[flow_id] = entry_id

    def forget(self, flow_id: str) -> None:
        self._last.pop(flow_id, None)
        self._base = None

    def cursor(self) -> Cursor:
        if self._base is None or len(self._moved) > MAX_MOVED:
            self._base = Base(self.read_ms, dict(self._last))
            self._moved = {}
        return Cursor(self.read_ms, dict(self._moved), self._base, key=self._key)


class TopicFlows:
    def __init__(self, topic: Topic, redis: RedisFlows) -> None:
        self._topic = topic
        self._redis = redis

    async def newest(self) -> list[str]:
        """The newest flows, newest first."""
        topic = self._topic
        if topic.kind is Kind.USER:
            return await self._redis.of_user(topic.id)
        if topic.kind is Kind.FLOW:
            return [topic.id]
        flow_ids = await self._redis.of_conversation(topic.id)
        own = await self.of_owner(flow_ids)
        return [flow_id for flow_id in flow_ids if flow_id in own]

    async def rung(self, flow_ids: Sequence[str]) -> set[str]:
        """Those flows from bell messages that belong to the topic. A publisher is not trusted more than the
        indexes are."""
        topic = self._topic
        if topic.kind is Kind.FLOW:
            return {flow_id for flow_id in flow_ids if flow_id == topic.id}
        own = await self.of_owner(flow_ids)
        return own if topic.kind is Kind.USER else await self._redis.in_conversation(topic.id, list(own))

    async def of_owner(self, flow_ids: Sequence[str]) -> set[str]:
        """Those of the topic's owner.

        An id of a conversation is the client's choice: another user may have used the same.
        """
        if self._topic.owner is None:
            return set(flow_ids)
        return await self._redis.among_user(self._topic.owner, flow_ids)
