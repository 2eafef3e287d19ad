"""A feed: one reader of a topic's streams for everybody who looks at it."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
import redis.asyncio

from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.live.cursor import CursorKey
from spanflow.viewer_api.live.feed import Feed, FeedContext
from spanflow.viewer_api.live.frames import Frame
from spanflow.viewer_api.live.topic import Topic
from spanflow.viewer_api.store.redis_flows import RedisFlows
from tests.support.flow_writer import FlowWriter
from tests.support.poll import eventually_async

pytestmark = pytest.mark.anyio


class Listener:
    """Stands where a subscription does."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def offer(self, frame: Frame) -> None:
        self.events.extend(frame.events)

    def restart(self, why: str | None = None) -> None:
        """It wants nothing of before."""


class Observed(RedisFlows):
    """Something happens in a flow while the feed looks through the index."""

    def __init__(self, client: Any, flow: FlowWriter) -> None:
        super().__init__(client)
        self._flow = flow
        self.feed: Feed | None = None
        self.looks = 0
        self.had: list[int] = []

    async def of_user(self, user_id: str) -> list[str]:
        found = await super().of_user(user_id)
        self.looks += 1
        if self.feed is not None and self.looks == 2:
            self._flow.start("late", "root")
            self.feed.ring(self._flow.flow_id)
        return found

    async def open_among(self, flow_ids: Any) -> set[str]:
        if self.feed is not None and self.looks == 2:
            self.had = [len(subscriber.events) for subscriber in self.feed.subscribers]  # type: ignore[attr-defined]
        return await super().open_among(flow_ids)


async def test_a_bell_is_answered_in_the_middle_of_a_look(redis_url: str) -> None:
    async def nothing(flow_id: str) -> None:
        return None

    client = redis.asyncio.Redis.from_url(redis_url)
    with FlowWriter(redis_url) as flow:
        flow.start("root")
        flows = Observed(client, flow)
        feed = flows.feed = Feed(Topic.of_user("7"), FeedContext(flows, nothing, CursorKey(b"a secret")))
        listener = Listener()
        feed.subscribers.add(listener)  # type: ignore[arg-type]
        running = asyncio.create_task(feed.run())
        await eventually_async(lambda: flows.had, within=10)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    await client.aclose()
    assert flows.had == [2]
    assert [event["node_id"] for event in listener.events] == ["root", "late"]


class Breaking(RedisFlows):
    """A flow comes and goes before the second look of the feed, and the line is cut in the middle of that look."""

    def __init__(self, client: Any, flow: FlowWriter) -> None:
        super().__init__(client)
        self._flow = flow
        self.looks = 0
        self.cuts = 0

    async def of_user(self, user_id: str) -> list[str]:
        self.looks += 1
        if self.looks == 2:
            self._flow.start("root")
            self._flow.end("root")
            self._flow.close()
        return await super().of_user(user_id)

    async def last_ids(self, flow_ids: Any) -> dict[str, str]:
        if self.looks == 2:
            self.cuts += 1
            raise ConnectionError("cut")
        return await super().last_ids(flow_ids)


async def test_a_flow_that_came_and_went_without_a_bell_is_not_lost_when_the_look_that_finds_it_is_cut_off(
    redis_url: str,
) -> None:
    async def nothing(flow_id: str) -> None:
        return None

    client = redis.asyncio.Redis.from_url(redis_url)
    with FlowWriter(redis_url, watched=False) as flow:
        flows = Breaking(client, flow)
        feed = Feed(Topic.of_user("7"), FeedContext(flows, nothing, CursorKey(b"a secret")))
        listener = Listener()
        feed.subscribers.add(listener)  # type: ignore[arg-type]
        running = asyncio.create_task(feed.run())
        await eventually_async(lambda: flows.looks >= 4, within=10)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    await client.aclose()
    assert flows.cuts == 1
    assert [(event["phase"], event["node_id"]) for event in listener.events] == [("end", "root")]


class Swallowing(RedisFlows):
    """Tells a cancellation as a broken line, or tries again and answers as if nothing had been."""

    def __init__(self, client: Any, *, breaks: bool) -> None:
        super().__init__(client)
        self._breaks = breaks
        self.asked = False

    async def now_ms(self) -> int:
        if self.asked:
            return 0
        self.asked = True
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._breaks:
                raise ConnectionError("cut") from None
        return 0


@pytest.mark.parametrize("breaks", [True, False])
async def test_a_feed_ends_when_its_cancellation_is_lost_in_the_client_library(redis_url: str, breaks: bool) -> None:
    async def nothing(flow_id: str) -> None:
        return None

    client = redis.asyncio.Redis.from_url(redis_url)
    flows = Swallowing(client, breaks=breaks)
    running = asyncio.create_task(Feed(Topic.of_user("7"), FeedContext(flows, nothing, CursorKey(b"a secret"))).run())
    await eventually_async(lambda: flows.asked)
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=3)
    running.cancel()
    assert done
    await client.aclose()
