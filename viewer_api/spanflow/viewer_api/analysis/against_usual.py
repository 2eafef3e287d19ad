"""One flow beside the usual one of its kind: steps that are slower or faster than usual, unusual ones, missing ones.

How long a step usually takes is what the statistics say of its kind; where these know too little, the other flows.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any, Final, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.tree.facts import facts_of
from spanflow.span_processors.tree.tree import NS_PER_MS, Outlook, build_tree, step_key
from spanflow.viewer_api.analysis.rows import (
    ADDED,
    CHANGED,
    FASTER,
    LEAST_MS,
    LEAST_SHARE,
    MISSING,
    SAME,
    SLOWER,
    UNKNOWN,
    Row,
    biggest,
    delta,
    distribution,
    start_of,
    step_side,
    waits_of,
)
from spanflow.viewer_api.analysis.steps import Run, Step, StepKey, long_runs, steps_of
from spanflow.viewer_api.analysis.usual_shape import Place, UsualRun, UsualStep, at_share, start_below, usual_shape
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_tree import FlowTree, tree_of
from spanflow.viewer_api.http.responses import encode
from spanflow.viewer_api.statistics.histogram import Buckets, percentiles, share_below

STATUSES: Final = (SAME, SLOWER, FASTER, CHANGED, ADDED, MISSING, UNKNOWN)
#: Fewer flows, or fewer steps at one place, say nothing about what is usual.
LEAST_FLOWS: Final = 5
#: Of the flows that have its parent: what fewer have is unusual, what as many have is missing where it is not.
_RARE: Final = 0.1
_USUAL: Final = 0.5
#: A step is slower than usual beyond the last of these, and faster before the first.
_SHARES: Final = (0.05, 0.5, 0.95)
_SETTLED: Final = Outlook(alive=frozenset())
_PAUSE: Final = 100


@dataclass(frozen=True, slots=True)
class _Usual:
    """How long something usually takes, in nanoseconds, and of how many that is known."""

    p5: float
    p50: float
    p95: float
    timed: int
    #: `kind`: of all steps of this kind; `flows`: of those at this place.
    of: str
    buckets: Buckets | None = None
    values: Sequence[int] = ()

    def pace(self, duration_ns: int, *, is_open: bool = False) -> str:
        difference = duration_ns - self.p50
        if abs(difference) < max(LEAST_MS * NS_PER_MS, LEAST_SHARE * self.p50):
            return SAME
        if duration_ns > self.p95:
            return SLOWER
        return FASTER if duration_ns < self.p5 and not is_open else SAME

    def percentile(self, duration_ns: int) -> float | None:
        if self.buckets is not None:
            share = share_below(self.buckets, duration_ns)
        else:
            below = sum(value < duration_ns for value in self.values)
            share = (below + self.values.count(duration_ns) / 2) / len(self.values)
        return None if share is None else round(100 * share, 1)

    def row(self) -> Row:
        return {"p50_ms": self.p50 / NS_PER_MS, "p95_ms": self.p95 / NS_PER_MS, "timed": self.timed, "of": self.of}


#: How deep, a row that is made, or a step and what is usual at its place.
_Task: TypeAlias = tuple[int, Row | None, Step | None, UsualStep | None]


@dataclass(slots=True)
class _Comparison:
    durations: Mapping[str, Buckets]
    start_ns: int
    #: Whether enough flows are known to say what is unusual or missing.
    enough: bool
    rows: list[Row] = field(default_factory=list)
    shares: list[int] = field(default_factory=list)

    def walk(self, roots: Sequence[Step], shape: UsualStep) -> None:
        stack = self._level(roots, None, shape, 0)
        while stack:
            if len(self.rows) % _PAUSE == 0:
                time.sleep(0)
            depth, made, step, usual = stack.pop()
            if made is None:
                made = self._step_row(depth, step, usual)
                stack += self._level([] if step is None else step.children, step, usual, depth + 1)
            self.shares.append(made.pop("share"))
            self.rows.append(made)

    def _level(self, siblings: Sequence[Step], parent: Step | None, usual: UsualStep | None, depth: int) -> list[_Task]:
        """What there is to say about children of one step, the last thing first."""
        runs = {} if usual is None else usual.runs
        whole = long_runs(siblings) | {key for key, run in runs.items() if run.is_long}
        waits = waits_of(siblings, parent)
        children = {} if usual is None else usual.children
        equal: dict[StepKey, list[Step]] = {}
        for step in siblings:
            equal.setdefault(step.key, []).append(step)
        absent = self._absent(parent, usual, equal, whole)
        start = start_below(siblings, parent)
        seen: Counter[StepKey] = Counter()
        tasks: list[_Task] = []
        for step, waited in zip(siblings, waits.before, strict=True):
            place = step.key, seen[step.key]
            seen[step.key] += 1
            if place[1] and step.key in whole:
                continue
            here = children.get(place)
            # What is missing stands where it usually is: before what usually comes later.
            offset = _offset_of(here, step, start)
            while absent and absent[-1][0] <= offset:
                tasks.append(self._absence(depth, absent.pop()[1], usual))
            if (row := self._wait_row(depth, waited, None if here is None else here.waits)) is not None:
                tasks.append((depth, row, None, None))
            if step.key in whole:
                tasks.append((depth, self._run_row(depth, equal[step.key], step.key, usual), None, None))
            else:
                tasks.append((depth, None, step, here))
        tasks += [self._absence(depth, place, usual) for _, place in reversed(absent)]
        if siblings:
            after = self._wait_row(depth, waits.after, None if usual is None or parent is None else usual.after)
            if after is not None:
                tasks.append((depth, after, None, None))
        return tasks[::-1]

    def _absent(
        self,
        parent: Step | None,
        usual: UsualStep | None,
        equal: Mapping[StepKey, Sequence[Step]],
        whole: frozenset[StepKey] | set[StepKey],
    ) -> list[tuple[float, Place]]:
        """The usual places that the flow has no step at, and when that usually is: the earliest last. Of a step that
        still runs nothing is missing yet."""
        if usual is None or not self.enough or (parent is not None and parent.facts is not None and parent.facts.open):
            return []
        found: list[tuple[float, Place]] = []
        for place, child in usual.children.items():
            key, number = place
            if key in whole:
                run = usual.runs[key]
                if number == 0 and key not in equal and len(run.counts) >= _USUAL * usual.flows:
                    found.append((_middle(run.offsets), place))
            elif number >= len(equal.get(key, ())) and child.share >= _USUAL:
                found.append((_middle(child.offsets), place))
        return sorted(found, reverse=True)

    def _absence(self, depth: int, place: Place, usual: UsualStep | None) -> _Task:
        assert usual is not None
        if (run := usual.runs[place[0]]).is_long:
            return depth, self._run_row(depth, (), place[0], usual, run), None, None
        return depth, None, None, usual.children[place]

    def _step_row(self, depth: int, step: Step | None, usual: UsualStep | None) -> Row:
        """Of a step, or of one that is missing."""
        key, name = (
            (step.key, step.name) if step is not None else (usual.key, usual.name) if usual else (("", ""), None)
        )
        times = self._times(key[0], name, () if usual is None else usual.durations)
        took = None if step is None else step.duration_ns
        row: Row = {
            "kind": "step",
            "depth": depth,
            "status": MISSING,
            "event_type": key[0] or None,
            "name": name,
            "subject": key[1] or None,
            "a": self._usual_side(usual, times),
            "b": None if step is None else step_side(step, self.start_ns),
            "share": self._share(step, usual, times),
        }
        if step is not None:
            is_open = step.facts is not None and step.facts.open
            pace = UNKNOWN if times is None else times.pace(step.duration_ns, is_open=is_open)
            row["status"] = self._status(step, usual, pace)
            if times is not None:
                row["pace"] = pace
                if not is_open:
                    row["percentile"] = times.percentile(step.duration_ns)
        return row | _difference(row["status"], times, took)

    def _share(self, step: Step | None, usual: UsualStep | None, times: _Usual | None) -> int:
        """How much of the flow's difference is this step's own."""
        own = 0 if step is None else step.self_ns
        if self.enough:
            return own - _middle_of_self(usual)
        if step is None or times is None:
            return 0
        # How much of the time of its kind is its own is not known: no more than it has is.
        return min(own, step.duration_ns - round(times.p50))

    def _status(self, step: Step, usual: UsualStep | None, pace: str) -> str:
        if not self.enough:
            return pace
        if usual is None or usual.share < _RARE:
            return ADDED
        went_well = step.outcome in (None, names.OUTCOME_OK)
        return pace if went_well or usual.well < _USUAL * usual.flows else CHANGED

    def _run_row(
        self, depth: int, steps: Sequence[Step], key: StepKey, usual: UsualStep | None, run: UsualRun | None = None
    ) -> Row:
        """Equal siblings, wherever they stand among the others, as a whole."""
        run = run or (None if usual is None else usual.runs.get(key))
        name = steps[0].name if steps else run.name if run is not None else None
        times = self._times(key[0], name, () if run is None else run.durations)
        side = None
        if run is not None and usual is not None and self.enough:
            side = {
                "flows": len(run.counts),
                "share": round(len(run.counts) / usual.flows, 3),
                "count": median_low(run.counts),
                "count_p95": at_share(run.counts, 0.95),
                "total_ms": median_low(run.totals) / NS_PER_MS,
            }
        if times is not None:
            side = (side or {"flows": 0, "share": 0.0}) | times.row()
        took = median_low(step.duration_ns for step in steps) if steps else None
        pace = UNKNOWN if times is None or took is None else times.pace(took)
        status = pace
        if self.enough:
            if not steps:
                status = MISSING
            elif run is None or usual is None or len(run.counts) < _RARE * usual.flows:
                status = ADDED
            elif len(steps) > at_share(run.counts, 0.95) or len(steps) < at_share(run.counts, 0.05):
                status = CHANGED
        share = sum(step.duration_ns for step in steps)
        if self.enough:
            share -= 0 if run is None else median_low(run.totals)
        else:
            share -= share if times is None else len(steps) * round(times.p50)
        row: Row = {
            "kind": "run",
            "depth": depth,
            "status": status,
            "event_type": key[0] or None,
            "name": name,
            "subject": key[1] or None,
            "a": side,
            "b": distribution(Run(key, list(steps))) if steps else None,
            **_difference(status, times, took),
            "share": share,
        }
        if pace != UNKNOWN:
            row["pace"] = pace
        return row

    def _wait_row(self, depth: int, waited: int, usual: Sequence[int] | None) -> Row | None:
        times = _usual_of(usual) if usual is not None and self.enough else None
        if max(waited, 0 if times is None else times.p50) < LEAST_MS * NS_PER_MS:
            return None
        status = times.pace(waited) if times is not None else ADDED if self.enough else UNKNOWN
        row: Row = {
            "kind": "waiting",
            "depth": depth,
            "status": status,
            "a": None if times is None else times.row(),
            "b": {"duration_ms": waited / NS_PER_MS},
            **_difference(status, times, waited),
            # It is part of the parent's own time, which the parent's row has already.
            "share": 0,
        }
        if times is not None:
            row["pace"] = status
        return row

    def _times(self, event_type: str, name: str | None, durations: Sequence[int]) -> _Usual | None:
        buckets = self.durations.get(step_key({"event_type": event_type, "name": name or ""}))
        if buckets:
            p5, p50, p95 = (value or 0.0 for value in percentiles(buckets, _SHARES))
            return _Usual(p5, p50, p95, sum(buckets.values()), "kind", buckets)
        return _usual_of(durations)

    def _usual_side(self, usual: UsualStep | None, times: _Usual | None) -> Row | None:
        if usual is None or not self.enough:
            return None if times is None else {"flows": 0, "share": 0.0, **times.row()}
        side: Row = {"flows": usual.flows, "share": round(usual.share, 3)}
        if usual.self_times:
            side["self_ms"] = median_low(usual.self_times) / NS_PER_MS
        return side if times is None else side | times.row()


def written_against_usual(
    flows: Sequence[PackedFlow], outlook: Outlook, durations: Mapping[str, Buckets], kind: Mapping[str, Any]
) -> bytes:
    """The whole answer, as a thread or the worker makes it: of the first flow, by the others and by how long steps of
    each kind take."""
    flow, *others = flows
    shape = usual_shape(_steps_of_each(others))
    return encode(against_usual(tree_of(flow.unpacked(), outlook), shape, durations, kind))


def against_usual(
    tree: FlowTree, shape: UsualStep, durations: Mapping[str, Buckets], kind: Mapping[str, Any]
) -> dict[str, Any]:
    """A difference is positive where the flow took longer than usual."""
    roots = steps_of(tree.tree, tree.facts)
    enough = shape.flows >= LEAST_FLOWS
    comparison = _Comparison(durations, start_of(roots), enough)
    comparison.walk(roots, shape if enough else UsualStep(("", "")))
    counts = Counter(row["status"] for row in comparison.rows if row["kind"] != "waiting")
    times = _usual_of(shape.durations)
    took = sum(step.duration_ns for step in roots[:1])
    return {
        "a": {**kind, "flows": shape.flows, "enough": enough}
        | ({"p50_ms": None, "p95_ms": None} if times is None else times.row()),
        "b": tree.head,
        **_difference(None, times, took),
        "counts": {status: counts[status] for status in STATUSES},
        "biggest": biggest(comparison.shares),
        "rows": comparison.rows,
    }


def _steps_of_each(flows: Sequence[PackedFlow]) -> Iterator[list[Step]]:
    for packed in flows:
        tree = build_tree(packed.unpacked().entries, _SETTLED)
        yield steps_of(tree, facts_of(tree))


def _usual_of(durations: Sequence[int]) -> _Usual | None:
    if len(durations) < LEAST_FLOWS:
        return None
    p5, p50, p95 = (at_share(durations, share) for share in _SHARES)
    return _Usual(p5, p50, p95, len(durations), "flows", values=durations)


def _difference(status: str | None, usual: _Usual | None, took: int | None) -> Row:
    """What is unusual adds all of its time; otherwise there is no difference from what is not known."""
    if usual is None:
        return delta(None, took) if status == ADDED else {"delta_ms": None, "delta_percent": None}
    return delta(round(usual.p50), took)


def _offset_of(usual: UsualStep | None, step: Step, start: int) -> float:
    if usual is not None and usual.offsets:
        return _middle(usual.offsets)
    return 0 if step.facts is None else step.facts.start_ns - start


def _middle(values: Sequence[int]) -> float:
    return median_low(values) if values else 0


def _middle_of_self(usual: UsualStep | None) -> int:
    return median_low(usual.self_times) if usual is not None and usual.self_times else 0
