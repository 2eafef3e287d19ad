"""What one process hands over for one complete flow: to the archive, and through the spool to a later process."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import orjson

from spanflow.span_processors.identity import NOBODY, Identity

_MAGIC: Final = b"SFP1"

#: Why a part was handed over.
ROOT_ENDED: Final = "root_ended"
ENDED_BY_CALLER: Final = "ended_by_caller"
IDLE: Final = "idle"
MAX_AGE: Final = "max_age"
SHUTDOWN: Final = "shutdown"
#: Too many flows or bytes were open in the process: the oldest was handed over early.
PRESSURE: Final = "pressure"
#: The process that owned the flow is gone; a reaper read it from its stream.
REAPED: Final = "reaped"
#: Only activities, while their flow is open: numbering them needs the last number in the table.
ACTIVITIES: Final = "activities"
REASONS: Final = (ROOT_ENDED, ENDED_BY_CALLER, IDLE, MAX_AGE, SHUTDOWN, PRESSURE, REAPED, ACTIVITIES)


class UnreadablePart(ValueError):
    """Bytes that are no flow part, or one of a version that this release cannot read."""


@dataclass(frozen=True, slots=True)
class FlowPart:
    """One process's share of one flow. Several parts of a flow, in any order, become one row.

    Only bytes, strings and numbers, so that it can wait on disk. `entries` are encoded events (`event.encode`), one
    merged entry per span; `activities` are `Activity.to_bytes()`; `process` is a JSON object that describes the process
    (its resource and scopes), stored once per process in the flow.
    """

    flow_id: str
    instance_id: str
    entries: tuple[bytes, ...]
    process: bytes = b"{}"
    identity: Identity = NOBODY
    activities: tuple[bytes, ...] = ()
    #: The earliest start and the latest end that this process saw.
    started_ns: int = 0
    ended_ns: int = 0
    #: Whether the flow's root was in this process and has ended.
    root_ended: bool = False
    reason: str = ROOT_ENDED
    #: The flow began in another process, which called this one.
    joined: bool = False
    #: What this process's own limits kept out: whole spans, and bytes of values and spans.
    cut_spans: int = 0
    cut_bytes: int = 0
    #: How many values were redacted.
    redacted: int = 0

    @property
    def size(self) -> int:
        """Bytes that this part occupies, near enough for a bound."""
        return (
            sum(map(len, self.entries))
            + sum(map(len, self.activities))
            + len(self.process)
            + 64 * len(self.entries)
            + 512
        )

    @property
    def settles_flow(self) -> bool:
        """With this part stored, the flow needs no more tracking: it began here and none of its spans is open."""
        return not self.joined and self.reason not in (IDLE, MAX_AGE, PRESSURE, ACTIVITIES)

    def to_bytes(self) -> bytes:
        """One self-describing record: a line of JSON with the lengths, then the encoded pieces just as they are."""
        header = {
            name: getattr(self, name)
            for name in _PLAIN
            # What has its default value is left out; `from_bytes` puts it back.
            if getattr(self, name) != _DEFAULTS.get(name)
        }
        header["identity"] = {key: value for key, value in asdict(self.identity).items() if value is not None}
        header["lengths"] = [
            len(self.process),
            list(map(len, self.entries)),
            list(map(len, self.activities)),
        ]
        return b"".join((_MAGIC, _json(header), b"\n", self.process, *self.entries, *self.activities))

    @classmethod
    def from_bytes(cls, raw: bytes) -> "FlowPart":
        """Read what `to_bytes` wrote. Raises `UnreadablePart` for anything else."""
        if not raw.startswith(_MAGIC):
            raise UnreadablePart("not a flow part of a version that this release can read")
        line_end = raw.find(b"\n")
        try:
            header = orjson.loads(raw[len(_MAGIC) : line_end])
            process_length, entry_lengths, activity_lengths = header["lengths"]
            pieces = list(_cut(raw, line_end + 1, [process_length, *entry_lengths, *activity_lengths]))
            field_names = {f.name for f in fields(Identity)}
            return cls(
                process=pieces[0],
                entries=tuple(pieces[1 : 1 + len(entry_lengths)]),
                activities=tuple(pieces[1 + len(entry_lengths) :]),
                identity=Identity(**{key: value for key, value in header["identity"].items() if key in field_names}),
                **{name: header[name] for name in _PLAIN if name in header},
            )
        except UnreadablePart:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as why:
            raise UnreadablePart(f"a flow part that cannot be read: {why}") from why


_PLAIN: Final = tuple(
    f.name for f in fields(FlowPart) if f.name not in {"process", "entries", "activities", "identity"}
)
_DEFAULTS: Final = {f.name: f.default for f in fields(FlowPart) if f.name in _PLAIN}


def _cut(raw: bytes, start: int, lengths: Iterable[int]) -> Iterable[bytes]:
    for length in lengths:
        end = start + length
        if length < 0 or end > len(raw):
            raise UnreadablePart("a flow part that ends too early")
        yield raw[start:end]
        start = end
    if start != len(raw):
        raise UnreadablePart("a flow part with something after its end")


def _json(header: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(header)
    except TypeError:
        # A lone surrogate in a name: what is stored must be UTF-8, and the flow matters more than that letter.
        return orjson.dumps(_utf8(header))


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_utf8(key): _utf8(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_utf8(item) for item in value]
    return value
