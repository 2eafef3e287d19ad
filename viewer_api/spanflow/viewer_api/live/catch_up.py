"""What a subscriber still has to get before it is where its feed is: when it joins, resumes, or was too slow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.flow_identity import identity_of_flow
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.live.cursor import Cursor, CursorKey
from spanflow.viewer_api.live.feed_state import Tail, TopicFlows
from spanflow.viewer_api.live.frames import (
    MAX_FRAME_BYTES,
    EventsFrame,
    Frame,
    NoticeFrame,
    flow_notice,
    snapshots,
)
from spanflow.viewer_api.live.subscription import Subscription
from spanflow.viewer_api.live.topic import Kind, Topic
from spanflow.viewer_api.store.redis_flows import PAGE, REDIS_ERRORS, Entry, RedisFlows, unless_cancelled
from spanflow.viewer_api.store.stream_id import BEGINNING, stream_key


@dataclass(frozen=True, slots=True)
class Archived:
    """A flow that Redis does not have any more."""

    user_id: str | None
    conversation_id: str | None
    entries: Sequence[Event]


#: Reads a flow from Postgres; None when it is not there, a `Problem` when Postgres does not answer.
Archive = Callable[[str], Awaitable[Archived | None]]
#: What is longer is sent as merged entries.
_LONG: Final = 2 * PAGE
#: An absent flow of a cursor is only new to the client when something came after the cursor; clocks differ a little.
_SLACK_MS: Final = 30_000
_RETRY_SECONDS: Final = 0.5
#: How long Postgres may take before the client is told to read a flow later.
_ARCHIVE_SECONDS: Final = 3.0


class Followed(Protocol):
    """What a catch-up must know of the feed."""

    topic: Topic
    tails: dict[str, Tail]
    redis: RedisFlows
    flows: TopicFlows
    archive: Archive
    cursors: CursorKey
    #: Flows that turned out to be another user's.
    foreign: dict[str, None]

    def position(self) -> Cursor: ...
    def outlook(self, flow_ids: Iterable[str]) -> Sequence[Frame]: ...


async def catch_up(feed: Followed, subscription: Subscription) -> AsyncIterator[Frame]:
    """Frames from what `subscription` has up to where `feed` is at the moment of the call."""
    # No await up to the first frame: this is the moment.
    here, at = feed.position(), subscription.at
    running = {flow_id for flow_id, tail in feed.tails.items() if tail.open}
    unannounced = {flow_id for flow_id, tail in feed.tails.items() if not tail.announced}
    outlook = feed.outlook(running)
    has = {**(at.positions if at else {}), **_further(subscription.had, at)}
    everything = feed.topic.kind is Kind.FLOW
    # Until everything that ended in between has been sent, a client that is cut off again must get it again.
    read_ms = at.read_ms if at and subscription.returning else here.read_ms
    wanted = {
        flow_id: last
        for flow_id, last in here.positions.items()
        if everything or flow_id in running or flow_id in has or (at and _is_news(None, last, at.read_ms))
    }
    try:
        for flow_id, until in wanted.items():
            if flow_id in feed.foreign:
                continue
            if until == BEGINNING and everything and flow_id not in running:
                async for frame in _from_archive(feed, [flow_id]):
                    yield frame
                continue
            if everything or (flow_id not in has and flow_id not in unannounced):
                yield flow_notice(feed.topic, flow_id, is_open=flow_id in running)
            after = has.get(flow_id, BEGINNING)
            if until == BEGINNING or stream_key(after) >= stream_key(until):
                continue
            async for frame in _of_flow(feed, flow_id, after, until, has, read_ms):
                yield frame
        if subscription.returning and at is not None:
            async for frame in _ended_meanwhile(feed, at, here, subscription):
                yield frame
            subscription.returning = False
    except REDIS_ERRORS:
        unless_cancelled()
        # Redis went away in the middle: the rest is read from where the client now is when it has come back.
        await asyncio.sleep(_RETRY_SECONDS)
        subscription.restart()
        return
    # Flows that were complete before a new client came count as had.
    yield EventsFrame(feed.topic, (), here.further(subscription.had))
    for frame in outlook:
        yield frame


async def _of_flow(
    feed: Followed, flow_id: str, after: str, until: str, has: dict[str, str], read_ms: int
) -> AsyncIterator[Frame]:
    trimmed = after != BEGINNING and not await feed.redis.holds(flow_id, after)
    pages: list[Entry] = []
    position = after
    while not trimmed:
        page = (await feed.redis.pages({flow_id: position}, {flow_id: until}))[flow_id]
        pages.extend(page)
        if flow_id in feed.foreign:
            return
        if len(page) < PAGE or len(pages) > _LONG:
            break
        position = page[-1].id
    if not trimmed and len(pages) <= _LONG:
        events: list[Event] = []
        size = 0
        for entry in pages:
            has[flow_id] = entry.id
            events += [entry.event] if entry.event is not None else []
            size += entry.size
            if size > MAX_FRAME_BYTES:
                yield EventsFrame(feed.topic, events, feed.cursors.cursor(read_ms, dict(has)))
                events, size = [], 0
        has[flow_id] = until
        if events:
            yield EventsFrame(feed.topic, events, feed.cursors.cursor(read_ms, dict(has)))
        return
    if trimmed:
        yield NoticeFrame(feed.topic, "resync", {"reason": "cursor_expired"})
    entries = (await feed.redis.reduced(flow_id, until)).entries()
    if flow_id in feed.foreign:
        return
    has[flow_id] = until
    for frame in snapshots(feed.topic, flow_id, entries, feed.cursors.cursor(read_ms, dict(has)), truncated=trimmed):
        yield frame


async def _ended_meanwhile(
    feed: Followed, at: Cursor, here: Cursor, subscription: Subscription
) -> AsyncIterator[Frame]:
    """Flows that a returning client had, or that began while it was away, and that are complete and left by now.

    `subscription.had` records up to where the client has each: should the feed find one of them yet, it is not sent
    again.

    A cursor comes from the client: what it names beside the topic's own flows is only shown when it belongs there.
    """
    own = dict.fromkeys(await feed.flows.newest())
    elsewhere = [flow_id for flow_id in {**own, **dict.fromkeys(at.positions)} if flow_id not in here.positions]
    last_ids = await feed.redis.last_ids(elsewhere)
    subscription.had_ms = await feed.redis.now_ms()
    running = await feed.redis.open_among(elsewhere)
    has = subscription.had
    stored: list[str] = []
    for flow_id in elsewhere:
        had, last = at.positions.get(flow_id), last_ids.get(flow_id)
        if had is not None:
            has[flow_id] = had
        if last is None and had is not None:
            stored.append(flow_id)
        elif last is not None and _is_news(had, last, at.read_ms):
            entries = (await feed.redis.reduced(flow_id, last)).entries()
            identity = identity_of_flow(entries)
            belongs = flow_id in own or feed.topic.covers(flow_id, identity.user_id, identity.conversation_id)
            if belongs and feed.topic.shows(identity.user_id):
                has[flow_id] = last
                for shot in snapshots(feed.topic, flow_id, entries, None):
                    yield shot
                yield flow_notice(feed.topic, flow_id, is_open=flow_id in running)
    async for frame in _from_archive(feed, stored):
        yield frame


async def _from_archive(feed: Followed, flow_ids: Sequence[str]) -> AsyncIterator[Frame]:
    away: str | None = None
    for flow_id in flow_ids:
        archived = None
        if away is None:
            try:
                async with asyncio.timeout(_ARCHIVE_SECONDS):
                    archived = await feed.archive(flow_id)
            except (Problem, TimeoutError) as why:
                away = why.code if isinstance(why, Problem) else "storage_unavailable"
        if away is not None:
            # No client waits for it: it can be read when Postgres is back.
            yield NoticeFrame(feed.topic, "missing", {"flow_id": flow_id, "reason": away})
        elif archived is not None and feed.topic.covers(flow_id, archived.user_id, archived.conversation_id):
            for frame in snapshots(feed.topic, flow_id, archived.entries, None):
                yield frame
            yield flow_notice(feed.topic, flow_id, is_open=False)


def _further(had: Mapping[str, str], at: Cursor | None) -> dict[str, str]:
    """Where a client is further than the cursor of its feed says."""
    positions = at.positions if at else {}
    return {
        flow_id: last
        for flow_id, last in had.items()
        if (told := positions.get(flow_id)) is None or stream_key(told) < stream_key(last)
    }


def _is_news(had: str | None, last: str, read_ms: int) -> bool:
    if had is not None:
        return stream_key(had) < stream_key(last)
    return stream_key(last)[0] > read_ms - _SLACK_MS
