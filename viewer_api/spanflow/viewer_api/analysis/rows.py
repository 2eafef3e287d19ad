"""What rows of a comparison are made of: what one flow says of a step or of many equal ones, and what lies between."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from statistics import median_low
from typing import Any, Final, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.tree.tree import NS_PER_MS
from spanflow.viewer_api.analysis.steps import Run, Sibling, Step

SAME: Final = "same"
SLOWER: Final = "slower"
FASTER: Final = "faster"
CHANGED: Final = "changed"
ADDED: Final = "added"
REMOVED: Final = "removed"
MISSING: Final = "missing"
#: Nothing is known to compare it with.
UNKNOWN: Final = "unknown"
#: Less is noise: both must be passed before a step counts as slower or faster.
LEAST_MS: Final = 1.0
LEAST_SHARE: Final = 0.1
#: Rows that are named as those with the greatest differences.
_TOP: Final = 5
_MAX_IDS: Final = 20
Row: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class Waits:
    """How long nothing ran, before each of some siblings and after the last of them."""

    before: list[int]
    after: int


def waits_of(siblings: Sequence[Sibling], parent: Step | None) -> Waits:
    """The gaps between siblings, within their parent's time. A child that runs beside another one waits for none."""
    if parent is None or parent.facts is None:
        return Waits([0] * len(siblings), 0)
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
    return Waits(before, max(0, end - reached))


def _steps_in(sibling: Sibling) -> list[Step]:
    return sibling.steps if isinstance(sibling, Run) else [sibling]


def step_side(step: Step, start_ns: int) -> Row:
    facts = step.facts
    side: Row = {
        "node_id": step.node.node_id,
        "offset_ms": None if facts is None else (facts.start_ns - start_ns) / NS_PER_MS,
        "duration_ms": step.duration_ns / NS_PER_MS,
        "self_ms": step.self_ns / NS_PER_MS,
        "critical_ms": 0.0 if facts is None else facts.critical_ns / NS_PER_MS,
        "outcome": step.outcome,
        "open": facts is not None and facts.open,
    }
    if step.halves:
        side["halves"] = [node.node_id for node in step.halves]
    return side


def distribution(run: Run) -> Row:
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


def delta(one: int | None, other: int | None) -> Row:
    difference = (other or 0) - (one or 0)
    return {
        "delta_ms": difference / NS_PER_MS,
        "delta_percent": round(100 * difference / one, 1) if one and other is not None else None,
    }


def biggest(shares: Sequence[int]) -> list[int]:
    """Places of the rows that explain most of the difference between two flows."""
    places = nlargest(_TOP, range(len(shares)), key=lambda place: (abs(shares[place]), -place))
    return [place for place in places if shares[place]]


def start_of(roots: Sequence[Step]) -> int:
    return min((step.facts.start_ns for step in roots if step.facts is not None), default=0)
