"""What goes to the mirror: events, and what stands beside them in Redis."""

from typing import Final, NamedTuple, TypeAlias

from spanflow.span_processors.redis.stream_state import StreamState

START: Final = 0
UPDATE: Final = 1
END: Final = 2


class StreamEntry(NamedTuple):
    """One event on its way into a stream."""

    stream: StreamState
    kind: int
    span_id: int
    data: bytes
    #: All that is known of the span, for an end whose start the stream does not have.
    whole: bytes = b""

    def told(self) -> bytes:
        """What the stream is told, by what it is known to lack."""
        return self.whole if self.whole and self.kind == END and self.stream.lacks_start(self.span_id) else self.data


class IdentityItem(NamedTuple):
    """The flow's user or session became known: it goes into their indexes."""

    stream: StreamState


class ActivityItem(NamedTuple):
    """What a person saw: kept beside the stream until the flow is archived, should this process die before that."""

    flow_id: str
    data: bytes


class Notification(NamedTuple):
    """A watched user's flow has news."""

    user_id: str
    flow_id: str
    #: Messages for existing dashboards, as JSON.
    messages: tuple[bytes, ...]


class LongFlow(NamedTuple):
    """There is more of the flow than its stream holds: what is missing there can be counted."""

    flow_id: str
    spans: int


class OtherProcess(NamedTuple):
    """A process whose spans this one passes on is alive: its flows are not taken for those of a dead one."""

    instance_id: str
    #: A JSON object: its resource and its scopes.
    description: bytes

    @property
    def flow_id(self) -> str:
        """None of a flow's business."""
        return ""


class Archived(NamedTuple):
    """The flow is safe elsewhere: it leaves the index of open flows, and its stream goes sooner."""

    flow_id: str


MirrorItem: TypeAlias = StreamEntry | IdentityItem | ActivityItem | Notification | LongFlow | OtherProcess | Archived
