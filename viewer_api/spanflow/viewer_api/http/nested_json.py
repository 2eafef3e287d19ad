"""Checkpoints of a session as one nested JSON tree, written without recursion: a depth of a thousand is normal."""

from typing import Any

from spanflow.viewer_api.http.responses import encode


def nested_json(head: dict[str, Any], events: list[Any]) -> bytes:
    """`head` with `children`: the events below their parents, in the order they come in.

    An event whose parent is not there, or that is its own ancestor, stands at the top.
    """
    nodes = [event for event in events if isinstance(event, dict)]
    children = _children(nodes)
    return _written(head, nodes, children)


def _children(nodes: list[dict[str, Any]]) -> dict[int, list[int]]:
    """Indexes of each node's children; those of the head stand at -1."""
    by_id: dict[Any, int] = {}
    for index, node in enumerate(nodes):
        node_id = node.get("node_id")
        if isinstance(node_id, str | int):
            by_id.setdefault(node_id, index)
    parents = []
    for index, node in enumerate(nodes):
        parent_id = node.get("parent_id")
        parent = by_id.get(parent_id, -1) if isinstance(parent_id, str | int) else -1
        parents.append(-1 if parent == index else parent)
    _break_cycles(parents)
    children: dict[int, list[int]] = {}
    for index, parent in enumerate(parents):
        children.setdefault(parent, []).append(index)
    return children


def _break_cycles(parents: list[int]) -> None:
    safe: set[int] = {-1}
    for index in range(len(parents)):
        path: dict[int, None] = {}
        step = index
        while step not in safe and step not in path:
            path[step] = None
            step = parents[step]
        if step in path:
            parents[step] = -1
        safe.update(path)


def _written(head: dict[str, Any], nodes: list[dict[str, Any]], children: dict[int, list[int]]) -> bytes:
    parts: list[bytes] = []
    # Bytes are written as they are, a number is the node to write next.
    stack: list[bytes | int] = [b"]}", *reversed(_separated(children.get(-1, []))), _opened(head)]
    while stack:
        step = stack.pop()
        if isinstance(step, bytes):
            parts.append(step)
            continue
        parts.append(_opened(nodes[step]))
        stack.append(b"]}")
        stack.extend(reversed(_separated(children.get(step, []))))
    return b"".join(parts)


def _separated(indexes: list[int]) -> list[bytes | int]:
    row: list[bytes | int] = []
    for place, index in enumerate(indexes):
        if place:
            row.append(b",")
        row.append(index)
    return row


def _opened(node: dict[str, Any]) -> bytes:
    """The node's own fields, left open for its children."""
    own = {key: value for key, value in node.items() if key != "children"}
    return encode(own)[:-1] + (b"," if own else b"") + b'"children":['
