"""What lists, filters and columns say about a flow, computed from its tree."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.costs import total
from spanflow.span_processors.tree.flow_outcome import verdict_of
from spanflow.span_processors.tree.flow_outline import NO_PARENT, Outline, outline_of
from spanflow.span_processors.tree.flow_times import started_at
from spanflow.span_processors.tree.prices import NO_PRICES, Price, PriceTable
from spanflow.span_processors.tree.same_call import same_calls
from spanflow.span_processors.tree.step_keys import step_keys
from spanflow.span_processors.tree.token_usage import TokenCounts, counted_calls, total_usage, whole_number
from spanflow.span_processors.tree.tree import in_start_order, time_of

#: Where a value may stand, the best place first.
MODELS: Final = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    names.ATTR_DATA_PREFIX + "model",
    "llm.model_name",
    "llm.response.model_name",
    "llm.request.model_name",
    "llm.response.model",
    "llm.request.model",
    "embedding.model_name",
)
_TOOLS: Final = (
    "gen_ai.tool.name",
    names.ATTR_DATA_PREFIX + "tool",
    names.ATTR_DATA_PREFIX + "tool_name",
    "tool.name",  # OpenInference's, and ContextForge's own
)
_MCP_SERVERS: Final = (
    names.ATTR_DATA_PREFIX + "mcp",
    names.ATTR_DATA_PREFIX + "mcp_server",
    names.ATTR_DATA_PREFIX + "mcp_name",
)
_TOTAL_TOKENS: Final = (names.ATTR_DATA_PREFIX + "tokens", names.ATTR_DATA_PREFIX + "tokens_used")
#: Most spans have none of these, which one look tells.
_USED: Final = frozenset({*_TOOLS, *_MCP_SERVERS, *MODELS})
_NAME_A_MODEL: Final = frozenset(MODELS)
_TELLS_A_TOTAL: Final = frozenset(_TOTAL_TOKENS)
_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(slots=True)  # not frozen: that would take as long as half of the counting
class FlowSummary:
    """One line about a flow. Lists are without repetition, in the order of first use."""

    name: str | None
    status: str | None
    status_message: str | None
    #: None while it is open.
    outcome: str | None
    #: Which kind of denial or error its request was answered with: one of `names.OUTCOME_REASONS`.
    outcome_reason: str | None
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
    #: Keys of its steps.
    steps: tuple[str, ...]


def summary_of(entries: Iterable[Event], prices: PriceTable = NO_PRICES) -> FlowSummary:
    """The summary of a flow's merged entries."""
    return summary_in_order(in_start_order(entries), prices)


def summary_in_order(events: Sequence[Event], prices: PriceTable = NO_PRICES) -> FlowSummary:
    """The same for the events of a document, which are in start order."""
    outline = outline_of(events)
    root = main_root(outline)
    verdict = verdict_of(outline, root)
    usage = _usage(outline, prices)
    used = _used(outline)
    details = same_calls(outline.entries, outline.parents)
    event_types = outline.event_types
    return FlowSummary(
        name=root.get("name") if root else None,
        status=root.get("status") if root else None,
        status_message=(root.get("status_message") if root else None) or verdict.message,
        outcome=verdict.outcome,
        outcome_reason=verdict.outcome_reason,
        gate=verdict.gate,
        reason=verdict.reason,
        started_ns=started_at(events),
        ended_ns=time_of(root, "end_ns") if root and root["phase"] == names.END else None,
        span_count=len(outline.known),
        checkpoint_count=_checkpoint_count(outline, details),
        error_count=[entry.get("status") for entry in outline.known].count(names.STATUS_ERROR),
        denied_count=outline.outcomes.count(names.OUTCOME_DENIED),
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        cost=usage.cost,
        event_types=tuple(dict.fromkeys(filter(None, event_types))),
        tools=tuple(used.tools),
        mcp_servers=tuple(used.mcp_servers),
        models=tuple(used.models),
        steps=step_keys(outline, details),
    )


def _checkpoint_count(outline: Outline, details: Collection[int]) -> int:
    """Steps, each counted once however many spans tell of it. Where the gateway reports its own, those are all."""
    types = outline.event_types
    attributes_of_spans = [entry.get("attributes", _NOTHING) for entry in outline.known]
    if any([names.ATTR_REPORTED in attributes for attributes in attributes_of_spans]):
        own = [
            kind
            for attributes, kind in zip(attributes_of_spans, types, strict=True)
            if names.ATTR_CHECKPOINT_TYPE in attributes
        ]
        return len(own) - own.count(None) - own.count(names.PLAIN_SPAN)
    return len(types) - types.count(None) - types.count(names.PLAIN_SPAN) - len(details)


class _Used(NamedTuple):
    """What was used, as sets that keep the order of first use."""

    tools: dict[str, None]
    mcp_servers: dict[str, None]
    models: dict[str, None]


def _used(outline: Outline) -> _Used:
    used = _Used({}, {}, {})
    for entry, event_type in zip(outline.known, outline.event_types, strict=True):
        attributes = entry.get("attributes")
        if attributes and not _USED.isdisjoint(attributes):
            if event_type == names.TOOL_CALL or _TOOLS[0] in attributes:
                _note(attributes, _TOOLS, used.tools)
            _note(attributes, _MCP_SERVERS, used.mcp_servers)
            if not _NAME_A_MODEL.isdisjoint(attributes):
                _note(attributes, MODELS, used.models)
    return used


def _note(attributes: Mapping[str, Any], places: Iterable[str], found: dict[str, None]) -> None:
    if (value := _first_text(attributes, places)) is not None:
        found[value] = None


def _first_text(attributes: Mapping[str, Any], places: Iterable[str]) -> str | None:
    for place in places:
        value = attributes.get(place)
        if isinstance(value, str) and value:
            return value
    return None


class Subject(NamedTuple):
    """What one step was about."""

    tool: str | None = None
    mcp_server: str | None = None
    model: str | None = None


def subject_of(entry: Event) -> Subject:
    """What a step names, as the lists of its flow have it."""
    attributes = entry.get("attributes")
    if not attributes or _USED.isdisjoint(attributes):
        return Subject()
    names_tool = entry.get("event_type") == names.TOOL_CALL or _TOOLS[0] in attributes
    return Subject(
        _first_text(attributes, _TOOLS) if names_tool else None,
        _first_text(attributes, _MCP_SERVERS),
        _first_text(attributes, MODELS),
    )


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


class Usage(NamedTuple):
    """What a flow or one call in it used."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None


def _usage(outline: Outline, prices: PriceTable) -> Usage:
    calls = counted_calls(outline.entries, outline.parents)
    if not calls:
        # Gateways older than Spanflow only tell a total.
        return Usage(tokens_out=sum([_total(entry) for entry in outline.known]))
    tokens_in, tokens_out = total_usage(calls.values())
    costs = [_cost(outline, place, counts, prices) for place, counts in calls.items()] if prices else [None]
    # That of some of the calls would be taken for that of all.
    return Usage(tokens_in, tokens_out, None if None in costs else total(costs))


def usage_by_place(outline: Outline, prices: PriceTable = NO_PRICES) -> dict[int, Usage]:
    """The same for each place that uses anything; together they are the flow's."""
    calls = counted_calls(outline.entries, outline.parents)
    if calls:
        return {
            place: Usage(counts.input, counts.output, _cost(outline, place, counts, prices))
            for place, counts in calls.items()
        }
    totals = {place: _total(entry) for place, entry in enumerate(outline.entries) if entry is not None}
    return {place: Usage(tokens_out=total) for place, total in totals.items() if total}


def _cost(outline: Outline, place: int, counts: TokenCounts, prices: PriceTable) -> float | None:
    price = _price(_namers(outline, place), prices) if prices else None
    return None if price is None else price.cost(*counts)


def _namers(outline: Outline, place: int) -> Iterator[Event | None]:
    """Where the model of a call may be named: by the call, by a span below it, or by one around it."""
    yield from outline.below(place)
    parent = outline.parents[place]
    while parent != NO_PARENT:
        yield outline.entries[parent]
        parent = outline.parents[parent]


def _price(entries: Iterable[Event | None], prices: PriceTable) -> Price | None:
    """The price for the first model that is named."""
    for entry in entries:
        attributes = _attributes(entry)
        models = [model for name in MODELS if isinstance(model := attributes.get(name), str)]
        if models:
            return next((price for model in models if (price := prices.price_of(model)) is not None), None)
    return None


def _attributes(entry: Event | None) -> Mapping[str, Any]:
    return entry.get("attributes", _NOTHING) if entry is not None else _NOTHING


def _total(entry: Event) -> int:
    attributes = entry.get("attributes")
    if not attributes or _TELLS_A_TOTAL.isdisjoint(attributes):
        return 0
    return next((total for place in _TOTAL_TOKENS if (total := whole_number(attributes.get(place))) is not None), 0)
