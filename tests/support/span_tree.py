"""Finished spans as nested plain data, so that a test shows a whole tree as one literal."""

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

Node = dict[str, Any]


def span_tree(spans: Iterable[ReadableSpan], attributes: Sequence[str] | None = None) -> list[Node]:
    """The spans as trees, in the order in which they started. `attributes` limits which attributes are shown."""
    ordered = sorted(spans, key=lambda span: span.start_time or 0)
    nodes = {_id(span): _node(span, attributes) for span in ordered}
    roots: list[Node] = []
    for span in ordered:
        parent = f"{span.parent.span_id:016x}" if span.parent is not None else None
        siblings = roots if parent is None or parent not in nodes else nodes[parent].setdefault("children", [])
        siblings.append(nodes[_id(span)])
    return roots


def outline(spans: Iterable[ReadableSpan]) -> list[str]:
    """The trees as indented lines: name, outcome, status."""
    lines: list[str] = []

    def walk(nodes: list[Node], depth: int) -> None:
        for node in nodes:
            outcome = node["attributes"].get("flow.outcome")
            lines.append("  " * depth + node["name"] + (f" [{outcome}]" if outcome else ""))
            walk(node.get("children", []), depth + 1)

    walk(span_tree(spans), 0)
    return lines


def _id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def _node(span: ReadableSpan, wanted: Sequence[str] | None) -> Node:
    attributes = {k: v for k, v in sorted((span.attributes or {}).items()) if wanted is None or k in wanted}
    node: Node = {"name": span.name, "kind": span.kind.name.lower(), "attributes": attributes}
    if span.status.status_code.name != "UNSET":
        node["status"] = span.status.status_code.name.lower()
        if span.status.description:
            node["status"] += f": {span.status.description}"
    if span.events:
        node["events"] = [{"name": event.name, **dict(event.attributes or {})} for event in span.events]
    if span.links:
        node["links"] = len(span.links)
    return node
