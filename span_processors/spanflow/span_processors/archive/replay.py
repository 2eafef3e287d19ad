"""What waits in the spool goes into Postgres, in order, by the same idempotent write as everything else."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spanflow.span_processors.archive.poison import UNREADABLE, Poison
from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.flow_part import FlowPart, UnreadablePart
from spanflow.span_processors.spool.spool import Spool, Unreadable
from spanflow.span_processors.spool.spool_segment import Damage, read_segment
from spanflow.span_processors.stages.sink import Unavailable

_log = logging.getLogger(__name__)

#: After so many failures of the very same batch while the server is there, the batch itself is under suspicion.
PATIENCE: Final = 3
#: Parts in one batch.
_BATCH: Final = 200
#: Seconds between two looks at the folders of other processes.
_LOOK_EVERY: Final = 10.0
#: Seconds after which a segment that cannot be read is tried again: doubled each time, to this at most.
_FIRST_RETRY: Final = 10.0
_LAST_RETRY: Final = 300.0


@dataclass(slots=True)
class _Segment:
    """A segment that is being replayed, and how far."""

    path: Path
    parts: list[FlowPart] = field(default_factory=list)
    done: int = 0


class Replay:
    """Replays a batch at a time. Used by one thread, the one that owns the spool.

    `write` stores parts or raises `Unavailable`; its second argument tells that this batch has failed several times.
    """

    def __init__(
        self,
        spool: Spool,
        write: Callable[[Sequence[FlowPart], bool], None],
        keep_aside: Callable[[Sequence[Poison]], None],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._spool = spool
        self._write = write
        self._keep_aside = keep_aside
        self._clock = clock or SystemClock()
        self._segment: _Segment | None = None
        self._failures = 0
        self._look_at = 0.0
        #: What cannot be read, or not be removed, for now: when it is tried again, and after which pause.
        self._skipped: dict[Path, tuple[float, float]] = {}
        #: Parts that came out of the spool into Postgres, so far.
        self.replayed = 0

    @property
    def unreadable(self) -> int:
        """Segments and folders that had to be left out."""
        return len(self._skipped)

    @property
    def next_look(self) -> float:
        """Seconds until it is time to look for spools of processes that are gone."""
        return max(0.0, self._look_at - self._clock.monotonic())

    def step(self) -> bool:
        """Replay one batch; False when nothing waits. Raises `Unavailable` when Postgres does not take it."""
        self._look_for_orphans()
        segment = self._segment or self._next_segment()
        if segment is None:
            return False
        batch = segment.parts[segment.done : segment.done + _BATCH]
        if batch:
            try:
                self._write(batch, self._failures >= PATIENCE)
            except Unavailable:
                self._failures += 1
                raise
            self._failures = 0
            segment.done += len(batch)
            self.replayed += len(batch)
        if segment.done >= len(segment.parts):
            self._segment = None
            try:
                self._spool.replayed(segment.path)
            except OSError as why:
                # What is in it is stored, and stored again later: that does no harm.
                self._skip(Unreadable(segment.path, why))
            else:
                self._readable_again(segment.path)
        return True

    def forget(self) -> None:
        """In a forked child: the segment in hand is the parent's."""
        self._segment, self._failures, self.replayed, self._look_at = None, 0, 0, 0.0
        self._skipped.clear()

    def _look_for_orphans(self) -> None:
        if self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + _LOOK_EVERY
            if taken := self._spool.take_over():
                _log.info("taking over the spool of %d dead processes", taken)

    def _next_segment(self) -> _Segment | None:
        """The next one that can be read: one that cannot holds up no other, and is tried again after a while."""
        now = self._clock.monotonic()
        for gone in [path for path in self._skipped if not path.exists()]:
            del self._skipped[gone]
        skip = {path for path, (again_at, _) in self._skipped.items() if now < again_at}
        while True:
            try:
                path = self._spool.next_segment(skip)
                return None if path is None else self._opened(path)
            except Unreadable as why:
                self._skip(why)
                skip.add(why.path)

    def _skip(self, why: Unreadable) -> None:
        skipped = self._skipped.get(why.path)
        if skipped is None:
            _log.warning("a part of the spool is left out for now, the others are replayed: %s", why)
        pause = _FIRST_RETRY if skipped is None else min(2 * skipped[1], _LAST_RETRY)
        self._skipped[why.path] = (self._clock.monotonic() + pause, pause)

    def _readable_again(self, path: Path) -> None:
        if self._skipped.pop(path, None) is not None:
            _log.warning("a part of the spool that was left out has been replayed: %s", path)
        self._skipped.pop(path.parent, None)

    def _opened(self, path: Path) -> _Segment:
        segment = _Segment(path)
        unreadable: list[Poison] = []
        try:
            items = list(read_segment(path))
        except OSError as why:
            raise Unreadable(path, why) from why
        for item in items:
            if isinstance(item, Damage):
                self._set_aside(path, item)
                continue
            try:
                segment.parts.append(FlowPart.from_bytes(item.payload))
            except UnreadablePart as why:
                unreadable.append(Poison(UNREADABLE, None, None, path.parent.name, str(why), item.payload))
        if unreadable:
            self._keep_aside(unreadable)
        self._segment = segment
        return segment

    def _set_aside(self, path: Path, damage: Damage) -> None:
        name = f"{path.parent.name}-{path.stem}-{damage.start}.torn"
        kept = self._spool.set_aside(name, damage.raw)
        _log.warning(
            "%d bytes of a spooled segment are no whole record (a write that was cut off); %s",
            len(damage.raw),
            f"kept as {name}" if kept else "there is no room to keep them",
        )
