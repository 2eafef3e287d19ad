"""What can be computed from a tree: where the time went.

`duration` is start to end; `self` is what no child accounts for; `critical` is the part of a span's own time without
which the flow would have been shorter. Nothing recurses, and open spans count up to now.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.flow_outline import NO_PARENT, Outline
from spanflow.span_processors.tree.flow_times import outside_count
from spanflow.span_processors.tree.tree import Node, Tree, time_of, tree_in_order

_TIMES: Final = ("start_ns", "updated_ns", "end_ns")


@dataclass(slots=True)
class NodeFacts:
    """Times of one node in nanoseconds. A placeholder spans its children."""

    start_ns: int
    end_ns: int
    open: bool
    self_ns: int = 0
    critical_ns: int = 0

    @property
    def duration_ns(self) -> int:
        return self.end_ns - self.start_ns

    @property
    def on_critical_path(self) -> bool:
        return self.critical_ns > 0


def facts_of(tree: Tree, now_ns: int | None = None) -> dict[str, NodeFacts]:
    """The facts of every node whose times are known, by node id. Without `now_ns`, open spans reach as far as the
    newest moment that any event tells of."""
    until = now_ns
    if until is None and any(not node.ended for node in tree.nodes.values()):
        until = _newest_moment(node.entry for node in tree.nodes.values())
    facts: dict[str, NodeFacts] = {}
    for node in reversed(list(tree.walk())):  # children before their parents
        times = _times(node, facts, until)
        if times is not None:
            facts[node.node_id] = times
            times.self_ns = _self_time(node, facts)
    for root in tree.roots:
        if root.node_id in facts:
            _mark_critical_path(root, facts)
    return facts


def critical_path(tree: Tree, facts: Mapping[str, NodeFacts]) -> list[str]:
    """The ids of the nodes that determined how long the flow took, in reading order."""
    return [node.node_id for node in tree.walk() if node.node_id in facts and facts[node.node_id].on_critical_path]


def self_times(in_order: Sequence[Event], outline: Outline) -> list[int | None]:
    """The self time of each place of the outline whose span has ended, None for all others: what `facts_of` says of
    the same entries, in a fraction of its time."""
    if outside_count(in_order):
        facts = facts_of(tree_in_order(in_order))
        return [_ended_self_time(entry, facts) for entry in outline.entries]
    until: int | None = None
    spans: list[tuple[int, int] | None] = []
    inner: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for entry, parent in zip(outline.entries, outline.parents, strict=True):
        start, end = time_of(entry, "start_ns"), time_of(entry, "end_ns")
        if entry is not None and entry["phase"] != names.END:
            until = end = _newest_moment(in_order) if until is None else until
        elif start is None:
            start = end
        if entry is None or start is None:
            spans.append(None)
            continue
        span = start, max(start, start if end is None else end)
        spans.append(span)
        if parent != NO_PARENT:
            inner[parent].append(span)
    return [
        None
        if span is None or entry is None or entry["phase"] != names.END
        else _uncovered(*span, inner.get(place, ()))
        for place, (entry, span) in enumerate(zip(outline.entries, spans, strict=True))
    ]


def _ended_self_time(entry: Event | None, facts: Mapping[str, NodeFacts]) -> int | None:
    times = None if entry is None else facts.get(entry["node_id"])
    return None if times is None or times.open else times.self_ns


def _newest_moment(entries: Iterable[Event | None]) -> int:
    moments = (time_of(entry, name) or 0 for entry in entries for name in _TIMES)
    return max(moments, default=0)


def _times(node: Node, facts: Mapping[str, NodeFacts], until: int | None) -> NodeFacts | None:
    if node.entry is None:
        inner = [facts[child.node_id] for child in node.children if child.node_id in facts]
        if not inner:
            return None
        return NodeFacts(
            min(times.start_ns for times in inner),
            max(times.end_ns for times in inner),
            any(times.open for times in inner),
        )
    ended = node.entry["phase"] == names.END
    start: int | None
    if node.placed_ns is not None:
        start, end = node.placed_ns
    else:
        start, end = time_of(node.entry, "start_ns"), time_of(node.entry, "end_ns") if ended else None
    if start is None:
        start = end
    if start is None:
        return None
    if not ended:
        end = until
    return NodeFacts(start, start if end is None or end < start else end, open=not ended)


def _self_time(node: Node, facts: Mapping[str, NodeFacts]) -> int:
    """The node's duration without the time in which at least one child ran."""
    times = facts[node.node_id]
    if node.entry is None:
        return 0
    if not node.children:
        return times.duration_ns
    inner = [(child.start_ns, child.end_ns) for _, child in _timed_children(node, facts)]
    return _uncovered(times.start_ns, times.end_ns, inner)


def _uncovered(start_ns: int, end_ns: int, inner: Sequence[tuple[int, int]]) -> int:
    """How much of a span none of these spans covers."""
    covered, reached = 0, start_ns
    for start, end in inner if len(inner) < 2 else sorted(inner):
        start = start if start > reached else reached
        end = end if end < end_ns else end_ns
        if end > start:
            covered += end - start
            reached = end
    return end_ns - start_ns - covered


def _mark_critical_path(root: Node, facts: Mapping[str, NodeFacts]) -> None:
    """Walk back from the end: at each moment the path runs through the child that ended last before it."""
    stack = [(root, facts[root.node_id].end_ns)]
    while stack:
        node, until = stack.pop()
        times = facts[node.node_id]
        end = cursor = min(until, times.end_ns)
        own = 0
        if not node.children:
            times.critical_ns = max(cursor - times.start_ns, 0) if node.entry is not None else 0
            continue
        for child, inner in sorted(_timed_children(node, facts), key=lambda pair: -pair[1].end_ns):
            # A child that outlives its parent holds it up only until the parent's end.
            child_end = min(inner.end_ns, end)
            if inner.start_ns >= end or child_end > cursor or child_end <= times.start_ns:
                continue
            own += cursor - child_end
            stack.append((child, child_end))
            cursor = max(inner.start_ns, times.start_ns)
        times.critical_ns = own + max(cursor - times.start_ns, 0) if node.entry is not None else 0


def _timed_children(node: Node, facts: Mapping[str, NodeFacts]) -> list[tuple[Node, NodeFacts]]:
    return [(child, facts[child.node_id]) for child in node.children if child.node_id in facts]
