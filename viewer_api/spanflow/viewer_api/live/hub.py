"""Everything live in one viewer process: one Redis subscription, a feed per topic that is looked at, and who looks."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.redis.redis_client import AsyncClient
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.live.bells import Bells
from spanflow.viewer_api.live.feed import Feed, FeedContext
from spanflow.viewer_api.live.frames import Frame, NoticeFrame
from spanflow.viewer_api.live.pending_sockets import PendingSockets
from spanflow.viewer_api.live.subscription import (
    CONTENTS_SHOWN,
    DISABLED,
    EXPIRED,
    FAILED,
    Limits,
    Straight,
    Subscription,
)
from spanflow.viewer_api.live.topic import Kind, Topic
from spanflow.viewer_api.live.without_contents import Shown
from spanflow.viewer_api.monitoring.watching import Change, Watching

log = logging.getLogger(__name__)

StateListener = Callable[[bool], None]
Goodbye = Callable[[], Awaitable[None]]
#: Clients that do not take their leave within this time are cut off.
_GOODBYE_SECONDS: Final = 2.0
#: Sockets that have not said who they are.
_MAX_ARRIVING: Final = 50
#: The message to clients while the viewer stops.
STOPPING: Final = "restarting"


class Hub:
    """Made in the event loop that uses it. Enter `run` as a task."""

    def __init__(
        self, client: AsyncClient, feed_context: FeedContext, watching: Watching, limits: Limits, metadata: Metadata
    ) -> None:
        self.feed_context = feed_context
        self._metadata = metadata
        self.watching = watching
        self.limits = limits
        self.bells = Bells(client, on_bell=self._ring, on_announcement=watching.announced, on_state=self._redis_changed)
        #: Told when Redis goes away or comes back.
        self.state_listeners: set[StateListener] = set()
        #: Called when the viewer stops: each ends one client's connection, saying why.
        self.goodbyes: set[Goodbye] = set()
        #: The viewer is stopping: no client is admitted.
        self.stopping = False
        #: How many sockets and event streams are open.
        self.sockets = 0
        #: Those that were just accepted and have not signed in yet.
        self.lobby = PendingSockets(_MAX_ARRIVING)
        #: Times that a client was sent everything again, by reason.
        self.resyncs: Counter[str] = Counter()
        self._up: bool | None = None
        self._feeds: dict[Topic, tuple[Feed, asyncio.Task[None]]] = {}
        #: The feeds that a user's bell is for.
        self._of_owner: dict[str, dict[Topic, Feed]] = {}
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
            self._of_owner.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @contextmanager
    def place(self, most: int) -> Iterator[None]:
        """A place for one socket or event stream, for as long as it is open; `Problem` when `most` are taken, or when
        the viewer stops."""
        if self.stopping:
            raise Problem(503, STOPPING, "The viewer stops: connect again.")
        if self.sockets >= most:
            raise Problem(429, "too_many_sockets", "This viewer serves too many sockets already.")
        self.sockets += 1
        try:
            yield
        finally:
            self.sockets -= 1

    @contextmanager
    def parting(self, goodbye: Goodbye) -> Iterator[bool]:
        """Have `goodbye` called when the viewer stops, unless it stops already: that is the answer."""
        self.goodbyes.add(goodbye)
        try:
            yield self.stopping
        finally:
            self.goodbyes.discard(goodbye)

    async def say_goodbye(self) -> None:
        """The viewer stops: tell every client, with what it needs to go on elsewhere."""
        self.stopping = True
        leaving = [asyncio.ensure_future(goodbye()) for goodbye in self.goodbyes]
        if leaving:
            log.info("The viewer is stopping: notifying %d live clients.", len(leaving))
            _, late = await asyncio.wait(leaving, timeout=_GOODBYE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)

    async def follow(self, subscription: Subscription, send_at_once: Straight | None = None) -> AsyncGenerator[Frame]:
        """Everything for a subscriber, until it ends or the caller stops asking; but for what `send_at_once` takes."""
        topic = subscription.topic
        feed, task = self._feeds.get(topic) or self._opened(topic)
        feed.subscribers.add(subscription)
        if subscription.by_watch and not self.watching.will_tell(topic.owner):
            # It ended after the client was admitted, and it is not announced again.
            subscription.end(DISABLED)
        shown = Shown(subscription, self.watching.withholds, self._metadata)

        def straight(frame: Frame) -> bool:
            if send_at_once is None or _tells_resync(frame):
                return False
            try:
                return send_at_once(shown.of(frame))
            except Exception:
                # The client's own task meets the error again, and it ends no other client.
                return False

        try:
            async for frame in subscription.frames(feed, straight):
                if isinstance(frame, NoticeFrame) and _tells_resync(frame):
                    self.resyncs[frame.fields["reason"]] += 1
                yield shown.of(frame)
        finally:
            feed.subscribers.discard(subscription)
            if not feed.subscribers and self._feeds.get(topic) == (feed, task):
                self._forget(topic)
                task.cancel()

    def withholds(self, subscription: Subscription) -> bool:
        """Whether the client sees what happens, but not what is said."""
        return not subscription.own and self.watching.withholds(subscription.topic.owner)

    def feeds(self) -> int:
        return len(self._feeds)

    def subscriptions(self) -> int:
        return sum(len(feed.subscribers) for feed, _ in self._feeds.values())

    def _opened(self, topic: Topic) -> tuple[Feed, asyncio.Task[None]]:
        feed = Feed(topic, self.feed_context)
        task = asyncio.create_task(self._run(feed), name=f"spanflow feed of {topic}")
        self._feeds[topic] = (feed, task)
        if topic.owner is not None:
            self._of_owner.setdefault(topic.owner, {})[topic] = feed
        return feed, task

    def _forget(self, topic: Topic) -> None:
        self._feeds.pop(topic, None)
        feeds = self._of_owner.get(topic.owner or "")
        if feeds is not None:
            feeds.pop(topic, None)
            if not feeds:
                del self._of_owner[topic.owner or ""]

    async def _run(self, feed: Feed) -> None:
        try:
            await feed.run()
        except asyncio.CancelledError:
            raise
        except Exception:
            # Its subscribers must not wait for ever for a feed that is dead.
            log.exception("The feed of %s failed", feed.topic)
            self._forget(feed.topic)
            for subscription in list(feed.subscribers):
                subscription.end(FAILED)

    def _ring(self, user_id: str, flow_id: str) -> None:
        for topic, feed in self._of_owner.get(user_id, {}).items():
            if topic.kind is not Kind.FLOW or topic.id == flow_id:
                feed.ring(flow_id)

    def _redis_changed(self, up: bool) -> None:
        if up:
            for feed, _ in self._feeds.values():
                feed.check()
        if up != self._up:
            self._up = up
            # Without Redis changes are not announced, so watches are polled more often.
            self.watching.announced()
            for listener in list(self.state_listeners):
                listener(up)

    def _watch_changed(self, change: Change) -> None:
        if change.watch is not None and not change.contents_again:
            return
        for feed in list(self._of_owner.get(change.user_id, {}).values()):
            for subscription in list(feed.subscribers):
                if change.watch is not None:
                    if not subscription.own:
                        subscription.begin_again(CONTENTS_SHOWN)
                elif subscription.by_watch:
                    subscription.end(EXPIRED if change.why == "expired" else DISABLED)


def _tells_resync(frame: Frame) -> bool:
    return isinstance(frame, NoticeFrame) and frame.kind == "resync"
