"""Everything live in one viewer process: one Redis subscription, a feed per user who is looked at, and who looks."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable

from spanflow.span_processors.redis.redis_client import AsyncClient
from spanflow.viewer_api.live.bells import Bells
from spanflow.viewer_api.live.catch_up import ArchivedEntries
from spanflow.viewer_api.live.feed import Feed
from spanflow.viewer_api.live.frames import Frame
from spanflow.viewer_api.live.redis_flows import RedisFlows
from spanflow.viewer_api.live.subscription import DISABLED, EXPIRED, FAILED, Limits, Subscription
from spanflow.viewer_api.watching import Change, Watching

log = logging.getLogger(__name__)

StateListener = Callable[[bool], None]


class Hub:
    """Made in the event loop that uses it. Enter `run` as a task."""

    def __init__(
        self, client: AsyncClient, redis: RedisFlows, watching: Watching, archived: ArchivedEntries, limits: Limits
    ) -> None:
        self._redis = redis
        self._archived = archived
        self.watching = watching
        self.limits = limits
        self.bells = Bells(client, on_bell=self._ring, on_announcement=watching.announced, on_state=self._redis_changed)
        #: Told when Redis goes away or comes back.
        self.state_listeners: set[StateListener] = set()
        #: How many sockets are open.
        self.sockets = 0
        #: How many of those that were just accepted have not signed in yet.
        self.arriving = 0
        self._up: bool | None = None
        self._feeds: dict[str, tuple[Feed, asyncio.Task[None]]] = {}
        watching.listeners.append(self._watch_changed)

    @property
    def redis_up(self) -> bool:
        return self.bells.up

    async def run(self) -> None:
        """The subscription, until cancelled; then no feed is left either."""
        try:
            await self.bells.run()
        finally:
            tasks = [task for _, task in self._feeds.values()]
            self._feeds.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def follow(self, subscription: Subscription) -> AsyncGenerator[Frame]:
        """Everything for a subscriber, until it ends or the caller stops asking."""
        user_id = subscription.user_id
        if user_id not in self._feeds:
            feed = Feed(user_id, self._redis, self._archived)
            self._feeds[user_id] = (feed, asyncio.create_task(self._run(feed), name=f"spanflow feed of user {user_id}"))
        feed, task = self._feeds[user_id]
        feed.subscribers.add(subscription)
        try:
            async for frame in subscription.frames(feed):
                yield frame
        finally:
            feed.subscribers.discard(subscription)
            if not feed.subscribers and self._feeds.get(user_id) == (feed, task):
                del self._feeds[user_id]
                task.cancel()

    def feeds(self) -> int:
        return len(self._feeds)

    async def _run(self, feed: Feed) -> None:
        try:
            await feed.run()
        except asyncio.CancelledError:
            raise
        except Exception:
            # Its subscribers must not wait for ever for a feed that is dead.
            log.exception("The feed of user %s failed", feed.user_id)
            self._feeds.pop(feed.user_id, None)
            for subscription in list(feed.subscribers):
                subscription.end(FAILED)

    def _ring(self, user_id: str, flow_id: str) -> None:
        known = self._feeds.get(user_id)
        if known is not None:
            known[0].ring(flow_id)

    def _redis_changed(self, up: bool) -> None:
        if up:
            for feed, _ in self._feeds.values():
                feed.check()
        if up != self._up:
            self._up = up
            for listener in list(self.state_listeners):
                listener(up)

    def _watch_changed(self, change: Change) -> None:
        if change.watch is not None:
            return
        known = self._feeds.get(change.user_id)
        for subscription in list(known[0].subscribers) if known else ():
            if subscription.reason is None:
                subscription.end(EXPIRED if change.why == "expired" else DISABLED)
