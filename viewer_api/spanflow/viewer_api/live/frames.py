"""What a feed hands to its subscribers. A frame is encoded once, however many clients get it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import orjson

from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.live import messages
from spanflow.viewer_api.live.cursor import Cursor
from spanflow.viewer_api.live.topic import Topic
from spanflow.viewer_api.store.stream_id import stream_key

#: Beyond so many bytes of events, another frame is begun: a client need not take in megabytes at once.
MAX_FRAME_BYTES: Final = 256 * 1024
#: Merged entries in one snapshot message; the snapshot of a larger flow has several.
_MAX_SNAPSHOT_ENTRIES: Final = 200


@dataclass
class Frame:
    """Something about one topic. `events` is also what a socket of an existing dashboard translates."""

    topic: Topic

    @property
    def events(self) -> Sequence[Event]:
        return ()

    @property
    def cursor(self) -> Cursor | None:
        """Where a client is that has got this frame and all before it."""
        return None

    @property
    def size(self) -> int:
        """Bytes, more or less."""
        return len(self.data)

    @cached_property
    def data(self) -> bytes:
        raise NotImplementedError

    @cached_property
    def wire(self) -> bytes:
        """As one text frame of a WebSocket, which is the same for every client: servers mask nothing."""
        length = len(self.data)
        if length < 126:
            return b"\x81%c%b" % (length, self.data)
        if length < 65_536:
            return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), self.data)
        return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), self.data)


@dataclass
class EventsFrame(Frame):
    """Events in stream order, of one or several flows."""

    found: Sequence[Event]
    position: Cursor
    #: The stream entry that each event was read from, where the feed has read it.
    ids: Sequence[str] = ()

    @property
    def events(self) -> Sequence[Event]:
        return self.found

    def beyond(self, had: Mapping[str, str]) -> "EventsFrame":
        """The frame without what a client has got that has had these flows up to these entries."""
        position = self.position.further(had)
        kept = [
            (event, id)
            for event, id in zip(self.found, self.ids, strict=False)
            if (last := had.get(event["flow_id"])) is None or stream_key(id) > stream_key(last)
        ]
        if len(kept) == len(self.ids):
            return self if position is self.position else replace(self, position=position)
        return replace(self, found=[event for event, _ in kept], ids=[id for _, id in kept], position=position)

    @property
    def cursor(self) -> Cursor | None:
        return self.position

    @property
    def size(self) -> int:
        return len(self.body)

    @cached_property
    def body(self) -> bytes:
        """The events as a JSON list without its brackets, so that several frames can be sent as one."""
        return orjson.dumps(self.found)[1:-1]

    @cached_property
    def data(self) -> bytes:
        return messages.joined_events(self.topic, (self.body,), self.position.encoded())


@dataclass
class JoinedFrame(Frame):
    """Several frames of events that wait for the same client, sent as one."""

    parts: Sequence[EventsFrame]

    @property
    def events(self) -> Sequence[Event]:
        return [event for part in self.parts for event in part.found]

    @property
    def cursor(self) -> Cursor | None:
        return self.parts[-1].position

    @cached_property
    def data(self) -> bytes:
        return messages.joined_events(self.topic, [part.body for part in self.parts], self.parts[-1].position.encoded())


@dataclass
class SnapshotFrame(Frame):
    """Everything known of one flow, one merged entry per span."""

    flow_id: str
    entries: Sequence[Event]
    position: Cursor | None
    truncated: bool = False

    def beyond(self, had: Mapping[str, str]) -> "SnapshotFrame":
        """The frame with the place of a client that has had these flows up to these entries; entries merge."""
        position = self.position.further(had) if self.position else None
        return self if position is self.position else replace(self, position=position)

    @property
    def events(self) -> Sequence[Event]:
        return self.entries

    @property
    def cursor(self) -> Cursor | None:
        return self.position

    @cached_property
    def data(self) -> bytes:
        cursor = self.position.encoded() if self.position else None
        return messages.snapshot(self.topic, self.flow_id, self.entries, truncated=self.truncated, cursor=cursor)


@dataclass
class NoticeFrame(Frame):
    """A message without events, such as `flow`, `process` or `resync`."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def data(self) -> bytes:
        return messages.about(self.kind, self.topic, **self.fields)


def flow_notice(topic: Topic, flow_id: str, *, is_open: bool) -> NoticeFrame:
    """A flow began or goes on, or it is complete."""
    return NoticeFrame(topic, "flow", {"flow_id": flow_id, "open": is_open})


def process_notice(topic: Topic, flow_id: str, process: str, *, alive: bool) -> NoticeFrame:
    """A process that has spans open in a flow has disappeared, or is back."""
    return NoticeFrame(topic, "process", {"flow_id": flow_id, "process": process, "alive": alive})


def snapshots(
    topic: Topic, flow_id: str, entries: Sequence[Event], position: Cursor | None, *, truncated: bool = False
) -> Iterator[SnapshotFrame]:
    """A flow's merged entries in messages of bearable length; the last one moves the client's cursor."""
    for first in range(0, len(entries), _MAX_SNAPSHOT_ENTRIES):
        # Stored entries do not repeat the flow that they are in.
        part: list[Event] = [{**entry, "flow_id": flow_id} for entry in entries[first : first + _MAX_SNAPSHOT_ENTRIES]]
        last = first + len(part) == len(entries)
        yield SnapshotFrame(topic, flow_id, part, position if last else None, truncated)
