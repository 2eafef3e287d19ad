"""What lists, filters and columns say about a flow, computed from its tree."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, is_checkpoint
from spanflow.span_processors.tree.flow_outcome import verdict_of
from spanflow.span_processors.tree.prices import NO_PRICES, PriceTable
from spanflow.span_processors.tree.tree import Node, Tree, build_tree, time_of

INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
#: Where a value may stand, the best place first.
_MODELS: Final = ("gen_ai.response.model", "gen_ai.request.model", names.ATTR_DATA_PREFIX + "model")
_TOOLS: Final = ("gen_ai.tool.name", names.ATTR_DATA_PREFIX + "tool", names.ATTR_DATA_PREFIX + "tool_name")
_MCP_SERVERS: Final = (
    names.ATTR_DATA_PREFIX + "mcp",
    names.ATTR_DATA_PREFIX + "mcp_server",
    names.ATTR_DATA_PREFIX + "mcp_name",
)
_TOTAL_TOKENS: Final = (names.ATTR_DATA_PREFIX + "tokens", names.ATTR_DATA_PREFIX + "tokens_used")


@dataclass(frozen=True, slots=True)
class FlowSummary:
    """One line about a flow. Lists are without repetition, in the order of first use."""

    name: str | None
    status: str | None
    status_message: str | None
    #: None while it is open.
    outcome: str | None
    #: Of a denial: the type of the checkpoint that refused, and why.
    gate: str | None
    reason: str | None
    started_ns: int | None
    #: When its root ended; None while it is open.
    ended_ns: int | None
    span_count: int
    checkpoint_count: int
    error_count: int
    denied_count: int
    tokens_in: int
    tokens_out: int
    #: None when no price is known for a model that was used.
    cost: float | None
    event_types: tuple[str, ...]
    tools: tuple[str, ...]
    mcp_servers: tuple[str, ...]
    models: tuple[str, ...]


def summary_of(entries: Iterable[Event], prices: PriceTable = NO_PRICES) -> FlowSummary:
    """The summary of a flow's merged entries."""
    tree = build_tree(entries)
    root = main_root(tree)
    verdict = verdict_of(tree, root)
    usage = _usage(tree, prices)
    seen = _Seen()
    for node in tree.walk():
        if node.entry is not None:
            seen.add(node.entry)
    return FlowSummary(
        name=root.get("name") if root else None,
        status=root.get("status") if root else None,
        status_message=(root.get("status_message") if root else None) or verdict.message,
        outcome=verdict.outcome,
        gate=verdict.gate,
        reason=verdict.reason,
        started_ns=seen.started_ns,
        ended_ns=time_of(root, "end_ns") if root and root["phase"] == names.END else None,
        span_count=seen.spans,
        checkpoint_count=seen.checkpoints,
        error_count=seen.errors,
        denied_count=seen.denied,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        cost=usage.cost,
        event_types=tuple(seen.event_types),
        tools=tuple(seen.tools),
        mcp_servers=tuple(seen.mcp_servers),
        models=tuple(seen.models),
    )


class _Seen:
    """What is counted and listed span by span. The dicts are ordered sets."""

    def __init__(self) -> None:
        self.started_ns: int | None = None
        self.spans = self.checkpoints = self.errors = self.denied = 0
        self.event_types: dict[str, None] = {}
        self.tools: dict[str, None] = {}
        self.mcp_servers: dict[str, None] = {}
        self.models: dict[str, None] = {}

    def add(self, span: Event) -> None:
        self.spans += 1
        self.checkpoints += is_checkpoint(span)
        self.errors += span.get("status") == names.STATUS_ERROR
        self.denied += span.get("outcome") == names.OUTCOME_DENIED
        event_type = span.get("event_type")
        if event_type:
            self.event_types[event_type] = None
        start = time_of(span, "start_ns")
        if start is not None and (self.started_ns is None or start < self.started_ns):
            self.started_ns = start
        attributes = span.get("attributes")
        if attributes:
            if event_type == names.TOOL_CALL or _TOOLS[0] in attributes:
                _note(attributes, _TOOLS, self.tools)
            _note(attributes, _MCP_SERVERS, self.mcp_servers)
            _note(attributes, _MODELS, self.models)


def _note(attributes: Mapping[str, Any], places: Iterable[str], found: dict[str, None]) -> None:
    for place in places:
        value = attributes.get(place)
        if isinstance(value, str) and value:
            found[value] = None
            return


def main_root(tree: Tree) -> Event | None:
    """The span that stands for the whole flow: the first that has no parent, else the first at the top, else the first
    of all."""
    tops = [root.entry for root in tree.roots if root.entry is not None]
    without_parent = (top for top in tops if top.get("parent_id") is None and "start_ns" in top)
    return next(without_parent, None) or next(iter(tops), None) or next((n.entry for n in tree.walk() if n.entry), None)


@dataclass(frozen=True, slots=True)
class _Usage:
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None


def _usage(tree: Tree, prices: PriceTable) -> _Usage:
    """Tokens of the outermost spans that count any: a model call often has a second span beneath that repeats them."""
    tokens_in = tokens_out = 0
    cost: float | None = 0.0
    counted = False
    stack = tree.roots[::-1]
    while stack:
        node = stack.pop()
        counts = _counts(node)
        if counts is None:
            stack.extend(reversed(node.children))
            continue
        counted = True
        tokens_in += counts[0]
        tokens_out += counts[1]
        price = _price(node, prices)
        cost = None if cost is None or price is None else cost + price.cost(*counts)
    if counted:
        return _Usage(tokens_in, tokens_out, cost)
    # Gateways older than Spanflow only tell a total.
    totals = (_whole(node.entry or {}, _TOTAL_TOKENS) for node in tree.nodes.values())
    return _Usage(tokens_out=sum(total for total in totals if total is not None))


def _counts(node: Node) -> tuple[int, int, int] | None:
    entry: Mapping[str, Any] = node.entry or {}
    into, out = _whole(entry, (INPUT_TOKENS,)), _whole(entry, (OUTPUT_TOKENS,))
    if into is None and out is None:
        return None
    return into or 0, out or 0, _whole(entry, (CACHED_TOKENS,)) or 0


def _price(node: Node, prices: PriceTable) -> Any:
    """The price for the model of a call; an agent that sums up its calls names it only in the spans below."""
    stack = [node]
    while stack:
        step = stack.pop()
        attributes = (step.entry or {}).get("attributes", {})
        for name in _MODELS:
            model = attributes.get(name)
            if isinstance(model, str) and (price := prices.price_of(model)) is not None:
                return price
        if any(isinstance(attributes.get(name), str) for name in _MODELS):
            return None
        stack.extend(reversed(step.children))
    return None


def _whole(entry: Mapping[str, Any], places: Iterable[str]) -> int | None:
    attributes = entry.get("attributes", {})
    for place in places:
        value = attributes.get(place)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None
