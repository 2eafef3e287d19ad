"""Commands and replies in the native core. Twins of `resp_commands.py` and `resp_replies.py`, which do all of it where
the core fails: `native/binding/src/resp.rs` says what the core leaves to them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from spanflow.span_processors.native import NativeCore
from spanflow.span_processors.redis.mirror_items import MirrorItem, StreamEntry
from spanflow.span_processors.redis.resp_commands import RawCommands
from spanflow.span_processors.redis.resp_replies import ProtocolError, RawReplies, refusal


class NativeCommands(RawCommands):
    """Commands as RESP bytes; the entries of a batch in one call."""

    __slots__ = ("_core",)

    def __init__(self, core: NativeCore) -> None:
        super().__init__()
        self._core = core

    def add_entries(self, batch: Sequence[MirrorItem], at: int, now: float) -> int:
        done = self._core.packed_entries(batch, at, now, StreamEntry)
        if done is None:
            return super().add_entries(batch, at, now)
        written, place = done
        if place > at:
            self.parts.append(written)
            self.number += place - at
        return int(place)

    def add(self, *words: bytes) -> None:
        written = self._core.packed_command(words)
        if written is None:
            super().add(*words)
            return
        self.parts.append(written)
        self.number += 1


class NativeReplies:
    """Replies as RESP bytes; they become Python's objects only when one of them is looked at."""

    def __init__(self, core: NativeCore, wanted: int) -> None:
        self._core = core
        self._wanted = wanted
        self._reader = core.reply_reader(wanted)
        #: For Python, should the core fail halfway; as bounded as what the core keeps.
        self._fed: list[bytes] = []
        self._read: RawReplies | None = None
        self._listed: list[Any] | None = None

    def feed(self, chunk: bytes) -> bool:
        """Whether all replies are there now. Raises `ProtocolError`."""
        self._fed.append(chunk)
        if self._read is None:
            result = self._core.fed(self._reader, chunk)
            if result is not None:
                complete, problem = result
                if problem:
                    raise ProtocolError(problem)
                return bool(complete)
            return self._read_again()
        return self._read.feed(chunk)

    def _read_again(self) -> bool:
        self._read = RawReplies(self._wanted)
        return [self._read.feed(chunk) for chunk in self._fed][-1]

    @property
    def all_well(self) -> bool:
        return self._read.all_well if self._read is not None else bool(self._reader.all_well)

    def __len__(self) -> int:
        return self._wanted

    def __getitem__(self, place: int, /) -> Any:
        return self._list()[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._list())

    def _list(self) -> list[Any]:
        if self._listed is None and self._read is None:
            self._listed = self._core.listed(self._reader, refusal)
            if self._listed is None:
                self._read_again()
        return self._listed if self._listed is not None else self._read  # type: ignore[return-value]
