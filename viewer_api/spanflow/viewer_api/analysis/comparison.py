"""Two flows beside each other, step by step: what is new, what is gone, and where the time went.

Nothing recurses, and two flows of ten thousand spans take less than a second.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from statistics import median_low
from typing import Any, Final, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.tree.http_answer import outcome_of
from spanflow.span_processors.tree.tree import NS_PER_MS, Outlook
from spanflow.viewer_api.analysis.alignment import Pair, aligned
from spanflow.viewer_api.analysis.steps import Run, Sibling, Step, folded, long_runs, steps_of
from spanflow.viewer_api.analysis.value_differences import MAX_DIFFERENCES, differences, is_argument, shown
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_tree import FlowTree, tree_of
from spanflow.viewer_api.http.responses import encode

SAME: Final = "same"
SLOWER: Final = "slower"
FASTER: Final = "faster"
CHANGED: Final = "changed"
ADDED: Final = "added"
REMOVED: Final = "removed"
STATUSES: Final = (SAME, SLOWER, FASTER, CHANGED, ADDED, REMOVED)
#: Less is noise: both must be passed before a step counts as slower or faster.
LEAST_MS: Final = 1.0
LEAST_SHARE: Final = 0.1
#: Rows that are named as those with the greatest differences.
_TOP: Final = 5
_MAX_IDS: Final = 20
#: Rows after which other threads get the interpreter.
_PAUSE: Final = 100
Row: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class _Waits:
    """How long nothing ran, before each of some siblings and after the last of them."""

    before: list[int]
    after: int


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
        waits = _waits(left, parents[0]), _waits(right, parents[1])
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
            "name": either.node.entry.get("name") if either.node.entry is not None else None,
            "subject": either.key[1] or None,
            "a": None if one is None else _step_side(one, self.starts[0]),
            "b": None if other is None else _step_side(other, self.starts[1]),
            **_delta(*(None if step is None else step.duration_ns for step in (one, other))),
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
    sides = steps_of(one), steps_of(other)
    starts = _start_of(sides[0]), _start_of(sides[1])
    found = _Comparison(starts)
    found.walk(*sides)
    counts = Counter(row["status"] for row in found.rows if row["kind"] != "waiting")
    totals = [sum(step.duration_ns for step in side[:1]) for side in sides]
    biggest = nlargest(_TOP, range(len(found.rows)), key=lambda place: (abs(found.shares[place]), -place))
    return {
        "a": one.head,
        "b": other.head,
        **_delta(*totals),
        "counts": {status: counts[status] for status in STATUSES},
        "biggest": [place for place in biggest if found.shares[place]],
        "rows": found.rows,
    }


def _pairs(one: Sequence[Sibling], other: Sequence[Sibling]) -> Iterator[Pair]:
    """Siblings that are the same step; between those, steps of one type that stand for each other."""
    left: list[int] = []
    right: list[int] = []
    for a, b in aligned([step.key for step in one], [step.key for step in other]):
        if a is not None and b is not None:
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


def _steps_in(sibling: Sibling) -> list[Step]:
    return sibling.steps if isinstance(sibling, Run) else [sibling]


def _waits(siblings: Sequence[Sibling], parent: Step | None) -> _Waits:
    """The gaps between siblings, within their parent's time. A child that runs beside another one waits for none."""
    if parent is None or parent.facts is None:
        return _Waits([0] * len(siblings), 0)
    reached, end = parent.facts.start_ns, parent.facts.end_ns
    before = []
    for sibling in siblings:
        waited = 0
        for number, step in enumerate(_steps_in(sibling)):
            if step.facts is None:
                continue
            if not number:
                waited = max(0, min(step.facts.start_ns, end) - reached)
            reached = max(reached, step.facts.end_ns)
        before.append(waited)
    return _Waits(before, max(0, end - reached))


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
        **_delta(one, other),
        # It is part of the parent's own time, which the parent's row has already.
        "share": 0,
    }


def _step_side(step: Step, start_ns: int) -> Row:
    facts, entry = step.facts, step.node.entry
    side: Row = {
        "node_id": step.node.node_id,
        "offset_ms": None if facts is None else (facts.start_ns - start_ns) / NS_PER_MS,
        "duration_ms": step.duration_ns / NS_PER_MS,
        "self_ms": step.self_ns / NS_PER_MS,
        "critical_ms": 0.0 if facts is None else facts.critical_ns / NS_PER_MS,
        "outcome": None if entry is None else outcome_of(entry).outcome,
        "open": facts is not None and facts.open,
    }
    if step.halves:
        side["halves"] = [node.node_id for node in step.halves]
    return side


def _run_row(depth: int, one: Run | None, other: Run | None) -> Row:
    either = other or one
    assert either is not None
    a, b = (None if run is None else _distribution(run) for run in (one, other))
    row: Row = {
        "kind": "run",
        "depth": depth,
        "status": ADDED if one is None else REMOVED,
        "event_type": either.key[0] or None,
        "name": either.steps[0].node.entry.get("name") if either.steps[0].node.entry is not None else None,
        "subject": either.key[1] or None,
        "a": a,
        "b": b,
        **_delta(*(None if run is None else _median(run) for run in (one, other))),
        "share": sum(step.duration_ns for step in (other.steps if other else ()))
        - sum(step.duration_ns for step in (one.steps if one else ())),
    }
    if one is not None and other is not None:
        row["pace"] = _pace(_median(one), _median(other))
        row["status"] = CHANGED if a["errors"] != b["errors"] else row["pace"]  # type: ignore[index]
    return row


def _median(run: Run) -> int:
    return median_low(step.duration_ns for step in run.steps)


def _distribution(run: Run) -> Row:
    durations = sorted(step.duration_ns for step in run.steps)
    return {
        "count": len(durations),
        "total_ms": sum(durations) / NS_PER_MS,
        "min_ms": durations[0] / NS_PER_MS,
        "p50_ms": median_low(durations) / NS_PER_MS,
        "p95_ms": durations[-(-95 * len(durations) // 100) - 1] / NS_PER_MS,
        "max_ms": durations[-1] / NS_PER_MS,
        "errors": sum(
            step.node.entry is not None and step.node.entry.get("status") == names.STATUS_ERROR for step in run.steps
        ),
        "node_ids": [step.node.node_id for step in run.steps[:_MAX_IDS]],
    }


def _delta(one: int | None, other: int | None) -> Row:
    difference = (other or 0) - (one or 0)
    return {
        "delta_ms": difference / NS_PER_MS,
        "delta_percent": round(100 * difference / one, 1) if one and other is not None else None,
    }


def _pace(one: int, other: int) -> str:
    difference = other - one
    if abs(difference) < max(LEAST_MS * NS_PER_MS, LEAST_SHARE * one):
        return SAME
    return SLOWER if difference > 0 else FASTER


def _start_of(roots: Sequence[Step]) -> int:
    return min((step.facts.start_ns for step in roots if step.facts is not None), default=0)
