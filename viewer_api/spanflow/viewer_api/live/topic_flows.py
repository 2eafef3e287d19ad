"""Which flows of Redis belong to a topic."""

from collections.abc import Sequence

from spanflow.viewer_api.live.redis_flows import RedisFlows
from spanflow.viewer_api.live.topic import Kind, Topic


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
        own = await self._of_owner(flow_ids)
        return [flow_id for flow_id in flow_ids if flow_id in own]

    async def rung(self, flow_ids: Sequence[str]) -> set[str]:
        """Those of the owner's flows, of which a bell told, that belong to the topic."""
        topic = self._topic
        if topic.kind is not Kind.CONVERSATION:
            return set(flow_ids)
        return await self._redis.in_conversation(topic.id, flow_ids)

    async def _of_owner(self, flow_ids: Sequence[str]) -> set[str]:
        """An id of a conversation is the client's choice: somebody else may have used the same."""
        if self._topic.owner is None:
            return set(flow_ids)
        return await self._redis.among_user(self._topic.owner, flow_ids)
