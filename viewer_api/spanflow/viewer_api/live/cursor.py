"""Where a client is in the streams of a topic: one opaque word that it gives back to go on without a gap."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from spanflow.span_processors.ids import is_id
from spanflow.viewer_api.live.stream_id import is_stream_id, stream_key
from spanflow.viewer_api.live.topic import Kind

#: A flow that is not in the cursor is sent again from its beginning, which merges; so a cursor may leave flows out.
MAX_FLOWS: Final = 100
_MAX_LENGTH: Final = 32 * 1024


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last entry of each recent flow, and when, by the clock of Redis, they were read."""

    read_ms: int
    positions: Mapping[str, str]

    def further(self, had: Mapping[str, str]) -> "Cursor":
        """With the entries of `had` that lie behind its own, or are of flows that it does not know."""
        ahead = {
            flow_id: last
            for flow_id, last in had.items()
            if (known := self.positions.get(flow_id)) is None or stream_key(known) < stream_key(last)
        }
        return Cursor(self.read_ms, {**self.positions, **ahead}) if ahead else self

    def encoded(self, max_flows: int = MAX_FLOWS) -> str:
        positions = dict(self.positions)
        if len(positions) > max_flows:
            newest = sorted(positions, key=lambda flow_id: stream_key(positions[flow_id]))[-max_flows:]
            positions = {flow_id: positions[flow_id] for flow_id in newest}
        raw = zlib.compress(orjson.dumps([self.read_ms, positions]), 1)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: object) -> Cursor | None:
    """The cursor that a client sent, or None when it is not one of ours."""
    if not isinstance(text, str) or len(text) > _MAX_LENGTH:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        unpacker = zlib.decompressobj()
        read_ms, positions = orjson.loads(unpacker.decompress(raw, 64 * 1024))
    except (ValueError, TypeError, zlib.error):
        return None
    if not isinstance(read_ms, int) or not isinstance(positions, dict) or len(positions) > MAX_FLOWS:
        return None
    if not all(is_id(flow_id) and is_stream_id(entry_id) for flow_id, entry_id in positions.items()):
        return None
    return Cursor(read_ms, positions)


_KINDS: Final = {kind[0]: kind for kind in Kind}
#: One header carries the cursors of all topics of an event stream; so many flows fit in well.
_FLOWS_IN_HEADER: Final = 50


def together(cursors: Mapping[tuple[Kind, str], Cursor]) -> str:
    """The cursors of several topics as one word, for a client that can only remember one."""
    most = max(_FLOWS_IN_HEADER // max(len(cursors), 1), 2)
    return ",".join(
        f"{kind[0]}.{base64.urlsafe_b64encode(id.encode()).rstrip(b'=').decode()}.{cursor.encoded(most)}"
        for (kind, id), cursor in cursors.items()
    )


def separated(text: str) -> dict[tuple[Kind, str], Cursor]:
    """The cursors in such a word; what is none of ours is left out."""
    found: dict[tuple[Kind, str], Cursor] = {}
    for part in text.split(","):
        letter, _, rest = part.partition(".")
        encoded, _, word = rest.partition(".")
        kind, cursor = _KINDS.get(letter), decoded(word)
        try:
            id = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        except ValueError:
            continue
        if kind is not None and cursor is not None:
            found[kind, id] = cursor
    return found
