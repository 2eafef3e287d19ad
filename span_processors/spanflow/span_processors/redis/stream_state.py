"""What the mirror knows about one flow's stream. Made by the encoder, then used by the mirror's thread.

The encoder's thread goes on writing `users`, `started_s` and the refused starts, and nothing else; the mirror's thread
reads each of them once where it decides by it.
"""

from spanflow.span_processors.names import STREAM_FIELD, flow_stream

_COMMAND = b"*%d\r\n$4\r\nXADD\r\n$%d\r\n%b\r\n%b$6\r\nMAXLEN\r\n$1\r\n~\r\n$%d\r\n%d\r\n$1\r\n*\r\n$%d\r\n%b\r\n"
_NOT_CREATING = b"$10\r\nNOMKSTREAM\r\n"
_FIELD = STREAM_FIELD.encode()


class StreamState:
    """A flow's stream as this process last saw it."""

    __slots__ = (
        "created",
        "expires_at",
        "flow_id",
        "incomplete",
        "indexed",
        "key",
        "_lost_starts",
        "outdated",
        "_refused_starts",
        "started_s",
        "touched_at",
        "users",
        "vanished",
        "appending",
        "creating",
        "maxlen",
        "_trimmed",
    )

    def __init__(self, flow_id: str, maxlen: int) -> None:
        self.flow_id = flow_id
        self.key = flow_stream(flow_id).encode()
        self.started_s = 0.0
        self.maxlen = maxlen
        #: It may lack starts: `lacks_start` says which. Never taken back, so that both threads may set it.
        self.incomplete = False
        self._trimmed = False
        self.creating = b""
        self.appending = b""
        #: We have written to it, so it must be there: a later write that does not find it tells of lost data.
        self.created = False
        #: It was gone when we came back. Ends are then written with all that is known of their spans.
        self.vanished = False
        #: Spans whose start never reached the stream; their ends carry the whole span. One set for each thread that
        #: writes: those that the queue refused, and those that Redis refused.
        self._refused_starts: set[int] | None = None
        self._lost_starts: set[int] | None = None
        #: When the index and the expiry were refreshed last, and which ids are in the indexes.
        self.touched_at = 0.0
        self.expires_at = 0.0
        #: Its user, session and conversation.
        self.users: tuple[str | None, str | None, str | None] = (None, None, None)
        self.indexed: tuple[str | None, str | None, str | None] = (None, None, None)
        #: Keys of indexes that it may still be in although its user, session or conversation was corrected.
        self.outdated: tuple[bytes, ...] = ()

    def refuse_start(self, span_id: int) -> None:
        """There was no room in the queue for the span's start. Called by the encoder's thread."""
        if self._refused_starts is None:
            self._refused_starts = set()
        self._refused_starts.add(span_id)
        self.incomplete = True

    def lose_start(self, span_id: int) -> None:
        """Redis did not take the span's start. Called by the mirror's thread."""
        if self._lost_starts is None:
            self._lost_starts = set()
        self._lost_starts.add(span_id)
        self.incomplete = True

    def trim(self) -> None:
        """It may be trimmed: an end has to say all of its span. Called by the encoder's thread."""
        self._trimmed = self.incomplete = True

    def lacks_start(self, span_id: int) -> bool:
        """Whether the stream is known not to have the span's start."""
        refused, lost = self._refused_starts, self._lost_starts
        return (
            self.vanished
            or self._trimmed
            or (refused is not None and span_id in refused)
            or (lost is not None and span_id in lost)
        )

    def forget_redis(self) -> None:
        """The stream is gone: create it and its index entries again with the next write."""
        self.created = False
        self.vanished = self.incomplete = True
        self.touched_at = 0.0
        self.expires_at = 0.0
        self.indexed = (None, None, None)

    def command(self) -> bytes:
        """The XADD up to its value, ready for the wire."""
        if not self.created:
            if not self.creating:
                self.creating = self._format(8, b"")
            return self.creating
        if not self.appending:
            self.appending = self._format(9, _NOT_CREATING)
        return self.appending

    def arguments(self, data: bytes) -> tuple[bytes | int, ...]:
        """The same for a client that packs its own commands."""
        head = (b"XADD", self.key) if not self.created else (b"XADD", self.key, b"NOMKSTREAM")
        return (*head, b"MAXLEN", b"~", self.maxlen, b"*", _FIELD, data)

    def _format(self, words: int, option: bytes) -> bytes:
        digits = len(str(self.maxlen))
        return _COMMAND % (words, len(self.key), self.key, option, digits, self.maxlen, len(_FIELD), _FIELD)
