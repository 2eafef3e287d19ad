"""Statistics as the API tells them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.ids import shown_id
from spanflow.span_processors.tree.tree import NS_PER_MS
from spanflow.viewer_api.statistics.attempts import MODEL
from spanflow.viewer_api.statistics.counted import Counted, Source
from spanflow.viewer_api.statistics.counting_sql import OTHER, OTHER_SPANS
from spanflow.viewer_api.statistics.histogram import percentiles
from spanflow.viewer_api.statistics.links import Links
from spanflow.viewer_api.statistics.tally import FIRST_TOKEN, GATES, SOURCE, STEP, USER, Sums, gates_in
from spanflow.viewer_api.store.gates import FUNNEL, later_gates

_SHARES: Final = (0.5, 0.9, 0.95, 0.99)
_PERCENTILES: Final = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")
_ABANDONED: Final = (names.OUTCOME_CANCELLED, names.OUTCOME_INTERRUPTED)
#: Parameters of a search by what flows are grouped by.
_PARAMETERS: Final = {
    "step": "step",
    "checkpoint": "checkpoint",
    "tool": "tool",
    "mcp_server": "mcp_server",
    "model": "model",
    "source": "source",
    "user": "user_id",
}
SORTS: Final[dict[str, Callable[[Sums], float]]] = {
    "count": lambda sums: sums.count,
    "total_ms": lambda sums: sums.total_ns,
    "self_ms": lambda sums: sums.self_ns,
    "p95_ms": lambda sums: percentiles(sums.buckets, (0.95,))[0] or 0.0,
    "tokens": lambda sums: sums.tokens_in + sums.tokens_out,
    "cost": lambda sums: float(sums.cost or 0),
}


@dataclass(slots=True)
class _Group:
    """One value over all outcomes, and the same by outcome and by interval."""

    value: str
    sums: Sums = field(default_factory=Sums)
    outcomes: dict[str, int] = field(default_factory=dict)
    intervals: dict[datetime, "_Group"] = field(default_factory=dict)

    def add(self, counted: Counted) -> None:
        self.sums.add(counted.sums)
        self.outcomes[counted.outcome] = self.outcomes.get(counted.outcome, 0) + counted.sums.count
        if counted.start is not None:
            inner = self.intervals.setdefault(counted.start, _Group(self.value))
            inner.add(Counted(self.value, counted.outcome, None, counted.sums))

    def number(self, *outcomes: str) -> int:
        return sum(self.outcomes.get(outcome, 0) for outcome in outcomes)


@dataclass(frozen=True, slots=True)
class Question:
    """`interval` is how long one point of a series is, in seconds; None: no series."""

    group_by: str
    sort: str
    limit: int
    interval: int | None


async def steps_answer(source: Source, links: Links, question: Question) -> dict[str, Any]:
    """Steps by what they are grouped by, each with the flows that have such steps."""
    parameter = _PARAMETERS[question.group_by]
    steps = source.steps(question.group_by, question.interval)
    having = source.flows(question.group_by, None, only_counts=True)
    groups, flows = map(_grouped, await asyncio.gather(steps, having))
    first_tokens = _grouped(await source.flows(FIRST_TOKEN, None)) if question.group_by == MODEL else {}
    shown = []
    for group in _first(groups.values(), question):
        row = _named(group.value) | _steps(group)
        if group.value in (OTHER, OTHER_SPANS):
            row |= {"flows": None, "flows_denied": None, "flows_failed": None}
        else:
            having_it = flows.get(group.value) or _Group(group.value)
            row |= _flows(having_it, links, ((parameter, group.value),), at_least=_tail(question, group) in flows)
        if question.group_by == MODEL:
            row["first_token"] = _first_token(first_tokens.get(group.value))
        if question.interval is not None:
            row["series"] = [{"start": start, **_steps(inner)} for start, inner in sorted(group.intervals.items())]
        shown.append(row)
    return {"groups": shown, "more": len(groups) > len(shown)}


def _tail(question: Question, group: _Group) -> str:
    """What flows with this value are counted as in periods with too many values."""
    plain = question.group_by == STEP and group.value.startswith(f"{names.PLAIN_SPAN}:")
    return OTHER_SPANS if plain else OTHER


def _first_token(waited: _Group | None) -> dict[str, Any] | None:
    """How long the first tokens of a model's answers took; None where no call says so."""
    if waited is None or not waited.sums.timed:
        return None
    times = percentiles(waited.sums.buckets, _SHARES)
    return {"count": waited.sums.timed, **dict(zip(_PERCENTILES, map(_milliseconds, times), strict=True))}


async def flows_answer(source: Source, links: Links, question: Question) -> dict[str, Any]:
    """Flows, all together or by what they are grouped by."""
    if question.group_by == "none":
        counted = [_whole(each) for each in await source.flows(GATES, question.interval)]
        groups = _grouped(counted) or {"": _Group("")}
    else:
        groups = _grouped(await source.flows(question.group_by, question.interval))
    shown = []
    for group in _first(groups.values(), question):
        more = () if question.group_by == "none" else ((_PARAMETERS[question.group_by], group.value),)
        row: dict[str, Any] = {} if question.group_by == "none" else _named(group.value)
        if question.group_by == USER:
            row["value"] = shown_id(group.value)
        short = OTHER in groups and group.value != OTHER
        row |= _flows(group, links, more, at_least=short) | _times(group.sums) | _used(group.sums)
        if question.interval is not None:
            length = timedelta(seconds=question.interval)
            row["series"] = [
                {
                    "start": start,
                    **_flows(inner, links.within(start, start + length), more, at_least=short),
                    **_times(inner.sums),
                    **_used(inner.sums),
                }
                for start, inner in sorted(group.intervals.items())
            ]
        shown.append(row)
    return {"groups": shown, "more": len(groups) > len(shown)}


async def funnel_answer(source: Source, links: Links) -> dict[str, Any]:
    """How far flows came. Each flow that came to a gate passed it or stopped there, in one of four ways."""
    by_gates = _grouped(await source.flows(GATES, None))
    steps = _grouped(await source.steps("checkpoint", None))
    whole = _Group("")
    reached: dict[str, _Group] = {gate: _Group(gate) for gate in FUNNEL}
    stopped: dict[str, _Group] = {gate: _Group(gate) for gate in FUNNEL}
    for word, group in by_gates.items():
        came_to = gates_in(word)
        _merge(whole, group)
        for gate in came_to:
            _merge(reached[gate], group)
        if came_to:
            _merge(stopped[came_to[-1]], group)
    gates = []
    for gate in FUNNEL:
        here, all_of_them = stopped[gate], reached[gate]
        at, later = ("stopped_at", gate), later_gates(gate)
        beyond = [("checkpoint", gate), *(("stopped_at", other) for other in later)]
        count = all_of_them.sums.count - here.sums.count
        took = percentiles(steps[gate].sums.buckets if gate in steps else {}, _SHARES)
        gates.append(
            {
                "gate": gate,
                "reached": links.number(all_of_them.sums.count, more=[("checkpoint", gate)]),
                "passed": links.number(count, more=beyond) if later else {"count": 0, "link": None},
                "ended": links.number(here.number(names.OUTCOME_OK), (names.OUTCOME_OK,), [at]),
                "denied": links.number(here.number(names.OUTCOME_DENIED), (names.OUTCOME_DENIED,), [at]),
                "failed": links.number(here.number(names.OUTCOME_ERROR), (names.OUTCOME_ERROR,), [at]),
                "abandoned": links.number(here.number(*_ABANDONED), _ABANDONED, [at]),
                **dict(zip(_PERCENTILES, map(_milliseconds, took), strict=True)),
            }
        )
    return {"flows": links.number(whole.sums.count), "gates": gates}


def _grouped(counted: Iterable[Counted]) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}
    for each in counted:
        groups.setdefault(each.value, _Group(each.value)).add(each)
    return groups


def _whole(counted: Counted) -> Counted:
    return Counted("", counted.outcome, counted.start, counted.sums)


def _merge(into: _Group, group: _Group) -> None:
    into.sums.add(group.sums)
    for outcome, count in group.outcomes.items():
        into.outcomes[outcome] = into.outcomes.get(outcome, 0) + count


def _first(groups: Iterable[_Group], question: Question) -> Sequence[_Group]:
    key = SORTS[question.sort]
    return sorted(groups, key=lambda group: (group.value == OTHER, -key(group.sums), group.value))[: question.limit]


def _named(value: str) -> dict[str, Any]:
    return {"value": None if value == OTHER else value, "other": value == OTHER}


def _steps(group: _Group) -> dict[str, Any]:
    sums = group.sums
    return {
        "steps": sums.count,
        "errors": group.number(names.OUTCOME_ERROR),
        "denied": group.number(names.OUTCOME_DENIED),
        **_times(sums),
        "self_ms": sums.self_ns / NS_PER_MS,
        **_used(sums),
    }


def _flows(group: _Group, links: Links, more: Sequence[tuple[str, str]], *, at_least: bool = False) -> dict[str, Any]:
    denied, failed = names.OUTCOME_DENIED, names.OUTCOME_ERROR
    return {
        "flows": links.number(group.number(*names.OUTCOMES), more=more, at_least=at_least),
        "flows_denied": links.number(group.number(denied), (denied,), more, at_least=at_least),
        "flows_failed": links.number(group.number(failed), (failed,), more, at_least=at_least),
    }


def _times(sums: Sums) -> dict[str, Any]:
    took = map(_milliseconds, percentiles(sums.buckets, _SHARES))
    return {"timed": sums.timed, **dict(zip(_PERCENTILES, took, strict=True)), "total_ms": sums.total_ns / NS_PER_MS}


def _used(sums: Sums) -> dict[str, Any]:
    cost = None if sums.cost is None else float(sums.cost)
    return {"tokens_input": sums.tokens_in, "tokens_output": sums.tokens_out, "cost": cost}


def _milliseconds(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else round(nanoseconds / NS_PER_MS, 6)


GROUPS_OF_FLOWS: Final = ("none", SOURCE, USER)
