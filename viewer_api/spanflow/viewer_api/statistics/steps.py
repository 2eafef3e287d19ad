"""The steps of one flow as statistics count them.

A call that several spans tell of is one step, told by the outermost; what the others used, and the time they took
themselves, is the step's. Plain spans are steps of a kind of their own, `span`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.conventions import first_token_ms
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.costs import exact
from spanflow.span_processors.tree.facts import self_times
from spanflow.span_processors.tree.flow_outline import outline_of
from spanflow.span_processors.tree.flow_summary import subject_of, usage_by_place
from spanflow.span_processors.tree.http_answer import outcome_of
from spanflow.span_processors.tree.prices import NO_PRICES, PriceTable
from spanflow.span_processors.tree.same_call import came_after, same_calls
from spanflow.span_processors.tree.tree import NS_PER_MS, time_of

NO_STEP: Final = -1
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
    #: Where in the list the checkpoint stands during which it began; `NO_STEP`: there is none.
    inside: int = NO_STEP
    self_ns: int = 0
    #: How long the first token of a model's answer took; None: not known.
    first_token_ns: int | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal | None = None


def steps_of(entries: Sequence[Event], prices: PriceTable = NO_PRICES) -> list[Step]:
    """The steps of a stored flow, from its merged entries in start order."""
    outline = outline_of(entries)
    same_call = same_calls(outline.entries, outline.parents)
    reported = any(names.ATTR_REPORTED in _attributes(entry) for entry in entries)
    steps: list[Step] = []
    #: For each step, the span that tells of it.
    told_by: list[Event] = []
    #: For each place, the step that it is or is a detail of.
    whose: list[int] = []
    #: The same for plain spans, whose time is their own but what they name is the step's around them.
    around: list[int] = []
    own_times = self_times(entries, outline)
    for place, (entry, parent) in enumerate(zip(outline.entries, outline.parents, strict=True)):
        above = around[parent] if parent >= 0 else NO_STEP
        if entry is None or (above != NO_STEP and place in same_call):
            whose.append(above)
            around.append(above)
        else:
            event_type = entry.get("event_type") or names.PLAIN_SPAN
            plain = event_type == names.PLAIN_SPAN
            counted = plain or not reported or names.ATTR_CHECKPOINT_TYPE in _attributes(entry)
            whose.append(len(steps))
            around.append(above if plain else len(steps))
            steps.append(Step(event_type, entry.get("name") or "", outcome_of(entry).outcome or "", counted))
            steps[-1].duration_ns = _duration(entry)
            steps[-1].inside = _inside(entry, above, steps, told_by)
            told_by.append(entry)
        own_time = own_times[place]
        if own_time is not None and whose[-1] != NO_STEP:
            steps[whose[-1]].self_ns += own_time
        if entry is not None and around[-1] != NO_STEP:
            _name_subject(entry, steps[around[-1]])
    for place, used in usage_by_place(outline, prices).items():
        owner = around[place] if around[place] != NO_STEP else whose[place]
        if owner != NO_STEP:
            steps[owner].tokens_in += used.tokens_in
            steps[owner].tokens_out += used.tokens_out
            if used.cost is not None:
                steps[owner].cost = (steps[owner].cost or 0) + exact(used.cost)
    return steps


def _inside(entry: Event, above: int, steps: Sequence[Step], told_by: Sequence[Event]) -> int:
    """In a chain of steps, the one above has ended before."""
    while above != NO_STEP and came_after(entry, told_by[above]):
        above = steps[above].inside
    return above


def _name_subject(entry: Event, step: Step) -> None:
    """The subject of a step may be on another span of the same call."""
    subject = subject_of(entry)
    step.tool = step.tool or subject.tool or ""
    step.mcp_server = step.mcp_server or subject.mcp_server or ""
    step.model = step.model or subject.model or ""
    if step.first_token_ns is None and (waited := first_token_ms(_attributes(entry))) is not None:
        step.first_token_ns = round(waited * NS_PER_MS)


def _duration(entry: Event) -> int | None:
    """How long an ended step took by its own clock. One that a tracker reported as a moment does not say."""
    start, end = time_of(entry, "start_ns"), time_of(entry, "end_ns")
    if entry["phase"] != names.END or start is None or end is None:
        return None
    return None if start == end and names.ATTR_REPORTED in _attributes(entry) else max(0, end - start)


def _attributes(entry: Event) -> Mapping[str, Any]:
    return entry.get("attributes", _NOTHING)
