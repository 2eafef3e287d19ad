"""A flow's entries in reading order, each with its parent's place: what a summary is counted from.

It is far less work than a `Tree`, and every flow that a gateway archives is summed up once, beside the requests.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.tree import Tree, build_tree, places_in

#: The parent of what stands at the top.
NO_PARENT = -1


@dataclass(slots=True)
class Outline:
    """Parents stand before their children, siblings in start order; what is below a place follows it at once."""

    #: None stands for a parent that has not come.
    entries: list[Event | None]
    #: The place of each one's parent.
    parents: list[int]
    #: The entries that have come, and two columns of them: it takes half the time to ask all spans one thing as it
    #: takes to ask each span many.
    known: list[Event]
    event_types: list[str | None] = field(init=False)
    outcomes: list[str | None] = field(init=False)

    def __post_init__(self) -> None:
        self.event_types = [entry.get("event_type") for entry in self.known]
        self.outcomes = [entry.get("outcome") for entry in self.known]

    def below(self, place: int) -> list[Event | None]:
        """The entry at this place, and all below it."""
        after = place + 1
        while after < len(self.parents) and self.parents[after] >= place:
            after += 1
        return self.entries[place:after]


def outline_of(in_order: Sequence[Event]) -> Outline:
    """The outline of merged entries, one per span, that stand in start order: as their tree is read."""
    children: defaultdict[str | None, list[Event]] = defaultdict(list)
    for entry in in_order:
        children[entry.get("parent_id")].append(entry)
    outline: list[Event] = []
    parents: list[int] = []
    stack = [(entry, NO_PARENT) for entry in reversed(children.pop(None, ()))]
    while stack:
        entry, parent = stack.pop()
        below = children.pop(entry["node_id"], None)
        if below is not None:
            place = len(outline)
            stack += [(child, place) for child in reversed(below)]
        outline.append(entry)
        parents.append(parent)
    if children:  # parents that have not come, or that are their own descendants
        return _outline_of_tree(build_tree(in_order))
    return Outline([*outline], parents, outline)


def _outline_of_tree(tree: Tree) -> Outline:
    nodes, parents = places_in(tree)
    entries = [node.entry for node in nodes]
    return Outline(entries, parents, [entry for entry in entries if entry is not None])
