"""What a subscriber still has to get before it is where its feed is: when it joins, resumes, or was too slow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.live.cursor import Cursor
from spanflow.viewer_api.live.frames import MAX_FRAME_BYTES, EventsFrame, Frame, NoticeFrame, snapshots
from spanflow.viewer_api.live.redis_flows import PAGE, REDIS_ERRORS, Entry, RedisFlows
from spanflow.viewer_api.live.stream_id import BEGINNING, stream_key
from spanflow.viewer_api.live.subscription import Subscription
from spanflow.viewer_api.live.tail import Tail

#: The merged entries of a flow that Redis does not have any more.
ArchivedEntries = Callable[[str], Awaitable[Sequence[Event]]]
#: What is longer is sent as merged entries.
_LONG: Final = 2 * PAGE
#: An absent flow of a cursor is only new to the client when something came after the cursor; clocks differ a little.
_SLACK_MS: Final = 30_000
_RETRY_SECONDS: Final = 0.5


class Followed(Protocol):
    """What must be known of the feed that somebody catches up with."""

    user_id: str
    tails: dict[str, Tail]
    redis: RedisFlows
    archived: ArchivedEntries

    def position(self) -> Cursor: ...
    def process_notice(self, flow_id: str, process: str, *, alive: bool) -> Frame: ...


async def catch_up(feed: Followed, subscription: Subscription) -> AsyncIterator[Frame]:
    """Frames from what `subscription` has up to where `feed` is at the moment of the call."""
    # No await up to the first frame: this is the moment.
    here, at = feed.position(), subscription.at
    running = {flow_id for flow_id, tail in feed.tails.items() if tail.open}
    lost = [(flow_id, process) for flow_id in running for process in feed.tails[flow_id].lost]
    has = dict(at.positions) if at else {}
    wanted = {
        flow_id: last
        for flow_id, last in here.positions.items()
        if flow_id in running or flow_id in has or (at and _is_news(None, last, at.read_ms))
    }
    try:
        if subscription.returning and at is not None:
            async for frame in _ended_meanwhile(feed, at, here):
                yield frame
            subscription.returning = False
        for flow_id, until in wanted.items():
            if flow_id not in has:
                yield NoticeFrame(feed.user_id, "flow", {"flow_id": flow_id, "open": flow_id in running})
            after = has.get(flow_id, BEGINNING)
            if until == BEGINNING or stream_key(after) >= stream_key(until):
                continue
            async for frame in _of_flow(feed, flow_id, after, until, has, here.read_ms):
                yield frame
    except REDIS_ERRORS:
        # Redis went away in the middle: the rest is read from where the client now is when it has come back.
        await asyncio.sleep(_RETRY_SECONDS)
        subscription.restart()
        return
    # Flows that were complete before a new client came count as had.
    yield EventsFrame(feed.user_id, (), here)
    for flow_id, process in lost:
        yield feed.process_notice(flow_id, process, alive=False)


async def _of_flow(
    feed: Followed, flow_id: str, after: str, until: str, has: dict[str, str], read_ms: int
) -> AsyncIterator[Frame]:
    trimmed = after != BEGINNING and not await feed.redis.holds(flow_id, after)
    pages: list[Entry] = []
    position = after
    while not trimmed:
        page = (await feed.redis.pages({flow_id: position}, {flow_id: until}))[flow_id]
        pages.extend(page)
        if len(page) < PAGE or len(pages) > _LONG:
            break
        position = page[-1].id
    if not trimmed and len(pages) <= _LONG:
        found: list[Event] = []
        size = 0
        for entry in pages:
            has[flow_id] = entry.id
            found += [entry.event] if entry.event is not None else []
            size += entry.size
            if size > MAX_FRAME_BYTES:
                yield EventsFrame(feed.user_id, found, Cursor(read_ms, dict(has)))
                found, size = [], 0
        has[flow_id] = until
        if found:
            yield EventsFrame(feed.user_id, found, Cursor(read_ms, dict(has)))
        return
    if trimmed:
        yield NoticeFrame(feed.user_id, "resync", {"reason": "cursor_expired"})
    entries = (await feed.redis.reduced(flow_id, until)).entries()
    has[flow_id] = until
    for frame in snapshots(feed.user_id, flow_id, entries, Cursor(read_ms, dict(has)), truncated=trimmed):
        yield frame


async def _ended_meanwhile(feed: Followed, at: Cursor, here: Cursor) -> AsyncIterator[Frame]:
    """Flows that a returning client had, or that began while it was away, and that are complete and left by now."""
    newest = await feed.redis.of_user(feed.user_id)
    elsewhere = [flow_id for flow_id in {**dict.fromkeys(newest), **at.positions} if flow_id not in here.positions]
    last_ids = await feed.redis.last_ids(elsewhere)
    for flow_id in elsewhere:
        had, last = at.positions.get(flow_id), last_ids.get(flow_id)
        entries: Sequence[Event] = ()
        if last is None and had is not None:
            entries = await feed.archived(flow_id)
        elif last is not None and _is_news(had, last, at.read_ms):
            entries = (await feed.redis.reduced(flow_id, last)).entries()
        if entries:
            for frame in snapshots(feed.user_id, flow_id, entries, None):
                yield frame
            yield NoticeFrame(feed.user_id, "flow", {"flow_id": flow_id, "open": False})


def _is_news(had: str | None, last: str, read_ms: int) -> bool:
    if had is not None:
        return stream_key(had) < stream_key(last)
    return stream_key(last)[0] > read_ms - _SLACK_MS
