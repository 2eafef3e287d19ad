"""Where a client is in the streams of a topic: one opaque word that it gives back to go on without a gap."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import orjson

from spanflow.span_processors.ids import is_id
from spanflow.viewer_api.live.topic import Kind
from spanflow.viewer_api.store.stream_id import is_stream_id, stream_key

#: A flow that is not in the cursor is sent again from its beginning, which merges; so a cursor may leave flows out.
MAX_FLOWS: Final = 100
#: Flows that may have been read since a base was written; then there is a new one.
MAX_MOVED: Final = 8
#: What has moved since comes behind it, after a sign that words do not have.
_SINCE: Final = "~"
_MAX_LENGTH: Final = 32 * 1024


class Base:
    """Where a feed was a moment ago: written once, for the cursors of many frames."""

    def __init__(self, read_ms: int, positions: Mapping[str, str]) -> None:
        self.read_ms = read_ms
        #: The flows that were read last are the last ones.
        self.positions = positions

    @cached_property
    def text(self) -> str:
        newest = dict(list(self.positions.items())[-MAX_FLOWS:])
        return _word(zlib.compress(orjson.dumps([self.read_ms, newest]), 1))


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last entry of each recent flow, and when, by the clock of Redis, they were read."""

    read_ms: int
    #: The last entries of all flows, or of those that have been read since `base`.
    moved: Mapping[str, str]
    base: Base | None = None

    @property
    def positions(self) -> Mapping[str, str]:
        """The last entry of each flow; of a feed's own cursor, those that were read last come last."""
        if self.base is None:
            return self.moved
        positions = dict(self.base.positions)
        for flow_id, last in self.moved.items():
            positions.pop(flow_id, None)
            positions[flow_id] = last
        return positions

    def further(self, had: Mapping[str, str]) -> "Cursor":
        """With the entries of `had` that lie behind its own, or are of flows that it does not know."""
        positions = self.positions
        ahead = {
            flow_id: last
            for flow_id, last in had.items()
            if (known := positions.get(flow_id)) is None or stream_key(known) < stream_key(last)
        }
        return Cursor(self.read_ms, {**positions, **ahead}) if ahead else self

    def encoded(self, max_flows: int = MAX_FLOWS) -> str:
        if self.base is not None and max_flows >= MAX_FLOWS:
            return f"{self.base.text}{_SINCE}{_word(orjson.dumps([self.read_ms, self.moved]))}"
        return _word(zlib.compress(orjson.dumps([self.read_ms, self._newest(max_flows)]), 1))

    def _newest(self, most: int) -> Mapping[str, str]:
        positions = self.positions
        if len(positions) <= most:
            return positions
        items = list(positions.items())
        if self.base is None:
            items.sort(key=lambda item: stream_key(item[1]))
        return dict(items[-most:])


def decoded(text: object) -> Cursor | None:
    """The cursor that a client sent, or None when it is not one of ours."""
    if not isinstance(text, str) or len(text) > _MAX_LENGTH:
        return None
    packed, since, plain = text.partition(_SINCE)
    try:
        unpacker = zlib.decompressobj()
        read_ms, positions = orjson.loads(unpacker.decompress(_bytes_of(packed), 64 * 1024))
        if since:
            read_ms, moved = orjson.loads(_bytes_of(plain))
            positions = {**positions, **moved}
    except (ValueError, TypeError, zlib.error):
        return None
    if not isinstance(read_ms, int) or not isinstance(positions, dict) or len(positions) > MAX_FLOWS + MAX_MOVED:
        return None
    if not all(is_id(flow_id) and is_stream_id(entry_id) for flow_id, entry_id in positions.items()):
        return None
    return Cursor(read_ms, positions)


def _word(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes_of(word: str) -> bytes:
    return base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))


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
