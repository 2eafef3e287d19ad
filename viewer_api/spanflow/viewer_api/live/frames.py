"""What a feed hands to its subscribers. A frame is encoded once, however many clients get it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.live import messages
from spanflow.viewer_api.live.cursor import Cursor

#: Beyond so many bytes of events, another frame is begun: a client need not take in megabytes at once.
MAX_FRAME_BYTES: Final = 256 * 1024
#: Merged entries in one snapshot message; the snapshot of a larger flow has several.
_MAX_SNAPSHOT_ENTRIES: Final = 200


@dataclass
class Frame:
    """Something about one user. `events` is also what a socket of an existing dashboard translates."""

    user_id: str

    @property
    def events(self) -> Sequence[Event]:
        return ()

    @property
    def cursor(self) -> Cursor | None:
        """Where a client is that has got this frame and all before it."""
        return None

    @cached_property
    def data(self) -> bytes:
        raise NotImplementedError


@dataclass
class EventsFrame(Frame):
    """Events in stream order, of one or several flows."""

    found: Sequence[Event]
    position: Cursor

    @property
    def events(self) -> Sequence[Event]:
        return self.found

    @property
    def cursor(self) -> Cursor | None:
        return self.position

    @cached_property
    def data(self) -> bytes:
        return messages.events(self.user_id, self.found, self.position.encoded())


@dataclass
class SnapshotFrame(Frame):
    """Everything known of one flow, one merged entry per span."""

    flow_id: str
    entries: Sequence[Event]
    position: Cursor | None
    truncated: bool = False

    @property
    def events(self) -> Sequence[Event]:
        return self.entries

    @property
    def cursor(self) -> Cursor | None:
        return self.position

    @cached_property
    def data(self) -> bytes:
        cursor = self.position.encoded() if self.position else None
        return messages.snapshot(self.user_id, self.flow_id, self.entries, truncated=self.truncated, cursor=cursor)


@dataclass
class NoticeFrame(Frame):
    """A message without events, such as `flow`, `process` or `resync`."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def data(self) -> bytes:
        return messages.about(self.kind, self.user_id, **self.fields)


def snapshots(
    user_id: str, flow_id: str, entries: Sequence[Event], position: Cursor | None, *, truncated: bool = False
) -> Iterator[SnapshotFrame]:
    """A flow's merged entries in messages of bearable length; the last one moves the client's cursor."""
    for first in range(0, len(entries), _MAX_SNAPSHOT_ENTRIES):
        # Stored entries do not repeat the flow that they are in.
        part: list[Event] = [{**entry, "flow_id": flow_id} for entry in entries[first : first + _MAX_SNAPSHOT_ENTRIES]]
        last = first + len(part) == len(entries)
        yield SnapshotFrame(user_id, flow_id, part, position if last else None, truncated)
