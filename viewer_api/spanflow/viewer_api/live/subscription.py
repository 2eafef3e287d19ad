"""One client's place in one feed: a bounded queue, and a way back to the stream for who is too slow."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from spanflow.viewer_api.live.cursor import Cursor
from spanflow.viewer_api.live.frames import MAX_FRAME_BYTES, EventsFrame, Frame, JoinedFrame, NoticeFrame, SnapshotFrame
from spanflow.viewer_api.live.topic import Topic

REQUESTED: Final = "requested"
EXPIRED: Final = "expired"
DISABLED: Final = "disabled"
COMPLETE: Final = "complete"
FAILED: Final = "failed"
#: What is followed is, by what is known now, another user's.
USER_CHANGED: Final = "user_changed"
#: Why a client gets everything again: until now it had been shown without contents.
CONTENTS_SHOWN: Final = "contents_shown"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait for one client and topic."""

    frames: int
    bytes: int


#: Takes a frame to the client at once; False when that cannot be done.
Straight = Callable[[Frame], bool]


def _never(frame: Frame) -> bool:
    return False


class Source(Protocol):
    """What a subscription needs of its feed."""

    @property
    def looked(self) -> bool:
        """Whether it knows yet what the streams hold."""
        ...

    def catch_up(self, subscription: "Subscription") -> AsyncIterator[Frame]:
        """What lies between what the client has and where the feed is now."""
        ...


class Subscription:
    """Filled by the feed, emptied by the client's own task. Neither ever waits for the other."""

    def __init__(
        self,
        topic: Topic,
        limits: Limits,
        *,
        reason: str | None = None,
        cursor: Cursor | None = None,
        own: bool = False,
    ) -> None:
        self.topic = topic
        #: The client's own flows: nothing of them is kept from it.
        self.own = own
        #: The reason for following an unwatched user; None when the watch is the reason.
        self.reason = reason
        #: Where the client is: what it said when it came back, then what it was given. None: it has nothing.
        self.at = cursor
        #: It came back with a cursor, and what ended while it was away has not been sent yet.
        self.returning = cursor is not None
        #: Flows that the client has up to these entries although its feed does not follow them, or not yet. Cursors
        #: hold them as well: cut off again, the client must not get them again.
        self.had: dict[str, str] = {}
        #: When that was, by the clock of Redis: a feed that has looked since then follows all of them that run.
        self.had_ms = 0
        self._limits = limits
        self._waiting: deque[Frame] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        # The client has got everything and its task sleeps: what comes now may go to it straight.
        self._idle = False
        self._straight: Straight = _never
        self._behind = True
        self._anew = False
        self._resync: str | None = None
        self._last: str | None = None
        self._ended: str | None = None

    @property
    def ended(self) -> str | None:
        """Why it is over, None while it is not."""
        return self._ended

    @property
    def by_watch(self) -> bool:
        """Whether the client may follow only while the user is watched."""
        return self.reason is None

    def offer(self, frame: Frame) -> None:
        """Hand over a frame. When too much waits already, all of it is let go: it will be read from the stream."""
        if self._ended or self._behind:
            return
        if self.had and frame.cursor is not None:
            frame = self._beyond_had(frame, frame.cursor)
        if self._idle and not self._news.is_set() and self._straight(frame):
            self._note(frame)
            return
        size = frame.size
        if self._waiting and (len(self._waiting) >= self._limits.frames or self._bytes + size > self._limits.bytes):
            self.restart("slow_client")
            return
        self._waiting.append(frame)
        self._bytes += size
        self._news.set()

    def restart(self, why: str | None = None) -> None:
        """Let go of what waits and catch up from the stream, telling the client so when there is a reason to."""
        self._waiting.clear()
        self._bytes = 0
        self._behind = True
        self._resync = why or self._resync
        self._news.set()

    def begin_again(self, why: str) -> None:
        """Send everything again, as to a client that has nothing."""
        self._anew = True
        self.restart(why)

    def end(self, why: str) -> None:
        """At once: the client may not see more."""
        self._ended = self._ended or why
        self._news.set()

    def finish(self, why: str) -> None:
        """When the client has got everything: there will not be more."""
        self._last = self._last or why
        self._news.set()

    async def frames(self, source: Source, straight: Straight | None = None) -> AsyncIterator[Frame]:
        """Everything for the client, in order, until the subscription ends.

        Through `straight` goes what need not wait for the client's task to wake up, and is not yielded here.
        """
        self._straight = straight or _never
        while not self._ended:
            if self._behind and source.looked:
                if self._resync:
                    yield NoticeFrame(self.topic, "resync", {"reason": self._resync})
                    self._resync = None
                # From here on the feed may offer again: `catch_up` ends exactly where the feed is at this moment.
                self._behind = False
                if self._anew:
                    self.at, self.returning, self._anew = None, False, False
                    self.had.clear()
                async for frame in source.catch_up(self):
                    yield frame
                    self._note(frame)
                    if self.ended:
                        return
            elif self._waiting:
                frame = self._next()
                yield frame
                self._note(frame)
            elif self._last and not self._behind:
                self._ended = self._last
            else:
                self._news.clear()
                self._idle = True
                try:
                    await self._news.wait()
                finally:
                    self._idle = False

    def _beyond_had(self, frame: Frame, position: Cursor) -> Frame:
        """The frame as it is for a client that is ahead of its feed here and there."""
        if position.read_ms > self.had_ms:
            self.had.clear()
        return frame.beyond(self.had) if isinstance(frame, EventsFrame | SnapshotFrame) else frame

    def _next(self) -> Frame:
        """The frame that waits for longest, and the events that come right after it."""
        frame = self._waiting.popleft()
        self._bytes -= frame.size
        if not isinstance(frame, EventsFrame):
            return frame
        parts, size = [frame], frame.size
        while self._waiting and isinstance(further := self._waiting[0], EventsFrame):
            size += further.size
            if size > MAX_FRAME_BYTES:
                break
            self._waiting.popleft()
            self._bytes -= further.size
            parts.append(further)
        return JoinedFrame(self.topic, parts) if len(parts) > 1 else frame

    def _note(self, frame: Frame) -> None:
        self.at = frame.cursor or self.at
