"""Commands as they go over the wire (RESP). Twin of `native/engine/src/resp_commands.rs`, which `native_resp.py` calls.

redis-py's packing costs about seven times the CPU, on the gateway's cores.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from spanflow.span_processors.redis.mirror_items import MirrorItem, StreamEntry
from spanflow.span_processors.redis.stream_state import StreamState

_WORD: Final = b"$%d\r\n%b\r\n"


class Commands(Protocol):
    """The commands of one round trip, in order."""

    def add_entries(self, batch: Sequence[MirrorItem], at: int, now: float) -> int:
        """XADD for the entries from place `at` on, up to the first item beside which more is to be written or about
        which this is not certain. Returns the place of that item."""
        ...

    def add_event(self, stream: StreamState, data: bytes) -> None:
        """XADD to a flow's stream."""
        ...

    def add(self, *words: bytes) -> None: ...

    def publish(self, channel: bytes, payload: bytes) -> None:
        """PUBLISH after everything that was added before, so that a bell never comes before its data."""
        ...


def add_entries(commands: Commands, batch: Sequence[MirrorItem], at: int, now: float) -> int:
    """`Commands.add_entries`, for all that add their events one by one."""
    add_event = commands.add_event
    for place in range(at, len(batch)):
        item = batch[place]
        if type(item) is not StreamEntry:
            return place
        stream = item[0]
        users = stream.users
        if now >= stream.touched_at or (stream.indexed is not users and stream.indexed != users):
            return place
        add_event(stream, item.told() if stream.incomplete else item[3])
    return len(batch)


class RawCommands:
    """Commands as RESP bytes."""

    __slots__ = ("number", "parts")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.number = 0

    def add_entries(self, batch: Sequence[MirrorItem], at: int, now: float) -> int:
        return add_entries(self, batch, at, now)

    def add_event(self, stream: StreamState, data: bytes) -> None:
        command = stream.appending if stream.created else stream.creating
        self.parts.append(b"%b$%d\r\n%b\r\n" % (command or stream.command(), len(data), data))
        self.number += 1

    def add(self, *words: bytes) -> None:
        arguments: list[int | bytes] = []
        for word in words:
            arguments += (len(word), word)
        self.parts.append((b"*%d\r\n" % len(words) + _WORD * len(words)) % tuple(arguments))
        self.number += 1

    def publish(self, channel: bytes, payload: bytes) -> None:
        self.add(b"PUBLISH", channel, payload)
