"""Where a client is in the streams of a topic: one opaque word that it gives back to go on without a gap.

Words are signed: one that no viewer with the same secret has written is never unpacked.
"""

import base64
import hashlib
import hmac
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
_SIGNED: Final = "!"
_SIGNATURE_BYTES: Final = 12
_MAX_LENGTH: Final = 16 * 1024
#: Of what a word unpacks to.
_MAX_UNPACKED: Final = 10 * 1024


class CursorKey:
    """Signs cursors, and reads those that it has signed."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.sha256(secret).digest()

    def cursor(self, read_ms: int, positions: Mapping[str, str]) -> "Cursor":
        return Cursor(read_ms, positions, key=self)

    def read(self, text: object) -> "Cursor | None":
        """The cursor that a client sent; None when it is none, too old for the secret, or changed."""
        if not isinstance(text, str) or len(text) > _MAX_LENGTH or not text.isascii():
            return None
        word, signed, signature = text.rpartition(_SIGNED)
        packed, since, plain = word.partition(_SINCE)
        if not signed or not hmac.compare_digest(self._signature(_digest(packed), since + plain), signature):
            return None
        try:
            read_ms, positions = orjson.loads(_unpacked(packed))
            if since:
                read_ms, moved = orjson.loads(_bytes_of(plain))
                positions = {**positions, **moved}
        except (ValueError, TypeError, zlib.error):
            return None
        if not isinstance(read_ms, int) or not isinstance(positions, dict) or len(positions) > MAX_FLOWS + MAX_MOVED:
            return None
        if not all(is_id(flow_id) and is_stream_id(entry_id) for flow_id, entry_id in positions.items()):
            return None
        return self.cursor(read_ms, positions)

    def signed(self, packed: str, moved: str = "", digest: bytes | None = None) -> str:
        """The word of these two parts; `digest` is the first one's, for who has it already."""
        return f"{packed}{moved}{_SIGNED}{self._signature(digest or _digest(packed), moved)}"

    def _signature(self, digest: bytes, moved: str) -> str:
        made = hashlib.blake2b(digest + moved.encode(), digest_size=_SIGNATURE_BYTES, key=self._secret)
        return _word(made.digest())


class Base:
    """Where a feed was a moment ago: written once, for the cursors of many frames."""

    def __init__(self, read_ms: int, positions: Mapping[str, str]) -> None:
        self.read_ms = read_ms
        #: The flows that were read last are the last ones.
        self.positions = positions

    @cached_property
    def text(self) -> str:
        return _packed(self.read_ms, dict(list(self.positions.items())[-MAX_FLOWS:]))

    @cached_property
    def digest(self) -> bytes:
        return _digest(self.text)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last entry of each recent flow, and when, by the clock of Redis, they were read."""

    read_ms: int
    #: The last entries of all flows, or of those that have been read since `base`.
    moved: Mapping[str, str]
    base: Base | None = None
    key: CursorKey = field(kw_only=True, compare=False, repr=False)

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
        return replace(self, moved={**positions, **ahead}, base=None) if ahead else self

    def encoded(self, max_flows: int = MAX_FLOWS) -> str:
        if self.base is not None and max_flows >= MAX_FLOWS:
            moved = _SINCE + _word(orjson.dumps([self.read_ms, self.moved]))
            return self.key.signed(self.base.text, moved, self.base.digest)
        return self.key.signed(_packed(self.read_ms, self._newest(max_flows)))

    def _newest(self, most: int) -> Mapping[str, str]:
        positions = self.positions
        if len(positions) <= most:
            return positions
        items = list(positions.items())
        if self.base is None:
            items.sort(key=lambda item: stream_key(item[1]))
        return dict(items[-most:])


def _packed(read_ms: int, positions: Mapping[str, str]) -> str:
    """With as many of the last ones as may be unpacked again; the ids of older gateways may be long."""
    kept = list(positions.items())
    while len(plain := orjson.dumps([read_ms, dict(kept)])) > _MAX_UNPACKED:
        kept = kept[len(kept) // 2 :]
    return _word(zlib.compress(plain, 1))


def _unpacked(word: str) -> bytes:
    unpacker = zlib.decompressobj()
    plain = unpacker.decompress(_bytes_of(word), _MAX_UNPACKED)
    if not unpacker.eof:
        raise ValueError("cut off, or larger than any that is written")
    return plain


def _digest(word: str) -> bytes:
    return hashlib.blake2b(word.encode(), digest_size=16).digest()


def _word(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes_of(word: str) -> bytes:
    return base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))


_KINDS: Final = {kind[0]: kind for kind in Kind}
#: One header carries the cursors of all topics of an event stream; so many flows fit in well.
_FLOWS_IN_HEADER: Final = 50
#: As many topics as one socket may follow.
_MAX_TOGETHER: Final = 100
_MAX_TOGETHER_LENGTH: Final = 32 * 1024


def together(cursors: Mapping[tuple[Kind, str], Cursor]) -> str:
    """The cursors of several topics as one word, for a client that can only remember one."""
    most = max(_FLOWS_IN_HEADER // max(len(cursors), 1), 2)
    return ",".join(f"{kind[0]}.{_word(id.encode())}.{cursor.encoded(most)}" for (kind, id), cursor in cursors.items())


def separated(text: str) -> dict[tuple[Kind, str], str]:
    """The words of several topics in such a word, not looked into; what is none of ours is left out."""
    if len(text) > _MAX_TOGETHER_LENGTH:
        return {}
    words_by_topic: dict[tuple[Kind, str], str] = {}
    for part in text.split(",", _MAX_TOGETHER)[:_MAX_TOGETHER]:
        letter, _, rest = part.partition(".")
        encoded, _, word = rest.partition(".")
        try:
            id = _bytes_of(encoded).decode()
        except ValueError:
            continue
        if (kind := _KINDS.get(letter)) is not None and word:
            words_by_topic[kind, id] = word
    return words_by_topic
