"""The steps of one flow as statistics count them.

A call that several spans tell of is one step, told by the outermost; what the others used, and the time they took
themselves, is the step's. Plain spans are steps of a kind of their own, `span`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.conventions import first_token_ms
from spanflow.span_processors.tree.facts import facts_of
from spanflow.span_processors.tree.flow_outline import Outline
from spanflow.span_processors.tree.flow_summary import subject_of, usage_by_place
from spanflow.span_processors.tree.http_answer import outcome_of
from spanflow.span_processors.tree.prices import NO_PRICES, PriceTable
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.tree import NS_PER_MS, Node, Outlook, places_in, time_of

_NO_STEP: Final = -1
_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(slots=True)
class Step:
    event_type: str
    name: str
    outcome: str
    #: Whether it is counted: where the gateway reports its own steps, others only tell how long something took.
    counted: bool = True
    tool: str = ""
    mcp_server: str = ""
    model: str = ""
    #: None: not known.
    duration_ns: int | None = None
    self_ns: int = 0
    #: How long the first token of a model's answer took; None: not known.
    first_token_ns: int | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None


def steps_of(flow: FlowReducer, prices: PriceTable = NO_PRICES) -> list[Step]:
    """The steps of a stored flow."""
    tree = flow.tree(Outlook(alive=frozenset()))
    facts = facts_of(tree)
    nodes, parents = places_in(tree)
    reported = any(names.ATTR_REPORTED in _attributes(node) for node in nodes)
    steps: list[Step] = []
    #: For each place, the step that it is or is a detail of.
    whose: list[int] = []
    #: The same for plain spans, whose time is their own but what they name is the step's around them.
    around: list[int] = []
    for node, parent in zip(nodes, parents, strict=True):
        above = around[parent] if parent >= 0 else _NO_STEP
        plain = _event_type(node) == names.PLAIN_SPAN
        if node.entry is None or (node.same_call and above != _NO_STEP):
            whose.append(above)
            around.append(above)
        else:
            counted = plain or not reported or names.ATTR_CHECKPOINT_TYPE in _attributes(node)
            step = Step(_event_type(node), node.entry.get("name") or "", outcome_of(node.entry).outcome or "", counted)
            whose.append(len(steps))
            around.append(above if plain else len(steps))
            steps.append(step)
            step.duration_ns = _duration(node)
        times = facts.get(node.node_id)
        if times is not None and not times.open and whose[-1] != _NO_STEP:
            steps[whose[-1]].self_ns += times.self_ns
        _name_subject(node, around[-1], steps)
    for place, used in usage_by_place(_outline(nodes, parents), prices).items():
        owner = around[place] if around[place] != _NO_STEP else whose[place]
        if owner != _NO_STEP:
            steps[owner].tokens_in += used.tokens_in
            steps[owner].tokens_out += used.tokens_out
            if used.cost is not None:
                steps[owner].cost = (steps[owner].cost or 0.0) + used.cost
    return steps


def _name_subject(node: Node, place: int, steps: Sequence[Step]) -> None:
    """The subject of a step may be on another span of the same call."""
    if node.entry is None or place == _NO_STEP:
        return
    subject, step = subject_of(node.entry), steps[place]
    step.tool = step.tool or subject.tool or ""
    step.mcp_server = step.mcp_server or subject.mcp_server or ""
    step.model = step.model or subject.model or ""
    if step.first_token_ns is None and (waited := first_token_ms(_attributes(node))) is not None:
        step.first_token_ns = round(waited * NS_PER_MS)


def _duration(node: Node) -> int | None:
    """How long an ended step took by its own clock. One that a tracker reported as a moment does not say."""
    start, end = time_of(node.entry, "start_ns"), time_of(node.entry, "end_ns")
    if not node.ended or start is None or end is None:
        return None
    return None if start == end and names.ATTR_REPORTED in _attributes(node) else max(0, end - start)


def _event_type(node: Node) -> str:
    return (node.entry.get("event_type") if node.entry else None) or names.PLAIN_SPAN


def _attributes(node: Node) -> Mapping[str, Any]:
    return node.entry.get("attributes", _NOTHING) if node.entry is not None else _NOTHING


def _outline(nodes: Sequence[Node], parents: list[int]) -> Outline:
    return Outline([node.entry for node in nodes], parents, list(_known(nodes)))


def _known(nodes: Sequence[Node]) -> Iterator[Any]:
    return (node.entry for node in nodes if node.entry is not None)
