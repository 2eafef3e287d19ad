"""What lists, filters and columns say about a flow, computed from its tree."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.flow_outcome import verdict_of
from spanflow.span_processors.tree.flow_outline import NO_PARENT, Outline, outline_of
from spanflow.span_processors.tree.prices import NO_PRICES, Price, PriceTable
from spanflow.span_processors.tree.tree import in_start_order, time_of

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
#: Most spans have none of these, which one look tells.
_USED: Final = frozenset({*_TOOLS, *_MCP_SERVERS, *_MODELS})
_NAME_A_MODEL: Final = frozenset(_MODELS)
_COUNTED: Final = frozenset({INPUT_TOKENS, OUTPUT_TOKENS})
_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(slots=True)  # not frozen: that would take as long as half of the counting
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
    return summary_in_order(in_start_order(entries), prices)


def summary_in_order(events: Sequence[Event], prices: PriceTable = NO_PRICES) -> FlowSummary:
    """The same for the events of a document, which are in start order."""
    outline = outline_of(events)
    root = main_root(outline)
    verdict = verdict_of(outline, root)
    usage = _usage(outline, prices)
    seen = _seen(outline.entries)
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


@dataclass(slots=True)
class _Seen:
    """What is counted and listed span by span. The dicts are ordered sets."""

    started_ns: int | None = None
    spans: int = 0
    checkpoints: int = 0
    errors: int = 0
    denied: int = 0
    event_types: dict[str, None] = field(default_factory=dict)
    tools: dict[str, None] = field(default_factory=dict)
    mcp_servers: dict[str, None] = field(default_factory=dict)
    models: dict[str, None] = field(default_factory=dict)


def _seen(entries: Iterable[Event | None]) -> _Seen:
    seen = _Seen()
    event_types = seen.event_types
    starts: list[str] = []
    spans = checkpoints = 0
    for entry in entries:
        if entry is None:
            continue
        spans += 1
        event_type = entry.get("event_type")
        if event_type is not None:
            if event_type:
                event_types[event_type] = None
            checkpoints += event_type != names.PLAIN_SPAN
        if entry.get("status") == names.STATUS_ERROR:
            seen.errors += 1
        if entry.get("outcome") == names.OUTCOME_DENIED:
            seen.denied += 1
        start = entry.get("start_ns")
        if start is not None:
            starts.append(start)
        attributes = entry.get("attributes")
        if attributes and not _USED.isdisjoint(attributes):
            if event_type == names.TOOL_CALL or _TOOLS[0] in attributes:
                _note(attributes, _TOOLS, seen.tools)
            _note(attributes, _MCP_SERVERS, seen.mcp_servers)
            if not _NAME_A_MODEL.isdisjoint(attributes):
                _note(attributes, _MODELS, seen.models)
    seen.spans, seen.checkpoints = spans, checkpoints
    seen.started_ns = min(map(int, starts), default=None)
    return seen


def _note(attributes: Mapping[str, Any], places: Iterable[str], found: dict[str, None]) -> None:
    for place in places:
        value = attributes.get(place)
        if isinstance(value, str) and value:
            found[value] = None
            return


def main_root(outline: Outline) -> Event | None:
    """The span that stands for the whole flow: the first that has no parent, else the first at the top, else the first
    of all."""
    first_top: Event | None = None
    for entry, parent in zip(outline.entries, outline.parents, strict=True):
        if parent == NO_PARENT and entry is not None:
            if entry.get("parent_id") is None and "start_ns" in entry:
                return entry
            first_top = first_top or entry
    return first_top or next((entry for entry in outline.entries if entry is not None), None)


@dataclass(frozen=True, slots=True)
class _Usage:
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None


def _usage(outline: Outline, prices: PriceTable) -> _Usage:
    """Tokens of the outermost spans that count any: a model call often has a second span beneath that repeats them."""
    tokens_in = tokens_out = 0
    cost: float | None = 0.0
    within: set[int] = set()  # places that count, or are below one that does
    for place, entry in enumerate(outline.entries):
        if within and outline.parents[place] in within:
            within.add(place)
            continue
        attributes = _NOTHING if entry is None else entry.get("attributes", _NOTHING)
        counts = None if _COUNTED.isdisjoint(attributes) else _counts(attributes)
        if counts is None:
            continue
        within.add(place)
        tokens_in += counts[0]
        tokens_out += counts[1]
        price = _price(outline.below(place), prices)
        cost = None if cost is None or price is None else cost + price.cost(*counts)
    if within:
        return _Usage(tokens_in, tokens_out, cost)
    # Gateways older than Spanflow only tell a total.
    totals = (_whole(_attributes(entry), _TOTAL_TOKENS) for entry in outline.entries)
    return _Usage(tokens_out=sum(total for total in totals if total is not None))


def _counts(attributes: Mapping[str, Any]) -> tuple[int, int, int] | None:
    into, out = _whole(attributes, (INPUT_TOKENS,)), _whole(attributes, (OUTPUT_TOKENS,))
    if into is None and out is None:
        return None
    return into or 0, out or 0, _whole(attributes, (CACHED_TOKENS,)) or 0


def _price(entries: Iterable[Event | None], prices: PriceTable) -> Price | None:
    """The price for the model of a call; an agent that sums up its calls names it only in the spans below."""
    for entry in entries:
        attributes = _attributes(entry)
        models = [model for name in _MODELS if isinstance(model := attributes.get(name), str)]
        if models:
            return next((price for model in models if (price := prices.price_of(model)) is not None), None)
    return None


def _attributes(entry: Event | None) -> Mapping[str, Any]:
    return entry.get("attributes", _NOTHING) if entry is not None else _NOTHING


def _whole(attributes: Mapping[str, Any], places: Iterable[str]) -> int | None:
    for place in places:
        value = attributes.get(place)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None
