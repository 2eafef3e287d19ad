"""The tree of a flow: who is whose child, and what may honestly be said about a span that has not ended.

Nothing here recurses: a chain of a thousand spans is normal, and cycles of parents do occur in damaged data.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

import orjson

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.flow_times import outside_count, root_of, window_of
from spanflow.span_processors.tree.http_answer import outcome_of
from spanflow.span_processors.tree.same_call import same_calls

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
#: Without news for so many times its usual p95, an open span counts as stalled.
STALLED_TIMES_P95: Final = 4
_START_ORDER: Final = itemgetter("start_ns", "node_id")
_NOT_SHOWN: Final = frozenset({"late", "was", "v", "phase", "flow_id", "node_id", "parent_id"})


@dataclass(frozen=True, slots=True)
class Outlook:
    """What must be known beside the events to judge an open span. What is None is not known, and nothing is claimed."""

    now_ns: int | None = None
    #: Instance ids of the processes that are known to live.
    alive: Set[str] | None = None
    #: The usual 95th percentile of a step's duration in nanoseconds, by `step_key`.
    usual_p95_ns: Mapping[str, int] = field(default_factory=dict)
    #: An open span is stalled when neither it nor anything below it gave news for so long.
    stalled_after_ns: int = 60 * NS_PER_S


NOTHING_KNOWN: Final = Outlook()


@dataclass(slots=True, eq=False)
class Node:
    """One span in its place. A placeholder stands for a parent that has not come: it has children, but no entry."""

    node_id: str
    entry: Event | None
    parent: "Node | None" = None
    children: "list[Node]" = field(default_factory=list)
    depth: int = 0
    state: str | None = None
    #: Its parent is (also) its descendant; it was put at the top instead.
    in_cycle: bool = False
    #: It records the same call as the nearest checkpoint above it.
    same_call: bool = False
    #: Its times lie outside of its flow: some clock was wrong.
    outside_flow: bool = False
    #: Where it is drawn then: start and, if it has ended, end. The entry keeps what it said.
    placed_ns: tuple[int, int | None] | None = None

    @property
    def placeholder(self) -> bool:
        return self.entry is None

    @property
    def start_ns(self) -> int | None:
        """When it began, within its flow."""
        return time_of(self.entry, "start_ns") if self.placed_ns is None else self.placed_ns[0]

    @property
    def end_ns(self) -> int | None:
        """When it ended, within its flow; None while it is open."""
        if self.placed_ns is not None:
            return self.placed_ns[1]
        return time_of(self.entry, "end_ns") if self.ended else None

    @property
    def ended(self) -> bool:
        return self.entry is not None and self.entry["phase"] == names.END

    def row(self) -> dict[str, Any]:
        """The node as JSON, without its children."""
        shown: dict[str, Any] = {
            "node_id": self.node_id,
            "parent_id": self.entry.get("parent_id") if self.entry else None,
            "depth": self.depth,
            "state": self.state,
        }
        if self.placeholder:
            shown["placeholder"] = True
        if self.in_cycle:
            shown["in_cycle"] = True
        if self.same_call:
            shown["same_call"] = True
        if self.outside_flow:
            shown["outside_flow"] = True
        for key, value in (self.entry or {}).items():
            if key not in _NOT_SHOWN:
                shown[key] = value
        outcome, reason = outcome_of(self.entry) if self.entry else (None, None)
        if outcome is not None:
            shown["outcome"] = outcome
        if reason is not None:
            shown["outcome_reason"] = reason
        return shown


@dataclass(frozen=True, slots=True)
class Tree:
    """A flow's nodes. `roots` usually has one member; `nodes` finds every node, placeholders too."""

    roots: list[Node]
    nodes: dict[str, Node]

    def walk(self) -> Iterator[Node]:
        """Every node, parents before children, siblings in start order."""
        stack = self.roots[::-1]
        while stack:
            node = stack.pop()
            yield node
            if node.children:
                stack.extend(reversed(node.children))

    def rows(self) -> list[dict[str, Any]]:
        """The tree as a flat list in reading order; each row says its depth."""
        return [node.row() for node in self.walk()]

    def nested_json(self) -> bytes:
        """The roots as a JSON array of nested objects with `children`, written without recursion: JSON writers refuse
        or overflow long before a depth of a thousand."""
        parts: list[bytes] = [b"["]
        open_nodes: list[Node] = []
        for index, node in enumerate(self.walk()):
            closing = len(open_nodes) - node.depth
            parts.append(b"]}" * closing)
            del open_nodes[node.depth :]
            if closing > 0 or (index and not open_nodes):
                parts.append(b",")
            parts.append(orjson.dumps(node.row())[:-1] + b',"children":[')
            open_nodes.append(node)
        parts.append(b"]}" * len(open_nodes) + b"]")
        return b"".join(parts)


def build_tree(entries: Iterable[Event], outlook: Outlook | None = None) -> Tree:
    """The tree of merged entries, one per span."""
    return tree_in_order(in_start_order(entries), outlook)


def tree_in_order(in_order: Sequence[Event], outlook: Outlook | None = None) -> Tree:
    """The same for entries that are in start order."""
    nodes = {entry["node_id"]: Node(entry["node_id"], entry) for entry in in_order}
    roots: list[Node] = []
    for node in list(nodes.values()):
        parent_id = node.entry.get("parent_id") if node.entry else None
        if parent_id is None:
            roots.append(node)
            continue
        parent = nodes.get(parent_id)
        if parent is None:
            parent = nodes[parent_id] = Node(parent_id, None)
            roots.append(parent)
        node.parent = parent
        parent.children.append(node)
    tree = Tree(roots, nodes)
    _break_cycles(tree)
    roots.sort(key=_root_order)
    _set_states(tree, outlook or NOTHING_KNOWN)
    _mark_same_calls(tree)
    if outside_count(in_order):
        _place_what_is_outside(tree)
    return tree


def places_in(tree: Tree) -> tuple[list[Node], list[int]]:
    """The nodes in reading order, and the place of each one's parent, -1 at the top."""
    nodes = list(tree.walk())
    places = {node.node_id: place for place, node in enumerate(nodes)}
    return nodes, [-1 if node.parent is None else places[node.parent.node_id] for node in nodes]


def _mark_same_calls(tree: Tree) -> None:
    nodes, parents = places_in(tree)
    for place in same_calls([node.entry for node in nodes], parents):
        nodes[place].same_call = True


def _place_what_is_outside(tree: Tree) -> None:
    """Mark spans whose clock was wrong; draw each from its parent's start on, as long as it took by its own clock."""
    window = window_of(root_of([root.entry for root in tree.roots if root.entry is not None]))
    if window is None:
        return
    for node in tree.walk():
        if node.entry is None or not window.leaves_out(node.entry):
            continue
        node.outside_flow = True
        start, end = node.start_ns, node.end_ns
        begin = window.start_ns
        if node.parent is not None and node.parent.start_ns is not None:
            begin = max(begin, node.parent.start_ns)
        if end is not None:
            straddles = start is not None and start < begin <= end
            end = end if straddles else begin + max(0, end - (end if start is None else start))
            end = end if window.end_ns is None else max(begin, min(end, window.end_ns))
        node.placed_ns = begin, end


def _break_cycles(tree: Tree) -> None:
    """Give every node its depth, and put the first node of each cycle of parents at the top."""
    reached = _set_depths(tree.roots)
    if len(reached) == len(tree.nodes):
        return
    for node in list(tree.nodes.values()):  # in start order, so the choice does not depend on how events came
        if node.node_id in reached:
            continue
        top = _first_of_cycle(node)
        assert top.parent is not None
        top.parent.children.remove(top)
        top.parent, top.in_cycle = None, True
        tree.roots.append(top)
        reached |= _set_depths([top])


def _first_of_cycle(node: Node) -> Node:
    """The earliest node of the cycle that `node` is in or hangs from."""
    seen: dict[str, None] = {}
    while node.node_id not in seen:
        seen[node.node_id] = None
        assert node.parent is not None
        node = node.parent
    first, step = node, node.parent
    while step is not None and step is not node:
        if start_order(step.entry) < start_order(first.entry):
            first = step
        step = step.parent
    return first


def _set_depths(roots: list[Node]) -> set[str]:
    reached: set[str] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        node.depth = node.parent.depth + 1 if node.parent else 0
        reached.add(node.node_id)
        stack.extend(node.children)
    return reached


def _set_states(tree: Tree, outlook: Outlook) -> None:
    if outlook.now_ns is None:
        for node in tree.nodes.values():
            if node.entry is not None:
                node.state = _state(node.entry, 0, outlook)
        return
    heard: dict[str, int] = {}
    for node in reversed(list(tree.walk())):  # children before their parents
        news = max(
            (heard[child.node_id] for child in node.children),
            default=0,
        )
        if node.entry is None:
            heard[node.node_id] = news
            continue
        own = max(time_of(node.entry, name) or 0 for name in ("start_ns", "updated_ns", "end_ns"))
        heard[node.node_id] = max(news, own)
        if _waits_for_a_person(node.entry, outlook):
            heard[node.node_id] = outlook.now_ns
        node.state = _state(node.entry, heard[node.node_id], outlook)


def _waits_for_a_person(entry: Event, outlook: Outlook) -> bool:
    """Then nothing above it is stalled either: no news are to be expected before the person answers."""
    if entry.get("event_type") != names.ELICITATION or entry["phase"] == names.END:
        return False
    return outlook.alive is None or "process" not in entry or entry["process"] in outlook.alive


def _state(entry: Event, heard_ns: int, outlook: Outlook) -> str:
    if entry["phase"] == names.END:
        return names.NODE_ENDED
    if outlook.alive is not None and "process" in entry and entry["process"] not in outlook.alive:
        return names.NODE_LOST
    started = time_of(entry, "start_ns")
    if outlook.now_ns is None or started is None:
        return names.NODE_RUNNING
    if entry.get("event_type") == names.ELICITATION:
        return names.NODE_RUNNING
    usual = outlook.usual_p95_ns.get(step_key(entry))
    patience = max(outlook.stalled_after_ns, STALLED_TIMES_P95 * (usual or 0))
    if outlook.now_ns - heard_ns > patience:
        return names.NODE_STALLED
    if usual is not None and outlook.now_ns - started > usual:
        return names.NODE_SLOW
    return names.NODE_RUNNING


def step_key(entry: Event) -> str:
    """What counts as `the same step` when durations are compared."""
    return f"{entry.get('event_type', names.PLAIN_SPAN)}:{entry.get('name', '')}"


def time_of(entry: Event | None, name: str) -> int | None:
    """A time of the entry in nanoseconds."""
    value = entry.get(name) if entry else None
    return int(value) if isinstance(value, str) else None


def start_order(entry: Event | None) -> tuple[int, str]:
    """Sorts entries by start; one without a start by its end."""
    if entry is None:
        return (0, "")
    return (int(entry.get("start_ns") or entry.get("end_ns") or 0), entry["node_id"])


def in_start_order(entries: Iterable[Event]) -> list[Event]:
    events = list(entries)
    # Times of one length stand in the same order as texts. That is the usual case, and three times as quick.
    lengths = {len(event.get("start_ns") or "") for event in events}
    usual = len(lengths) == 1 and 0 not in lengths
    events.sort(key=_START_ORDER if usual else start_order)
    return events


def _root_order(root: Node) -> tuple[int, str]:
    """A placeholder stands where its first child would."""
    first = root.entry or (root.children[0].entry if root.children else None)
    return (start_order(first)[0], root.node_id)
