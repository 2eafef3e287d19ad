"""The replies of one round trip, read as they come in (RESP2). Twin of `native/engine/src/resp_replies.rs`, which
`native_resp.py` calls.

Whoever sits at the other end may send anything: what is kept is bounded by the number of commands, what is announced is
reserved nowhere, and nothing recurses.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, Protocol

import hiredis
from redis.exceptions import ResponseError

#: Bytes that may come in answer to a round trip: so many, and so many for each command.
ROOM: Final = 65_536
ROOM_PER_COMMAND: Final = 1024
#: Bytes of a status, of an error, or of a number.
MAX_LINE: Final = 16_384
#: Arrays within arrays. TIME answers with one.
MAX_DEPTH: Final = 4

TOO_MUCH: Final = "Redis sent more than any reply to these commands takes"
LONG_LINE: Final = "Redis sent a line that is too long"
NO_NUMBER: Final = "Redis sent something else where a number belongs"
NO_END: Final = "Redis sent a text that does not end where it says"
TOO_DEEP: Final = "Redis sent arrays that are nested too deeply"
UNKNOWN: Final = "Redis sent a reply of an unknown type"
TOO_MANY: Final = "Redis sent more replies than it had got commands"

_BULK, _INTEGER, _STATUS, _ERROR, _ARRAY = b"$:+-*"
_KINDS: Final = frozenset(b"$:+-*")
_DIGITS: Final = 19
_OPENED: Final = object()
_INCOMPLETE: Final = object()
#: What nearly all replies to a batch are.
_USUAL: Final = re.compile(rb"(?:\$\d\d?\r\n[\d-]{1,41}\r\n|:\d{1,18}\r\n|\+OK\r\n)*+")
#: Replies that are neither errors nor the news that a stream has gone.
_ALL_WELL: Final = frozenset({bytes, int})


class ProtocolError(ConnectionError):
    """These are no replies to what was asked: the connection cannot be used any more."""


class Replies(Protocol):
    """The replies of one round trip, in the order of the commands. An error is an exception object."""

    @property
    def all_well(self) -> bool:
        """Whether there is neither an error nor a null among them."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


class ReplyList(list[Any]):
    """Replies that somebody else has read."""

    @property
    def all_well(self) -> bool:
        return _ALL_WELL.issuperset(map(type, self))


class RawReplies(ReplyList):
    """Replies as RESP bytes."""

    def __init__(self, wanted: int) -> None:
        """`wanted`: how many commands they answer."""
        super().__init__()
        self._missing = wanted
        self._room = ROOM + ROOM_PER_COMMAND * wanted
        self._received = 0
        #: What has come of a word that is not all there yet, how much that is, and how much it takes to go on.
        self._pieces: list[bytes] = []
        self._size = 0
        self._needed = 1
        #: Arrays that are not all there yet, with the number of items that are still to come.
        self._open: list[tuple[list[Any], int]] = []

    def feed(self, chunk: bytes) -> bool:
        """Whether all replies are there now. Raises `ProtocolError`."""
        self._received += len(chunk)
        if self._received > self._room:
            raise ProtocolError(TOO_MUCH)
        self._pieces.append(chunk)
        self._size += len(chunk)
        if self._size < self._needed:
            return False
        data = b"".join(self._pieces)
        rest = data[self._read(data) :]
        self._pieces = [rest]
        self._size = len(rest)
        if self._missing:
            return False
        if rest:
            raise ProtocolError(TOO_MANY)
        return True

    def _read(self, data: bytes) -> int:
        """Read what is there; returns how many bytes of it were understood."""
        size, find = len(data), data.find
        at = 0 if self._open else self._read_usual(data)
        while self._missing and at < size:
            end = find(b"\r\n", at)
            if end < 0:
                self._needed = _needed_of_line(data, at)
                return at
            line = data[at + 1 : end]
            after = end + 2
            if data[at] == _BULK:
                length = self._length(line)
                value: Any = None
                if length >= 0:
                    stop = after + length
                    if stop + 2 > size:
                        self._needed = stop + 2 - at
                        return at
                    if data[stop : stop + 2] != b"\r\n":
                        raise ProtocolError(NO_END)
                    value = data[after:stop]
                    after = stop + 2
            else:
                value = self._value(data[at], line)
            at = after
            if self._open:
                self._put(value)
            else:
                self.append(value)
                self._missing -= 1
        self._needed = 1
        return at

    def _read_usual(self, data: bytes) -> int:
        """The same for ids, numbers and OK at the beginning. hiredis, which is C, is given nothing else: it believes
        what is announced."""
        usual = data[: _USUAL.match(data).end()]  # type: ignore[union-attr]
        reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        reader.feed(usual)
        try:
            found = list(iter(reader.gets, _INCOMPLETE))
        except hiredis.ProtocolError:
            return 0
        if reader.has_data() or len(found) > self._missing:
            return 0
        self += found
        self._missing -= len(found)
        return len(usual)

    def _value(self, kind: int, line: bytes) -> Any:
        """What a line says by itself; `_OPENED` of an array whose items follow."""
        if kind not in _KINDS:
            raise ProtocolError(UNKNOWN)
        if len(line) >= MAX_LINE:
            raise ProtocolError(LONG_LINE)
        if kind == _INTEGER:
            return _number(line)
        if kind == _STATUS:
            return line
        if kind == _ERROR:
            return refusal(line)
        length = self._length(line)
        if length <= 0:
            return None if length < 0 else []
        if len(self._open) == MAX_DEPTH:
            raise ProtocolError(TOO_DEEP)
        self._open.append(([], length))
        return _OPENED

    def _length(self, line: bytes) -> int:
        length = _number(line)
        if length < -1:
            raise ProtocolError(NO_NUMBER)
        if length > self._room:
            raise ProtocolError(TOO_MUCH)
        return length

    def _put(self, value: Any) -> None:
        """An item of the innermost array; arrays that are complete with it go into theirs."""
        if value is _OPENED:
            return
        while self._open:
            items, missing = self._open.pop()
            items.append(value)
            if missing > 1:
                self._open.append((items, missing - 1))
                return
            value = items
        self.append(value)
        self._missing -= 1


def refusal(text: bytes) -> ResponseError:
    """An error reply as an exception."""
    return ResponseError(text.decode(errors="replace"))


def _needed_of_line(data: bytes, at: int) -> int:
    """How much there has to be to go on, where a line is not all there yet."""
    if data[at] not in _KINDS:
        raise ProtocolError(UNKNOWN)
    # The last byte may be the first half of the line's end.
    if len(data) - at > MAX_LINE + 1:
        raise ProtocolError(LONG_LINE)
    return len(data) - at + 1


def _number(line: bytes) -> int:
    digits = line[1:] if line[:1] == b"-" else line
    if digits.isdigit() and len(digits) <= _DIGITS and -(2**63) <= (number := int(line)) < 2**63:
        return number
    raise ProtocolError(LONG_LINE if len(line) >= MAX_LINE else NO_NUMBER)
