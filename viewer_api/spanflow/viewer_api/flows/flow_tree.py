"""One flow as its spans: a tree, or the same as a flat list in reading order, each span with what can be computed.

Nothing recurses: a depth of a thousand is normal, ten thousand spans are too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.event.conventions import first_token_ms
from spanflow.span_processors.tree.facts import NodeFacts, critical_path, facts_of
from spanflow.span_processors.tree.flow_summary import summary_in_order
from spanflow.span_processors.tree.token_usage import TokenCounts, counted_calls
from spanflow.span_processors.tree.tree import NS_PER_MS, Node, Outlook, Tree, places_in, step_key, tree_in_order
from spanflow.viewer_api.flows.documents import Flow, PackedFlow
from spanflow.viewer_api.flows.summaries import shown_live
from spanflow.viewer_api.http.responses import encode

#: Which percentile of its kind a step is at that took so many nanoseconds; None if unknown.
Percentile: TypeAlias = Callable[[str, int], float | None]
#: How the spans are written: each inside of its parent, or one after the other.
Form = Literal["nested", "flat"]


@dataclass(slots=True)
class Below:
    """What a span and everything under it add up to."""

    spans: int = 0
    errors: int = 0
    denials: int = 0
    tokens_input: int = 0
    tokens_output: int = 0


@dataclass(frozen=True)
class FlowTree:
    flow: Flow
    tree: Tree
    facts: dict[str, NodeFacts]
    head: dict[str, Any]
    percentile: Percentile | None = None

    @cached_property
    def below(self) -> dict[str, Below]:
        """What each node and everything under it add up to; a comparison does without."""
        return _sums(self.tree)

    def row(self, node: Node) -> dict[str, Any]:
        """One span with its facts; times in milliseconds."""
        shown = node.row()
        if (times := self.facts.get(node.node_id)) is not None:
            shown["duration_ms"] = times.duration_ns / NS_PER_MS
            shown["self_ms"] = times.self_ns / NS_PER_MS
            shown["critical_ms"] = times.critical_ns / NS_PER_MS
            if (
                self.percentile is not None
                and node.entry is not None
                and node.ended
                and (percentile := self.percentile(step_key(node.entry), times.duration_ns)) is not None
            ):
                shown["percentile"] = percentile
        if node.entry is not None and (waited := first_token_ms(node.entry.get("attributes", {}))) is not None:
            shown["first_token_ms"] = waited
        sums = self.below[node.node_id]
        shown["below"] = {
            "spans": sums.spans - 1,
            "errors": sums.errors,
            "denials": sums.denials,
            "tokens_input": sums.tokens_input,
            "tokens_output": sums.tokens_output,
        }
        return shown

    def json(self, form: Form) -> bytes:
        return self.nested_json() if form == "nested" else self.flat_json()

    def flat_json(self) -> bytes:
        """Every span, parents before children, each with its depth."""
        rows = b",".join(encode(self.row(node)) for node in self.tree.walk())
        return encode(self.head)[:-1] + b',"spans":[' + rows + b"]}"

    def nested_json(self) -> bytes:
        """The roots, each span with its `children`."""
        parts: list[bytes] = [encode(self.head)[:-1], b',"roots":[']
        depth = 0
        for index, node in enumerate(self.tree.walk()):
            if index and node.depth <= depth - 1:
                parts.append(b"]}" * (depth - node.depth) + b",")
            parts += (encode(self.row(node))[:-1], b',"children":[')
            depth = node.depth + 1
        parts.append(b"]}" * depth + b"]}")
        return b"".join(parts)


def tree_of(flow: Flow, outlook: Outlook, percentile: Percentile | None = None) -> FlowTree:
    """`outlook` says what else is known of spans that are still open, `percentile` of those that have ended."""
    tree = tree_in_order(flow.entries, outlook)
    facts = facts_of(tree, outlook.now_ns)
    summary = summary_in_order(flow.entries)
    head = {
        **shown_live(flow, summary),
        "cost": flow.cost,
        "contents": flow.contents,
        "denied_count": summary.denied_count,
        "states": _states(tree),
        "depth": max((node.depth + 1 for node in tree.nodes.values()), default=0),
        "critical_path": critical_path(tree, facts),
    }
    return FlowTree(flow, tree, facts, head, percentile)


def written_tree(packed: PackedFlow, outlook: Outlook, percentile: Percentile, form: Form) -> bytes:
    """The whole answer, as a worker makes it."""
    return tree_of(packed.unpacked(), outlook, percentile).json(form)


def open_processes(flow: Flow) -> set[str]:
    """The processes that have something open in a flow."""
    return {entry["process"] for entry in flow.entries if entry["phase"] != names.END and "process" in entry}


def _states(tree: Tree) -> dict[str, int]:
    """How many spans are in which state."""
    counts: dict[str, int] = {}
    for node in tree.nodes.values():
        if node.state is not None:
            counts[node.state] = counts.get(node.state, 0) + 1
    return counts


def _sums(tree: Tree) -> dict[str, Below]:
    counted = _counted(tree)
    sums_by_id: dict[str, Below] = {}
    for node in reversed(list(tree.walk())):  # children before their parents
        sums = Below()
        for child in node.children:
            inner = sums_by_id[child.node_id]
            sums.spans += inner.spans
            sums.errors += inner.errors
            sums.denials += inner.denials
            sums.tokens_input += inner.tokens_input
            sums.tokens_output += inner.tokens_output
        if node.entry is not None:
            sums.spans += 1
            sums.errors += node.entry.get("status") == names.STATUS_ERROR
            sums.denials += node.entry.get("outcome") == names.OUTCOME_DENIED
        if (counts := counted.get(node.node_id)) is not None:
            sums.tokens_input += counts.input
            sums.tokens_output += counts.output
        sums_by_id[node.node_id] = sums
    return sums_by_id


def _counted(tree: Tree) -> dict[str, TokenCounts]:
    """The nodes whose tokens count, by node id."""
    nodes, parents = places_in(tree)
    calls = counted_calls([node.entry for node in nodes], parents)
    return {nodes[place].node_id: counts for place, counts in calls.items()}
