"""Adds up flows and their steps, by kind. Flows that are still open count as nothing yet."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from spanflow.span_processors import names
from spanflow.span_processors.archive.search_terms import STEP_SIGN
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.costs import exact
from spanflow.span_processors.tree.prices import NO_PRICES, PriceTable
from spanflow.span_processors.tree.step_keys import MAX_PART
from spanflow.span_processors.tree.tree import NS_PER_MS
from spanflow.viewer_api.statistics.attempts import MCP_SERVER, MODEL, TOOL, Named, Part, named_by
from spanflow.viewer_api.statistics.histogram import Buckets, bucket_of
from spanflow.viewer_api.statistics.services import calls_of, operations_of, written
from spanflow.viewer_api.statistics.steps import Step, steps_of
from spanflow.viewer_api.store.gates import FUNNEL

#: What a flow is counted by. `gates` is the set of gates that it came to.
GATES: Final = "gates"
CHECKPOINT: Final = "checkpoint"
SOURCE: Final = "source"
USER: Final = "user"
#: What a step is grouped by: its type and name. Of flows with such a step only the number is kept.
STEP: Final = "step"
#: What its services do, each once, and the calls between them, each time. Both whatever becomes of the flow.
OPERATION: Final = "operation"
SERVICE_CALL: Final = "service_call"
#: How long the first token of an answer took, by model.
FIRST_TOKEN: Final = "first_token"
#: What steps can be grouped by beside their own name, and where such sums stand among those of flows.
STEP_DIMENSIONS: Final = {by: f"steps:{by}" for by in (CHECKPOINT, TOOL, MCP_SERVER, MODEL)}
#: The columns of a flow that have several values.
_LISTS: Final = ((CHECKPOINT, "event_types"), (TOOL, "tools"), (MCP_SERVER, "mcp_servers"), (MODEL, "models"))
#: Longer names would make the rows of one period grow without end.
_MAX_NAME: Final = MAX_PART
#: What is read of a flow to count it; to count its steps, `flow_data` as well.
COLUMNS: Final = (
    "started_at, outcome, duration_ms, tokens_in, tokens_out, cost, event_types, tools, mcp_servers, models, source"
)
#: The keys of its steps, as the filter of lists finds them.
STEP_KEYS: Final = f"ARRAY(SELECT substr(lexeme, 2) FROM unnest(search) WHERE lexeme ^@ '{STEP_SIGN}') AS step_keys"


class StepKind(NamedTuple):
    event_type: str
    name: str
    mcp_server: str
    tool: str
    model: str
    outcome: str


class FlowKind(NamedTuple):
    """Flows with one value of a dimension; or steps, where it is one of `STEP_DIMENSIONS`."""

    dimension: str
    value: str
    outcome: str


@dataclass(slots=True)
class Sums:
    """What flows or steps of one kind add up to."""

    count: int = 0
    #: Those whose duration is known.
    timed: int = 0
    total_ns: int = 0
    self_ns: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    #: None: of none it is known.
    cost: Decimal | None = None
    buckets: Buckets = field(default_factory=dict)

    def add_duration(self, duration_ns: int, bucket: int) -> None:
        """`bucket` is that of the duration: many sums take the same one."""
        self.timed += 1
        self.total_ns += duration_ns
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def add_usage(self, tokens_in: int, tokens_out: int, cost: Decimal | None) -> None:
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        if cost is not None:
            self.cost = cost if self.cost is None else self.cost + cost

    def add_step(self, step: Step, bucket: int | None) -> None:
        self.count += step.counted
        self.self_ns += step.self_ns
        if step.duration_ns is not None and bucket is not None:
            self.add_duration(step.duration_ns, bucket)
        self.add_usage(step.tokens_in, step.tokens_out, step.cost)

    def add(self, other: "Sums") -> None:
        self.count += other.count
        self.timed += other.timed
        self.total_ns += other.total_ns
        self.self_ns += other.self_ns
        self.add_usage(other.tokens_in, other.tokens_out, other.cost)
        if not self.buckets:
            self.buckets = dict(other.buckets)
            return
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def copy(self) -> "Sums":
        return replace(self, buckets=dict(self.buckets))


class Tally:
    """All kinds of one period."""

    def __init__(self, prices: PriceTable = NO_PRICES) -> None:
        self._prices = prices
        self.steps: defaultdict[StepKind, Sums] = defaultdict(Sums)
        self.flows: defaultdict[FlowKind, Sums] = defaultdict(Sums)

    def add(self, row: Any, *, steps: bool = True, users: bool = False) -> None:
        """One stored flow with the columns of `COLUMNS`; `steps` and services as well, with `flow_data`. Flows by their
        steps are counted with `STEP_KEYS`."""
        if row["outcome"] not in names.OUTCOMES:
            return
        self._add_flow(row, users)
        if steps:
            document = row["flow_data"]
            if isinstance(document, str | bytes):
                document = orjson.loads(document)
            entries = flow_data.entries_in(document)
            self._add_steps(entries)
            self._add_services(entries, document)

    def _add_flow(self, row: Any, users: bool) -> None:
        values = [(GATES, gates_word(row["event_types"])), (SOURCE, row["source"] or "")]
        for dimension, column in _LISTS:
            values += [(dimension, value) for value in dict.fromkeys(row[column])]
        if users:
            values.append((USER, row["user_id"] or ""))
        took = None if row["duration_ms"] is None else round(row["duration_ms"] * NS_PER_MS)
        bucket = None if took is None else bucket_of(took)
        cost = None if row["cost"] is None else exact(row["cost"])
        outcome, used = row["outcome"], (row["tokens_in"], row["tokens_out"], cost)
        for dimension, value in values:
            sums = self.flows[FlowKind(dimension, value, outcome)]
            sums.count += 1
            if took is not None and bucket is not None:
                sums.add_duration(took, bucket)
            sums.add_usage(*used)
        for key in row.get("step_keys", ()):
            self.flows[FlowKind(STEP, key, outcome)].count += 1

    def _add_services(self, entries: Sequence[Event], document: Any) -> None:
        processes = document.get("processes") if isinstance(document, dict) else None
        processes = processes if isinstance(processes, dict) else {}
        counts: dict[FlowKind, int] = {}
        for operation in operations_of(entries, processes):
            counts[FlowKind(OPERATION, written(operation), "")] = 1
        for call, count in calls_of(entries, processes).items():
            counts[FlowKind(SERVICE_CALL, written(call), "")] = count
        for kind, count in counts.items():
            self.flows[kind].count += count

    def _add_steps(self, entries: Sequence[Event]) -> None:
        steps = steps_of(entries, self._prices)
        for step, named in zip(steps, named_by(steps), strict=True):
            kind = StepKind(
                step.event_type[:_MAX_NAME],
                step.name[:_MAX_NAME],
                step.mcp_server[:_MAX_NAME],
                step.tool[:_MAX_NAME],
                step.model[:_MAX_NAME],
                step.outcome,
            )
            bucket = None if step.duration_ns is None else bucket_of(step.duration_ns)
            self.steps[kind].add_step(step, bucket)
            if kind.event_type != names.PLAIN_SPAN:
                by_type = FlowKind(STEP_DIMENSIONS[CHECKPOINT], kind.event_type, kind.outcome)
                self.flows[by_type].add_step(step, bucket)
            for each in named:
                self._add_named(each, step, bucket)
            if step.first_token_ns is not None:
                waited = self.flows[FlowKind(FIRST_TOKEN, kind.model, "")]
                waited.count += 1
                waited.add_duration(step.first_token_ns, bucket_of(step.first_token_ns))

    def _add_named(self, named: Named, step: Step, bucket: int | None) -> None:
        kind = FlowKind(STEP_DIMENSIONS[named.by], named.value[:_MAX_NAME], step.outcome)
        if named.part is Part.CALL:
            self.flows[kind].add_step(step, bucket)
        elif named.part is Part.DENIAL or step.tokens_in or step.tokens_out or step.cost is not None:
            sums = self.flows[kind]
            sums.count += step.counted and named.part is Part.DENIAL
            sums.add_usage(step.tokens_in, step.tokens_out, step.cost)


def gates_word(event_types: Iterable[str]) -> str:
    """The gates among these checkpoints as a word: a digit for each gate of the funnel."""
    came_to = set(event_types)
    return "".join("1" if gate in came_to else "0" for gate in FUNNEL)


def gates_in(word: str) -> list[str]:
    """The gates that a word says."""
    return [gate for gate, digit in zip(FUNNEL, word, strict=False) if digit == "1"]
