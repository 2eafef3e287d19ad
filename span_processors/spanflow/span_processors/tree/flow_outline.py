"""A flow's entries in reading order, each with its parent's place: what a summary is counted from.

It is far less work than a `Tree`, and every flow that a gateway archives is summed up once, beside the requests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.tree import Tree, build_tree

#: The parent of what stands at the top.
NO_PARENT = -1


@dataclass(frozen=True, slots=True)
class Outline:
    """Parents stand before their children, siblings in start order; what is below a place follows it at once."""

    #: None stands for a parent that has not come.
    entries: list[Event | None]
    #: The place of each one's parent.
    parents: list[int]

    def below(self, place: int) -> Iterator[Event | None]:
        """The entry at this place, and all below it."""
        yield self.entries[place]
        for after in range(place + 1, len(self.entries)):
            if self.parents[after] < place:
                return
            yield self.entries[after]


def outline_of(in_order: Sequence[Event]) -> Outline:
    """The outline of merged entries, one per span, that stand in start order: as their tree is read."""
    children: dict[str | None, list[Event]] = {}
    for entry in in_order:
        parent_id = entry.get("parent_id")
        siblings = children.get(parent_id)
        if siblings is None:
            children[parent_id] = [entry]
        else:
            siblings.append(entry)
    found: list[Event | None] = []
    parents: list[int] = []
    stack = [(entry, NO_PARENT) for entry in reversed(children.pop(None, ()))]
    while stack:
        entry, parent = stack.pop()
        below = children.pop(entry["node_id"], None)
        if below is not None:
            place = len(found)
            stack += [(child, place) for child in reversed(below)]
        found.append(entry)
        parents.append(parent)
    if children:  # parents that have not come, or that are their own descendants
        return _outline_of_tree(build_tree(in_order))
    return Outline(found, parents)


def _outline_of_tree(tree: Tree) -> Outline:
    places: dict[str, int] = {}
    outline = Outline([], [])
    for node in tree.walk():
        places[node.node_id] = len(outline.entries)
        outline.entries.append(node.entry)
        outline.parents.append(NO_PARENT if node.parent is None else places[node.parent.node_id])
    return outline
