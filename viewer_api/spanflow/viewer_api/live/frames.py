"""What a feed hands to its subscribers. A frame is encoded once, however many clients get it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from spanflow.span_processors.event import Event
from spanflow.viewer_api.live import messages
from spanflow.viewer_api.live.cursor import Cursor


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
