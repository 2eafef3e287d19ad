"""Follows the flows of one user for everybody in this process who looks at that user.

The streams are the truth; a bell only says where to look. Each entry is read once per process and handed to every
subscriber, each of which has a bounded queue of its own. Positions move only when frames are handed out, and nothing is
awaited in between: so a subscriber that joins, or starts again, gets from the stream exactly what it has not got.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.live.catch_up import ArchivedEntries, catch_up
from spanflow.viewer_api.live.cursor import Cursor
from spanflow.viewer_api.live.frames import MAX_FRAME_BYTES, EventsFrame, Frame, NoticeFrame, snapshots
from spanflow.viewer_api.live.redis_flows import PAGE, REDIS_ERRORS, Entry, RedisFlows
from spanflow.viewer_api.live.stream_id import BEGINNING, stream_key
from spanflow.viewer_api.live.subscription import Subscription
from spanflow.viewer_api.live.tail import Tail

log = logging.getLogger(__name__)

#: Bells come in bursts: so long is waited for more before the streams are read.
COALESCE_SECONDS: Final = 0.03
#: Without a bell the streams are read so often; who is not watched has no bell.
TICK_SECONDS: Final = 1.0
#: So long the stream of a complete flow is still looked at: some spans end late.
LINGER_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 0.5


class Feed:
    """Lives as long as it has subscribers."""

    def __init__(
        self,
        user_id: str,
        redis: RedisFlows,
        archived: ArchivedEntries,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.user_id = user_id
        self.tails: dict[str, Tail] = {}
        self.subscribers: set[Subscription] = set()
        self.redis = redis
        self.archived = archived
        self._looked = False
        self._monotonic = monotonic
        self._rung: set[str] = set()
        self._wake = asyncio.Event()
        self._read_ms = 0
        self._look_closely = True

    def ring(self, flow_id: str) -> None:
        """There is something new in a flow."""
        self._rung.add(flow_id)
        self._wake.set()

    def check(self) -> None:
        """The line to Redis was interrupted: bells may have been missed, and streams may have been lost."""
        self._look_closely = True
        self._wake.set()

    @property
    def looked(self) -> bool:
        """Whether the streams have been looked at: before, nobody knows what a client lacks."""
        return self._looked

    def position(self) -> Cursor:
        return Cursor(self._read_ms, {flow_id: tail.last_id for flow_id, tail in self.tails.items()})

    def catch_up(self, subscription: Subscription) -> AsyncIterator[Frame]:
        return catch_up(self, subscription)

    async def run(self) -> None:
        """Read until cancelled. Redis may go away and come back at any time."""
        next_tick = 0.0
        while True:
            try:
                if self._monotonic() >= next_tick or self._look_closely:
                    await self._look()
                    next_tick = self._monotonic() + TICK_SECONDS
                await self._read_rung()
            except REDIS_ERRORS as why:
                log.debug("The flows of user %s cannot be read: %s", self.user_id, why)
                self._look_closely = True
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            with suppress(TimeoutError):
                # Not `wait_for`: until Python 3.12 it loses a cancellation that meets the bell.
                async with asyncio.timeout(max(next_tick - self._monotonic(), 0.001)):
                    await self._wake.wait()
                await asyncio.sleep(COALESCE_SECONDS)
            self._wake.clear()

    async def _look(self) -> None:
        """Look at the index, and at every flow that is open or was a moment ago."""
        read_ms = await self.redis.now_ms()
        newest = await self.redis.of_user(self.user_id)
        running = await self.redis.open_among(list({*newest, *self.tails}))
        if self._look_closely:
            await self._find_lost_streams()
            self._look_closely = False
        for flow_id in newest:
            if flow_id in running:
                self._follow(flow_id)
        for flow_id, tail in self.tails.items():
            if flow_id in running and not tail.open:
                tail.open = True
                self._hand_out(self._flow_notice(flow_id, tail))
        await self._read(set(self.tails))
        self._read_ms = read_ms
        now = self._monotonic()
        for flow_id, tail in list(self.tails.items()):
            if tail.open and flow_id not in running:
                # It left the index before its stream was read just now: all of it has been handed out.
                tail.open, tail.closed_at = False, now
                self._hand_out(self._flow_notice(flow_id, tail))
            elif not tail.open and now - tail.closed_at > LINGER_SECONDS:
                del self.tails[flow_id]
        await self._check_processes()
        if not self._looked:
            self._looked = True
            for subscription in self.subscribers:
                subscription.restart()

    async def _read_rung(self) -> None:
        if not self._rung:
            return
        rung, self._rung = self._rung, set()
        try:
            unknown = [flow_id for flow_id in rung if flow_id not in self.tails]
            running = await self.redis.open_among(unknown)
            for flow_id in unknown:
                if flow_id in running:
                    self._follow(flow_id)
                else:
                    await self._send_again(flow_id)
            await self._read({flow_id for flow_id in rung if flow_id in self.tails})
        except BaseException:
            self._rung |= rung
            raise

    def _follow(self, flow_id: str) -> None:
        if flow_id not in self.tails:
            tail = self.tails[flow_id] = Tail()
            self._hand_out(self._flow_notice(flow_id, tail))

    async def _send_again(self, flow_id: str) -> None:
        """A flow that was complete got a late span: who looked knows the rest, who did not needs all of it."""
        last = (await self.redis.last_ids([flow_id])).get(flow_id)
        if last is None:
            return
        entries = (await self.redis.reduced(flow_id, last)).entries()
        self.tails[flow_id] = Tail(last, open=False, closed_at=self._monotonic())
        for frame in snapshots(self.user_id, flow_id, entries, self.position()):
            self._hand_out(frame)

    async def _read(self, flow_ids: set[str]) -> None:
        """Hand out what is new in these flows."""
        while flow_ids:
            after = {flow_id: self.tails[flow_id].last_id for flow_id in flow_ids}
            pages = await self.redis.pages(after)
            await self._hand_out_entries(pages)
            flow_ids = {flow_id for flow_id, entries in pages.items() if len(entries) == PAGE}

    async def _hand_out_entries(self, pages: dict[str, list[Entry]]) -> None:
        found: list[Event] = []
        size = 0
        for flow_id, entries in pages.items():
            tail = self.tails[flow_id]
            for entry in entries:
                tail.last_id = entry.id
                if entry.event is not None:
                    tail.note(entry.event)
                    found.append(entry.event)
                    size += entry.size
                if size > MAX_FRAME_BYTES:
                    self._hand_out(EventsFrame(self.user_id, found, self.position()))
                    found, size = [], 0
                    # Position and frames agree at this moment, so subscribers may have their turn.
                    await asyncio.sleep(0)
        if found:
            self._hand_out(EventsFrame(self.user_id, found, self.position()))

    async def _find_lost_streams(self) -> None:
        """A stream that ends before what we have read is a new one: Redis was emptied, or an older copy took over."""
        known = {flow_id: tail for flow_id, tail in self.tails.items() if tail.last_id != BEGINNING}
        if not known:
            return
        last_ids = await self.redis.last_ids(known)
        lost = False
        for flow_id, tail in known.items():
            last = last_ids.get(flow_id)
            if last is None or stream_key(last) < stream_key(tail.last_id):
                lost = lost or tail.open
                tail.last_id = BEGINNING
        if lost:
            self._hand_out(NoticeFrame(self.user_id, "resync", {"reason": "redis_lost"}))

    async def _check_processes(self) -> None:
        """Tell when a gateway process with open spans has disappeared or come back."""
        busy = {flow_id: tail.busy_processes() for flow_id, tail in self.tails.items() if tail.open}
        alive = await self.redis.alive(set().union(*busy.values()))
        for flow_id, processes in busy.items():
            tail = self.tails[flow_id]
            for process in processes:
                if (process in alive) == (process in tail.lost):
                    tail.lost ^= {process}
                    self._hand_out(self.process_notice(flow_id, process, alive=process in alive))

    def process_notice(self, flow_id: str, process: str, *, alive: bool) -> Frame:
        return NoticeFrame(self.user_id, "process", {"flow_id": flow_id, "process": process, "alive": alive})

    def _flow_notice(self, flow_id: str, tail: Tail) -> Frame:
        return NoticeFrame(self.user_id, "flow", {"flow_id": flow_id, "open": tail.open})

    def _hand_out(self, frame: Frame) -> None:
        for subscription in list(self.subscribers):
            subscription.offer(frame)
