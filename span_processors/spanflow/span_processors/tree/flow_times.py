"""When a flow began and ended: what its root says, not what every clock says that took part.

A span of another process, or one with a wrong start, may lie anywhere in time. Its times are kept as they came; the
flow's own do not follow them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event

#: A flow lasts a day at most, so what lies further off has a wrong clock, also in the root's own process.
_DAY_NS: Final = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class FlowWindow:
    """The time of a flow's root. `end_ns` is None while it is open."""

    start_ns: int
    end_ns: int | None
    process: str | None

    def leaves_out(self, entry: Event) -> bool:
        """Whether a span below the root lies outside of its flow, so that its clock must have been wrong.

        What a process of its own does after the root has ended is only its background work, for a day.
        """
        begun = _time(entry, "start_ns")
        ended = _time(entry, "end_ns") if entry["phase"] == names.END else None
        at = ended if begun is None else begun
        if at is None or entry.get("parent_id") is None:
            return False
        if at < self.start_ns:
            return True
        if self.end_ns is None:
            return False
        last = max(at, ended or at)
        return last > self.end_ns + _DAY_NS or (at > self.end_ns and entry.get("process") != self.process)


def window_of(root: Event | None) -> FlowWindow | None:
    """The window of a flow with this root; None without a root that says when it began."""
    start = _time(root, "start_ns") if root is not None and root.get("parent_id") is None else None
    if root is None or start is None:
        return None
    end = _time(root, "end_ns") if root["phase"] == names.END else None
    return FlowWindow(start, None if end is None else max(start, end), root.get("process"))


def root_of(in_order: Sequence[Event]) -> Event | None:
    """The first entry without a parent that says when it began."""
    for entry in in_order:
        if entry.get("parent_id") is None and "start_ns" in entry:
            return entry
    return None


def started_at(in_order: Sequence[Event]) -> int | None:
    """When a flow began: with its root. Before that has come, with the first of its spans whose clock agrees with most
    of them."""
    window = window_of(root_of(in_order))
    if window is not None:
        return window.start_ns
    starts = [start for entry in in_order if (start := _time(entry, "start_ns")) is not None]
    if not starts:
        return None
    middle = starts[len(starts) // 2]
    return next(start for start in starts if start >= middle - _DAY_NS)


def last_heard(in_order: Sequence[Event], started_ns: int) -> int:
    """The last moment of a flow whose root never ended, as far as clocks can be believed."""
    moments = (_time(entry, name) for entry in in_order for name in ("start_ns", "updated_ns", "end_ns"))
    believed = [at for at in moments if at is not None and started_ns <= at <= started_ns + 2 * _DAY_NS]
    return max(believed, default=started_ns)


def outside_count(in_order: Sequence[Event]) -> int:
    """How many spans lie outside of their flow."""
    root = root_of(in_order)
    window = window_of(root)
    if window is None:
        return 0
    if in_order[0] is root and window.end_ns is not None and len({entry.get("process") for entry in in_order}) == 1:
        # The usual case: only what lies days ahead could be outside.
        latest = max([int(entry.get("end_ns") or entry.get("start_ns") or 0) for entry in in_order])
        if latest <= window.end_ns + _DAY_NS:
            return 0
    return sum(map(window.leaves_out, in_order))


def _time(entry: Event, name: str) -> int | None:
    value = entry.get(name)
    return int(value) if isinstance(value, str) else None
