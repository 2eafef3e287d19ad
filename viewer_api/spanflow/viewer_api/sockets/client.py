"""One live client of any transport: its topics, each with a task that sends, and its other notifications."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any, Final

from starlette.requests import HTTPConnection

from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.clock import moment
from spanflow.viewer_api.http.problems import Problem, forbidden
from spanflow.viewer_api.live import messages
from spanflow.viewer_api.live.cursor import Cursor, together
from spanflow.viewer_api.live.feed import STALLED_SECONDS
from spanflow.viewer_api.live.frames import Frame
from spanflow.viewer_api.live.subscription import REQUESTED, USER_CHANGED, Subscription
from spanflow.viewer_api.live.topic import Kind, Topic
from spanflow.viewer_api.monitoring.own_access import known_watch, knows_watches, own_reason
from spanflow.viewer_api.monitoring.watching import NOTICE_SECONDS, Change
from spanflow.viewer_api.sockets.connection import RESTARTING, Closed
from spanflow.viewer_api.sockets.owners import Owners
from spanflow.viewer_api.sockets.subscription_requests import SubscriptionRequest
from spanflow.viewer_api.sockets.transport import Transport
from spanflow.viewer_api.sockets.watchdog import PATIENCE, recheck, unblock, until_closed
from spanflow.viewer_api.store.flow_owners import FlowOwners
from spanflow.viewer_api.store.watches import Watch
from spanflow.viewer_api.viewer import Viewer

MAX_TOPICS: Final = 100
#: Who asks too often is not answered sooner.
_TOO_FAST_SECONDS: Final = 0.2
_MAX_NOTICES: Final = 1000
_NOT_FOUND: Final = {
    Kind.FLOW: ("flow_not_found", "There is no flow with this id."),
    Kind.CONVERSATION: ("conversation_not_found", "There is no conversation with this id."),
}


class Client:
    def __init__(self, connection: HTTPConnection, line: Transport, viewer: Viewer, principal: Principal) -> None:
        self._connection = connection
        self._line = line
        self._viewer = viewer
        self._principal = principal
        self._owners = Owners(viewer.redis_flows, FlowOwners(viewer.database))
        self._following: dict[tuple[Kind, str], tuple[Subscription, asyncio.Task[None]]] = {}
        self._notices: asyncio.Queue[bytes] = asyncio.Queue(_MAX_NOTICES)
        self._nothing_left = asyncio.Event()

    async def run(self, *jobs: Callable[[], Awaitable[None]]) -> None:
        """Greet, and do `jobs` until the first of them ends or the client is gone."""
        hub, settings = self._viewer.hub, self._viewer.settings
        hub.state_listeners.add(self._redis_changed)
        hub.watching.listeners.append(self._watch_changed)
        try:
            with hub.parting(self._leave) as stopping:
                if stopping:
                    await self._leave()
                    return
                await self._line.send(
                    messages.message(
                        "hello",
                        v=1,
                        name=self._principal.name,
                        heartbeat_seconds=settings.viewer_heartbeat_seconds,
                        server_time_ms=int(self._viewer.clock() * 1000),
                        stalled_after_seconds=STALLED_SECONDS,
                        redis="up" if hub.redis_up else "down",
                    )
                )
                await until_closed(
                    *jobs,
                    self._send_notices,
                    lambda: unblock(self._line, PATIENCE * settings.viewer_heartbeat_seconds),
                    lambda: recheck(self._line, self._viewer, self._principal),
                )
        finally:
            hub.state_listeners.discard(self._redis_changed)
            hub.watching.listeners.remove(self._watch_changed)
            tasks = [task for _, task in self._following.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def until_nothing_is_left(self) -> None:
        """Until everything that the client followed has ended."""
        await self._nothing_left.wait()

    async def counted(self) -> None:
        """What the client asks for counts like a request of its own. When there were too many, `Problem`; not at once,
        so that errors cannot flood the socket."""
        try:
            self._viewer.rates.request(self._principal)
        except Problem:
            await asyncio.sleep(_TOO_FAST_SECONDS)
            raise

    async def admitted(self, request: SubscriptionRequest, reason: str | None) -> Subscription:
        """A place for what the client wants, written down in the audit log; `Problem` says why not."""
        viewer = self._viewer
        topic = await self._owners.topic(request.kind, request.id, self._principal)
        if topic is None:
            if request.kind is Kind.USER:
                await viewer.denied(self._connection, "live_opened", user_id=request.id)
                raise forbidden("You may not see what this user does.")
            await viewer.missed(self._connection, "live_opened", request.id)
            raise Problem(404, *_NOT_FOUND[request.kind])
        watch = self._watch_of(topic)
        own = own_reason(self._principal, topic.owner) if topic.owner is not None else None
        if reason is None and watch is None and own is None:
            raise Problem(422, "reason_required", "This user is not watched: say why you look.")
        reason = viewer.watching.policy.reason(reason, required=False) or own
        why = reason or (watch.reason if watch else None)
        target = None if topic.kind is Kind.USER else topic.id
        await viewer.record_access(self._connection, "live_opened", user_id=topic.owner, target=target, reason=why)
        # What the client may see anyway does not end with a watch.
        cursor = None if request.cursor is None else viewer.hub.feed_context.cursors.read(request.cursor)
        subscription = Subscription(
            topic,
            viewer.hub.limits,
            reason=reason if own or watch is None else None,
            cursor=cursor,
            own=own is not None,
        )
        if request.cursor is not None and cursor is None:
            subscription.restart("cursor_expired")
        return subscription

    async def follow(self, subscription: Subscription) -> None:
        """Say that it begins, and send everything from then on."""
        topic = subscription.topic
        await self._stop(topic.key, None)
        await self._say_subscribed(subscription)
        task = asyncio.create_task(self._send_frames(subscription), name=f"spanflow live of {topic}")
        self._following[topic.key] = (subscription, task)
        self._nothing_left.clear()

    async def _say_subscribed(self, subscription: Subscription) -> None:
        topic = subscription.topic
        watch = self._watch_of(topic)
        expires_at = _until(watch.expires_at) if watch else None
        watch_fields = {"watched": watch is not None, "expires_at": expires_at}
        withheld = self._viewer.hub.withholds(subscription)
        await self._line.send(messages.about("subscribed", topic, **watch_fields, metadata_only=withheld))
        if watch is not None and watch.expires_at - self._viewer.clock() <= NOTICE_SECONDS:
            self._notify(self._watch_message(topic, Change(watch.user_id, watch, expiring=True)))

    def has_room_for(self, request: SubscriptionRequest) -> bool:
        return request.key in self._following or len(self._following) < MAX_TOPICS

    async def leave(self, request: SubscriptionRequest) -> None:
        """Stop following, if it was followed."""
        await self._stop(request.key, REQUESTED)

    def _watch_of(self, topic: Topic) -> Watch | None:
        """The watch on its user, as far as the client may know of it."""
        return known_watch(self._principal, self._viewer.watching, topic.owner) if topic.owner is not None else None

    async def _stop(self, key: tuple[Kind, str], why: str | None) -> None:
        """End a subscription and wait until nothing more of it is sent."""
        following = self._following.pop(key, None)
        if following is None:
            return
        subscription, task = following
        task.cancel()
        # Not awaited itself: its cancellation could not be told from one that is meant for the caller.
        await asyncio.wait({task})
        if why is not None:
            await self._line.send(messages.about("unsubscribed", subscription.topic, reason=why))

    async def _send_frames(self, subscription: Subscription) -> None:
        topic = subscription.topic
        try:
            await self._send_all(subscription)
            while subscription.ended == USER_CHANGED and (renewed := await self._readmitted(subscription)) is not None:
                subscription = renewed
                self._following[topic.key] = (subscription, self._following[topic.key][1])
                await self._say_subscribed(subscription)
                await self._send_all(subscription)
            del self._following[topic.key]
            why = subscription.ended or REQUESTED
            await self._line.send(messages.about("unsubscribed", topic, reason=why))
            if not self._following:
                self._nothing_left.set()
        except Closed:
            return
        except Exception:
            await self._line.fail()

    async def _send_all(self, subscription: Subscription) -> None:
        topic = subscription.topic
        async with aclosing(self._viewer.hub.follow(subscription, self._line.send_at_once)) as frames:
            async for frame in frames:
                await self._line.send(frame.data, self._after(topic, frame) if frame.cursor else None)

    async def _readmitted(self, before: Subscription) -> Subscription | None:
        """What is followed turned out to be another user's: the client goes on where it is, if it may see that one too,
        and the audit log says so."""
        topic, cursor = before.topic, before.at.encoded() if before.at else None
        request = SubscriptionRequest(topic.kind, topic.id, cursor)
        try:
            renewed = await self.admitted(request, None if before.own else before.reason)
        except Problem as problem:
            await self._line.send(refusal(problem, request))
            return None
        return renewed if renewed.topic != topic else None

    def _after(self, topic: Topic, frame: Frame) -> Callable[[], str]:
        def position() -> str:
            cursors = self._cursors()
            if frame.cursor is not None:
                cursors[topic.key] = frame.cursor
            return together(cursors)

        return position

    def _cursors(self) -> dict[tuple[Kind, str], Cursor]:
        """Where the client is in everything that it follows."""
        return {key: subscription.at for key, (subscription, _) in self._following.items() if subscription.at}

    async def _leave(self) -> None:
        """The viewer stops."""
        cursors = [
            {**subscription.topic.fields, "cursor": subscription.at.encoded() if subscription.at else None}
            for subscription, _ in self._following.values()
        ]
        detail = "The viewer stops: connect again, with these cursors."
        await self._line.close(RESTARTING, "restarting", detail, cursors=cursors)

    async def _send_notices(self) -> None:
        while True:
            await self._line.send(await self._notices.get())

    def _redis_changed(self, up: bool) -> None:
        self._notify(messages.message("state", redis="up" if up else "down"))

    def _watch_changed(self, change: Change) -> None:
        if not knows_watches(self._principal):
            return
        for subscription, _ in self._following.values():
            if subscription.topic.owner == change.user_id:
                self._notify(self._watch_message(subscription.topic, change))

    def _watch_message(self, topic: Topic, change: Change) -> bytes:
        if change.watch is None:
            return messages.about("watch", topic, watched=False, expires_at=None)
        until = change.watch.expires_at
        if change.expiring:
            left = max(int(until - self._viewer.clock()), 0)
            return messages.about("expiring", topic, expires_at=_until(until), seconds_left=left)
        withheld = bool(change.watch.metadata_only)
        return messages.about("watch", topic, watched=True, expires_at=_until(until), metadata_only=withheld)

    def _notify(self, data: bytes) -> None:
        with suppress(asyncio.QueueFull):
            # So many unread notices: this client will not answer its heartbeat either.
            self._notices.put_nowait(data)


def refusal(problem: Problem, request: SubscriptionRequest | None) -> bytes:
    """A message that something was refused; the connection stays open."""
    about: dict[str, Any] = Topic(request.kind, request.id, None).fields if request else {}
    return messages.message("error", code=problem.code, detail=str(problem.detail), **about)


def _until(seconds: float) -> datetime | None:
    return None if seconds == float("inf") else moment(seconds)
