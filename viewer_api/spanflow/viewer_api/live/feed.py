"""Follows the flows of one topic for all its subscribers in this process.

The streams are the truth; a bell only says where to look. Each entry is read once per process and handed to every
subscriber, each of which has a bounded queue of its own. Positions move only when frames are handed out, and nothing is
awaited in between: so a subscriber that joins, or starts again, gets from the stream exactly what it has not got.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.live.catch_up import Archive, catch_up
from spanflow.viewer_api.live.cursor import Cursor, CursorKey
from spanflow.viewer_api.live.feed_state import Positions, Tail, TopicFlows
from spanflow.viewer_api.live.frames import (
    MAX_FRAME_BYTES,
    EventsFrame,
    Frame,
    NoticeFrame,
    flow_notice,
    process_notice,
    snapshots,
)
from spanflow.viewer_api.live.subscription import COMPLETE, USER_CHANGED, Subscription
from spanflow.viewer_api.live.topic import Kind, Topic
from spanflow.viewer_api.store.redis_flows import PAGE, REDIS_ERRORS, Entry, RedisFlows, batched, unless_cancelled
from spanflow.viewer_api.store.stream_id import BEGINNING, stream_key

log = logging.getLogger(__name__)

#: An open span without news for so long is stalled, unless it is known to take longer.
STALLED_SECONDS: Final = 60.0
#: Bells come in bursts: the first one is answered at once, the next after a pause that is no longer than this.
_LONGEST_PAUSE: Final = 0.03
#: Sending a frame to one subscriber takes a few microseconds; so much pause for each leaves most of the time to others.
_PAUSE_PER_SUBSCRIBER: Final = 0.00004
#: Without a bell the streams are read so often; who is not watched has no bell.
_TICK_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.5
#: A few hundred microseconds' worth.
_JUDGED_AT_ONCE: Final = 40


@dataclass(slots=True)
class FeedContext:
    """What every feed of a process works with."""

    redis: RedisFlows
    archive: Archive
    cursors: CursorKey
    #: The usual 95th percentile of a step's duration in nanoseconds, by the key of the step.
    usual_p95_ns: Callable[[], Mapping[str, int]] = dict
    #: Its durations at several percentiles, where they are known.
    usual_percentiles_ns: Callable[[str], Mapping[str, int] | None] = lambda step: None
    #: So long the stream of a complete flow is still looked at: some spans end late.
    linger_seconds: float = 60.0
    monotonic: Callable[[], float] = time.monotonic


class Feed:
    """Lives as long as it has subscribers."""

    def __init__(self, topic: Topic, feed_context: FeedContext) -> None:
        self.topic = topic
        self.tails: dict[str, Tail] = {}
        self.subscribers: set[Subscription] = set()
        self.redis = feed_context.redis
        self.archive = feed_context.archive
        self.cursors = feed_context.cursors
        self.flows = TopicFlows(topic, feed_context.redis)
        self._usual = feed_context.usual_p95_ns
        self._percentiles = feed_context.usual_percentiles_ns
        self._linger = feed_context.linger_seconds
        self._monotonic = feed_context.monotonic
        self._looked = False
        self._rung: set[str] = set()
        self._wake = asyncio.Event()
        self._positions = Positions(feed_context.cursors)
        self._look_closely = True
        self._told_usual: dict[str, int] = {}
        #: The flows that the index had at the last look: any other is new, even if it is complete already.
        self._newest: frozenset[str] = frozenset()
        #: Flows that were found for the topic, but whose events name another user: nothing of them is handed out.
        self.foreign: dict[str, None] = {}

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
        """Whether the streams have been read: before, it is unknown what a client lacks."""
        return self._looked

    def position(self) -> Cursor:
        return self._positions.cursor()

    def catch_up(self, subscription: Subscription) -> AsyncIterator[Frame]:
        return catch_up(self, subscription)

    async def run(self) -> None:
        """Read until cancelled. Redis may go away and come back at any time."""
        next_tick = self._monotonic()
        while True:
            unless_cancelled()
            try:
                if (due := min(next_tick, self._monotonic())) == next_tick or self._look_closely:
                    await self._look()
                    # As often, however long a look takes, unless there is hardly time for anything else.
                    next_tick = max(due + _TICK_SECONDS, self._monotonic() + _TICK_SECONDS / 4)
                began = self._monotonic()
                await self._read_rung()
            except REDIS_ERRORS as why:
                unless_cancelled()
                log.debug("The flows of %s cannot be read: %s", self.topic, why)
                self._look_closely = True
                self._wake.clear()
                await asyncio.sleep(_LONGEST_PAUSE)
                await self._rest(_RETRY_SECONDS)
                continue
            # After some work a pause, longer with many subscribers: then news come in batches.
            now = self._monotonic()
            pause = min(max((now - began) / 2, len(self.subscribers) * _PAUSE_PER_SUBSCRIBER), _LONGEST_PAUSE)
            await self._rest(max(next_tick - now, 0.001))
            if (left := now + pause - self._monotonic()) > 0:
                await asyncio.sleep(left)
            self._wake.clear()

    async def _rest(self, seconds: float) -> None:
        """Until the next bell, but no longer."""
        with suppress(TimeoutError):
            # Not `wait_for`: until Python 3.12 it loses a cancellation that meets the bell.
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _look(self) -> None:
        """Look at the index, and at every flow that is open or was a moment ago."""
        read_ms = await self.redis.now_ms()
        newest = await self.flows.newest()
        await self._answer_bells()
        running = await self.redis.open_among(list({*newest, *self.tails}))
        await self._answer_bells()
        self._forget_foreign(newest)
        if self._look_closely:
            await self._find_lost_streams()
            self._look_closely = False
        over = self._begun(newest, running)
        if self.topic.kind is Kind.FLOW and self.topic.id not in self.tails:
            # Complete before the first subscriber: it is shown once.
            self._track(self.topic.id, Tail(open=False, closed_at=self._monotonic() - self._linger, announced=True))
        for flow_id, tail in self.tails.items():
            if flow_id in running and not tail.open:
                tail.open = True
                if tail.announced:
                    self._hand_out(flow_notice(self.topic, flow_id, is_open=True))
        await self._read(set(self.tails))
        for flow_id in over:
            # As a whole: it may only have come into the index late, and a client that was here before may know it.
            if await self._send_again(flow_id):
                self._hand_out(flow_notice(self.topic, flow_id, is_open=False))
        # Not before: when Redis goes away in the middle, the next look finds those that are over once more.
        self._newest = frozenset(newest)
        self._positions.read_ms = read_ms
        self._close(running)
        await self._check_processes()
        await self._judge(read_ms * 1_000_000)
        if not self._looked:
            self._looked = True
            for subscription in self.subscribers:
                subscription.restart()

    def _begun(self, newest: Sequence[str], running: set[str]) -> list[str]:
        """Follow what runs; the answer is what began and ended since the last look, without a bell."""
        over: list[str] = []
        for flow_id in reversed(newest):
            if flow_id in running:
                self._follow(flow_id)
            elif self._looked and flow_id not in self._newest and not self._knows(flow_id):
                over.append(flow_id)
        return over

    def _knows(self, flow_id: str) -> bool:
        return flow_id in self.tails or flow_id in self.foreign

    def _forget_foreign(self, newest: Sequence[str]) -> None:
        """What is not found for the topic any more need not be kept out of it."""
        if self._look_closely:
            self.foreign.clear()
        elif self.topic.kind is not Kind.FLOW:
            self.foreign = {flow_id: None for flow_id in newest if flow_id in self.foreign}

    def _close(self, running: set[str]) -> None:
        """See which flows are complete, and let go of those that have been for a while."""
        now = self._monotonic()
        for flow_id, tail in list(self.tails.items()):
            if tail.open and flow_id not in running:
                # It left the index before its stream was read just now: all of it has been handed out.
                tail.open, tail.closed_at = False, now
                if tail.announced:
                    self._hand_out(flow_notice(self.topic, flow_id, is_open=False))
            elif not tail.open and now - tail.closed_at >= self._linger:
                if self.topic.kind is not Kind.FLOW:
                    del self.tails[flow_id]
                    self._positions.forget(flow_id)
                    continue
                for subscription in self.subscribers:
                    subscription.finish(COMPLETE)

    async def _read_rung(self) -> None:
        if not self._rung:
            return
        rung, self._rung = self._rung, set()
        try:
            unknown = [flow_id for flow_id in rung if flow_id not in self.tails]
            if unknown:
                own = await self.flows.rung(unknown)
                running = await self.redis.open_among(list(own))
                for flow_id in own:
                    # Its user may have been corrected once more.
                    self.foreign.pop(flow_id, None)
                    if flow_id in running:
                        self._follow(flow_id)
                    else:
                        await self._send_again(flow_id)
            await self._read({flow_id for flow_id in rung if flow_id in self.tails})
        except BaseException:
            self._rung |= rung
            raise

    def _track(self, flow_id: str, tail: Tail) -> None:
        self.tails[flow_id] = tail
        self._positions.move(flow_id, tail.last_id)

    def _move(self, flow_id: str, last_id: str) -> None:
        self.tails[flow_id].last_id = last_id
        self._positions.move(flow_id, last_id)

    async def _answer_bells(self) -> None:
        """In the middle of a look at many flows: what is new to a watcher does not wait for its end."""
        # Bells come by way of the event loop.
        await asyncio.sleep(0)
        # A stream that may be another one by now is not read on.
        if self._looked and not self._look_closely and (rung := self._known_rung()):
            await self._read(rung)

    def _known_rung(self) -> set[str]:
        rung = {flow_id for flow_id in self._rung if flow_id in self.tails}
        self._rung -= rung
        return rung

    def _follow(self, flow_id: str) -> None:
        if not self._knows(flow_id):
            self._track(flow_id, Tail())

    async def _send_again(self, flow_id: str) -> bool:
        """A flow that was complete got a late span: who looked knows the rest, who did not needs all of it. False when
        it turns out to be another user's."""
        last = (await self.redis.last_ids([flow_id])).get(flow_id)
        if last is None:
            return True
        entries = (await self.redis.reduced(flow_id, last)).entries()
        tail = Tail(last, open=False, closed_at=self._monotonic(), announced=True)
        tail.owner.know(entries, last)
        if not self.topic.shows(tail.owner.user_id):
            self._let_go(flow_id)
            return False
        self._track(flow_id, tail)
        for frame in snapshots(self.topic, flow_id, entries, self.position()):
            self._hand_out(frame)
        return True

    def _let_go(self, flow_id: str) -> None:
        """The flow is another user's: nothing more of it is handed out."""
        self.foreign[flow_id] = None
        topic, everything = self.topic, self.topic.kind is Kind.FLOW or self.topic.owner is None
        if not everything:
            tail = self.tails.pop(flow_id, None)
            self._positions.forget(flow_id)
            if tail is not None and tail.announced and tail.open:
                self._hand_out(flow_notice(topic, flow_id, is_open=False))
        if everything or (topic.kind is Kind.CONVERSATION and not self.tails):
            # Its subscribers ask again: they may be allowed to see the other user, too.
            for subscription in list(self.subscribers):
                subscription.end(USER_CHANGED)

    async def _let_go_of_foreign(self, pages: dict[str, list[Entry]]) -> None:
        """Learn whose these flows are by what was read of them, before any of it is handed out."""
        for flow_id, entries in pages.items():
            owner = self.tails[flow_id].owner
            if self.tails[flow_id].last_id == BEGINNING and len(entries) == PAGE:
                # What is said later counts for its beginning, too.
                last = (await self.redis.last_ids([flow_id])).get(flow_id, BEGINNING)
                owner.know((await self.redis.reduced(flow_id, last)).entries(), last)
            for entry in entries:
                if entry.event is not None:
                    owner.note(entry.id, entry.event)
            sure = owner.is_sure or flow_id in await self.flows.of_owner([flow_id])
            if not (sure and self.topic.shows(owner.user_id)):
                self._let_go(flow_id)

    async def _read(self, flow_ids: set[str]) -> None:
        """Hand out what is new in these flows."""
        for some in batched(list(flow_ids)):
            # Who is rung for need not wait until all that are looked at have been read.
            left = {flow_id for flow_id in some if flow_id in self.tails} | self._known_rung()
            while left:
                pages = await self.redis.pages({flow_id: self.tails[flow_id].last_id for flow_id in left})
                await self._let_go_of_foreign(pages)
                pages = {flow_id: entries for flow_id, entries in pages.items() if flow_id not in self.foreign}
                await self._hand_out_entries(pages)
                left = {flow_id for flow_id, entries in pages.items() if len(entries) == PAGE}

    async def _hand_out_entries(self, pages: dict[str, list[Entry]]) -> None:
        events: list[Event] = []
        ids: list[str] = []
        size = 0
        for flow_id, entries in pages.items():
            tail = self.tails[flow_id]
            if entries and not tail.announced:
                tail.announced = True
                self._hand_out(flow_notice(self.topic, flow_id, is_open=True))
            for entry in entries:
                if entry.event is not None:
                    tail.spans.note(entry.event)
                    events.append(entry.event)
                    ids.append(entry.id)
                    size += entry.size
                if size > MAX_FRAME_BYTES:
                    self._move(flow_id, entry.id)
                    self._hand_out(EventsFrame(self.topic, events, self.position(), ids))
                    events, ids, size = [], [], 0
                    # Position and frames agree at this moment, so subscribers may have their turn.
                    await asyncio.sleep(0)
            if entries:
                self._move(flow_id, entries[-1].id)
        if events:
            self._hand_out(EventsFrame(self.topic, events, self.position(), ids))

    async def _find_lost_streams(self) -> None:
        """A stream that ends before what we have read is a new one: Redis was emptied, or an older copy took over."""
        read_tails = {flow_id: tail for flow_id, tail in self.tails.items() if tail.last_id != BEGINNING}
        if not read_tails:
            return
        last_ids = await self.redis.last_ids(read_tails)
        lost = False
        for flow_id, tail in read_tails.items():
            last = last_ids.get(flow_id)
            if last is None or stream_key(last) < stream_key(tail.last_id):
                lost = lost or tail.open
                self._move(flow_id, BEGINNING)
        if lost:
            for subscription in self.subscribers:
                subscription.had.clear()
            self._hand_out(NoticeFrame(self.topic, "resync", {"reason": "redis_lost"}))

    async def _check_processes(self) -> None:
        """Tell when a gateway process with open spans has disappeared or come back."""
        busy = {flow_id: tail.spans.processes() for flow_id, tail in self.tails.items() if tail.open}
        alive = await self.redis.alive(set().union(*busy.values()))
        for flow_id, processes in busy.items():
            tail = self.tails[flow_id]
            for process in processes:
                if (process in alive) == (process in tail.lost):
                    tail.lost ^= {process}
                    self._hand_out(process_notice(self.topic, flow_id, process, alive=process in alive))

    async def _judge(self, now_ns: int) -> None:
        """Tell how long the steps that run usually take, and which open spans have become slow, stalled or lost."""
        usual = self._usual()
        for number, (flow_id, tail) in enumerate(list(self.tails.items())):
            if not number % _JUDGED_AT_ONCE:
                await self._answer_bells()
            if not tail.open or flow_id not in self.tails:
                continue
            news = {
                step: usual[step]
                for step in tail.spans.steps()
                if step in usual and self._told_usual.get(step) != usual[step]
            }
            if news:
                self._told_usual.update(news)
                self._hand_out(self._usual_times(news))
            states = tail.spans.judge(
                now_ns, lost=tail.lost, usual_p95_ns=usual, stalled_after_ns=int(STALLED_SECONDS * 1e9)
            )
            if states is not None:
                self._hand_out(self._states(flow_id, states.state, states.changed))

    def outlook(self, flow_ids: Iterable[str]) -> Sequence[Frame]:
        """What a newcomer must know beside the events to judge what is open."""
        frames: list[Frame] = []
        if self._told_usual:
            frames.append(self._usual_times(dict(self._told_usual)))
        for flow_id in flow_ids:
            tail = self.tails[flow_id]
            frames += [process_notice(self.topic, flow_id, process, alive=False) for process in tail.lost]
            if unusual := tail.spans.unusual():
                frames.append(self._states(flow_id, tail.spans.state(), unusual))
        return frames

    def _usual_times(self, p95_ns: Mapping[str, int]) -> Frame:
        known = {step: found for step in p95_ns if (found := self._percentiles(step)) is not None}
        return NoticeFrame(self.topic, "usual", {"p95_ns": p95_ns, "percentiles_ns": known})

    def _states(self, flow_id: str, state: str, nodes: Mapping[str, str]) -> Frame:
        return NoticeFrame(self.topic, "states", {"flow_id": flow_id, "state": state, "nodes": dict(nodes)})

    def _hand_out(self, frame: Frame) -> None:
        for subscription in list(self.subscribers):
            subscription.offer(frame)
