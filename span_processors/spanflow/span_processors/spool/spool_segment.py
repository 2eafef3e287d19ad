"""One file of the spool: records appended one after the other, each with its length and checksum.

A record is `marker · length · crc32 · payload`. Whatever stops a write in its middle (kill -9, a full disk, a crash of
the machine), every record before it stays readable, and after damage a reader finds the next whole record by its
marker.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Not valid UTF-8, so that text inside a payload never looks like it.
MARKER: Final = b"\xf5SF\x01"
_HEAD: Final = struct.Struct("<4sII")
#: The size of a file is data enough for a reader; macOS has only the slower call.
_sync: Final = getattr(os, "fdatasync", os.fsync)
#: A length beyond this is damage, not a record.
MAX_RECORD: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record, and where the next one may begin."""

    payload: bytes
    next_offset: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no record: a torn tail, or what a broken disk left."""

    start: int
    raw: bytes


def framed_size(payload: bytes) -> int:
    return _HEAD.size + len(payload)


class SegmentWriter:
    """Appends to one new file. A batch is on the disk when `append` returns, or not in the file at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        # O_EXCL: never onto what is there. 0600: a spool holds what people wrote.
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def append(self, payloads: Sequence[bytes]) -> None:
        """Write all of them and wait for the disk, or raise `OSError` and leave the file as it was before."""
        pieces = []
        for payload in payloads:
            pieces.append(_HEAD.pack(MARKER, len(payload), zlib.crc32(payload)))
            pieces.append(payload)
        view = memoryview(b"".join(pieces))
        total = len(view)
        try:
            while view:
                view = view[os.write(self._file, view) :]
            _sync(self._file)
        except OSError:
            # A half-written record would hide nothing, but it would use the space that is short.
            os.ftruncate(self._file, self.size)
            raise
        self.size += total

    def close(self) -> None:
        os.close(self._file)


def read_segment(path: Path, offset: int = 0) -> Iterator[Record | Damage]:
    """Everything from `offset` on, in order: whole records, and the damage between or after them."""
    raw = path.read_bytes()
    while offset < len(raw):
        payload = _payload_at(raw, offset)
        if payload is not None:
            offset += framed_size(payload)
            yield Record(payload, offset)
            continue
        next_record = _next_whole_record(raw, offset + 1)
        yield Damage(offset, raw[offset:next_record])
        offset = next_record


def _payload_at(raw: bytes, offset: int) -> bytes | None:
    """The payload of the whole record that begins here, if one does."""
    if len(raw) - offset < _HEAD.size:
        return None
    marker, length, checksum = _HEAD.unpack_from(raw, offset)
    start = offset + _HEAD.size
    if marker != MARKER or length > MAX_RECORD or start + length > len(raw):
        return None
    payload = raw[start : start + length]
    return payload if zlib.crc32(payload) == checksum else None


def _next_whole_record(raw: bytes, offset: int) -> int:
    while (offset := raw.find(MARKER, offset)) != -1:
        if _payload_at(raw, offset) is not None:
            return offset
        offset += 1
    return len(raw)
