"""Two flows beside each other, step by step: what is new, what is gone, and where the time went.

Nothing recurses, and two flows of ten thousand spans take less than a second.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any, Final, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.tree.tree import NS_PER_MS, Outlook
from spanflow.viewer_api.analysis.alignment import Pair, aligned
from spanflow.viewer_api.analysis.rows import (
    ADDED,
    CHANGED,
    FASTER,
    LEAST_MS,
    LEAST_SHARE,
    REMOVED,
    SAME,
    SLOWER,
    Row,
    biggest,
    delta,
    distribution,
    start_of,
    step_side,
    waits_of,
)
from spanflow.viewer_api.analysis.steps import Run, Sibling, Step, folded, long_runs, steps_of
from spanflow.viewer_api.analysis.value_differences import MAX_DIFFERENCES, differences, is_argument, shown
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_tree import FlowTree, tree_of
from spanflow.viewer_api.http.responses import encode

STATUSES: Final = (SAME, SLOWER, FASTER, CHANGED, ADDED, REMOVED)
#: Rows after which other threads get the interpreter.
_PAUSE: Final = 100


@dataclass(slots=True)
class _Comparison:
    """The rows that were made, and what is still to be compared: rows, or pairs of steps."""

    starts: tuple[int, int]
    rows: list[Row] = field(default_factory=list)
    #: How much of the flows' difference each row explains by itself, in nanoseconds.
    shares: list[int] = field(default_factory=list)

    def walk(self, one: Sequence[Step], other: Sequence[Step]) -> None:
        stack = self._level(one, other, 0, (None, None))
        while stack:
            if len(self.rows) % _PAUSE == 0:
                time.sleep(0)
            depth, made, left, right = stack.pop()
            if made is not None:
                self._add(made)
            elif isinstance(left or right, Run):
                self._add(_run_row(depth, left, right))  # type: ignore[arg-type]
            else:
                assert not isinstance(left, Run) and not isinstance(right, Run)
                self._add(self._step_row(depth, left, right))
                one, other = ([] if step is None else step.children for step in (left, right))
                stack += self._level(one, other, depth + 1, (left, right))

    def _add(self, row: Row) -> None:
        self.shares.append(row.pop("share"))
        self.rows.append(row)

    def _level(
        self,
        one: Sequence[Step],
        other: Sequence[Step],
        depth: int,
        parents: tuple[Step | None, Step | None],
    ) -> "list[_Task]":
        """What there is to do about the children of a pair of steps, the last thing first."""
        if not one and not other:
            return []
        keys = long_runs(one, other)
        left, right = folded(one, keys), folded(other, keys)
        waits = waits_of(left, parents[0]), waits_of(right, parents[1])
        tasks: list[_Task] = []
        for a, b in _pairs(left, right):
            waited = (
                None if a is None else waits[0].before[a],
                None if b is None else waits[1].before[b],
            )
            if (row := _wait_row(depth, *waited)) is not None:
                tasks.append((depth, row, None, None))
            tasks.append((depth, None, None if a is None else left[a], None if b is None else right[b]))
        after = waits[0].after if one else None, waits[1].after if other else None
        if (row := _wait_row(depth, *after)) is not None:
            tasks.append((depth, row, None, None))
        return tasks[::-1]

    def _step_row(self, depth: int, one: Step | None, other: Step | None) -> Row:
        either = other or one
        assert either is not None
        row: Row = {
            "kind": "step",
            "depth": depth,
            "status": ADDED if one is None else REMOVED,
            "event_type": either.key[0] or None,
            "name": either.name,
            "subject": either.key[1] or None,
            "a": None if one is None else step_side(one, self.starts[0]),
            "b": None if other is None else step_side(other, self.starts[1]),
            **delta(*(None if step is None else step.duration_ns for step in (one, other))),
            "share": (0 if other is None else other.self_ns) - (0 if one is None else one.self_ns),
        }
        if one is not None and other is not None:
            changes = list(differences(one.attributes(), other.attributes()))
            row["pace"] = _pace(one.duration_ns, other.duration_ns)
            changed = (
                one.key != other.key
                or row["a"]["outcome"] != row["b"]["outcome"]
                or any(is_argument(path) for path, _, _ in changes)
            )
            row["status"] = CHANGED if changed else row["pace"]
            row["differences"] = [
                {"path": path, "a": shown(left), "b": shown(right)} for path, left, right in changes[:MAX_DIFFERENCES]
            ]
            if len(changes) > MAX_DIFFERENCES:
                row["more_differences"] = len(changes) - MAX_DIFFERENCES
        return row


_Task: TypeAlias = tuple[int, Row | None, Sibling | None, Sibling | None]


def written_comparison(flows: Sequence[PackedFlow], outlooks: Sequence[Outlook]) -> bytes:
    """The whole answer, as a thread or the worker makes it."""
    one, other = (tree_of(packed.unpacked(), outlook) for packed, outlook in zip(flows, outlooks, strict=True))
    return encode(compare(one, other))


def compare(one: FlowTree, other: FlowTree) -> dict[str, Any]:
    """`other` measured against `one`: a difference is positive where `other` took longer."""
    sides = steps_of(one.tree, one.facts), steps_of(other.tree, other.facts)
    starts = start_of(sides[0]), start_of(sides[1])
    found = _Comparison(starts)
    found.walk(*sides)
    counts = Counter(row["status"] for row in found.rows if row["kind"] != "waiting")
    totals = [sum(step.duration_ns for step in side[:1]) for side in sides]
    return {
        "a": one.head,
        "b": other.head,
        **delta(*totals),
        "counts": {status: counts[status] for status in STATUSES},
        "biggest": biggest(found.shares),
        "rows": found.rows,
    }


def _pairs(one: Sequence[Sibling], other: Sequence[Sibling]) -> Iterator[Pair]:
    """Siblings that are the same step; between those, steps of one type that stand for each other."""
    left: list[int] = []
    right: list[int] = []
    for a, b in aligned([step.key for step in one], [step.key for step in other]):
        if a is not None and b is not None:
            if left or right:
                yield from _replaced(one, other, left, right)
                left, right = [], []
            yield a, b
        elif a is not None:
            left.append(a)
        elif b is not None:
            right.append(b)
    yield from _replaced(one, other, left, right)


def _replaced(
    one: Sequence[Sibling], other: Sequence[Sibling], left: Sequence[int], right: Sequence[int]
) -> Iterator[Pair]:
    """Another model or another tool at the same place is one step that changed. Plain spans have nothing in common but
    that they are spans."""
    types = [(_changeable(one[place]) or ("a", place)) for place in left]
    others = [(_changeable(other[place]) or ("b", place)) for place in right]
    for a, b in aligned(types, others):
        yield None if a is None else left[a], None if b is None else right[b]


def _changeable(sibling: Sibling) -> str | None:
    event_type = sibling.key[0]
    return None if isinstance(sibling, Run) or event_type in ("", names.PLAIN_SPAN) else event_type


def _wait_row(depth: int, one: int | None, other: int | None) -> Row | None:
    """A row for the time in which nothing ran; None when it is not worth one."""
    if max(one or 0, other or 0) < LEAST_MS * NS_PER_MS:
        return None
    pace = _pace(one or 0, other or 0)
    return {
        "kind": "waiting",
        "depth": depth,
        "status": ADDED if one is None else REMOVED if other is None else pace,
        "a": None if one is None else {"duration_ms": one / NS_PER_MS},
        "b": None if other is None else {"duration_ms": other / NS_PER_MS},
        **delta(one, other),
        # It is part of the parent's own time, which the parent's row has already.
        "share": 0,
    }


def _run_row(depth: int, one: Run | None, other: Run | None) -> Row:
    either = other or one
    assert either is not None
    a, b = (None if run is None else distribution(run) for run in (one, other))
    row: Row = {
        "kind": "run",
        "depth": depth,
        "status": ADDED if one is None else REMOVED,
        "event_type": either.key[0] or None,
        "name": either.steps[0].name,
        "subject": either.key[1] or None,
        "a": a,
        "b": b,
        **delta(*(None if run is None else _median(run) for run in (one, other))),
        "share": sum(step.duration_ns for step in (other.steps if other else ()))
        - sum(step.duration_ns for step in (one.steps if one else ())),
    }
    if one is not None and other is not None:
        row["pace"] = _pace(_median(one), _median(other))
        row["status"] = CHANGED if a["errors"] != b["errors"] else row["pace"]  # type: ignore[index]
    return row


def _median(run: Run) -> int:
    return median_low(step.duration_ns for step in run.steps)


def _pace(one: int, other: int) -> str:
    difference = other - one
    if abs(difference) < max(LEAST_MS * NS_PER_MS, LEAST_SHARE * one):
        return SAME
    return SLOWER if difference > 0 else FASTER
