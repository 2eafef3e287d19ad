"""A flow as steps: like its tree, but one call is one step, however many processes and libraries recorded it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.event.event import is_checkpoint
from spanflow.span_processors.tree.facts import NodeFacts
from spanflow.span_processors.tree.flow_summary import MODELS
from spanflow.span_processors.tree.http_answer import outcome_of
from spanflow.span_processors.tree.same_call import subject_of
from spanflow.span_processors.tree.tree import Node, Tree

#: So many equal siblings in a row are compared as a whole, not one by one.
MIN_RUN: Final = 5
#: What makes two steps the same step: the type, and the tool, model or name.
StepKey: TypeAlias = tuple[str, str]


@dataclass(slots=True, eq=False)
class Step:
    """One call, as its outermost span records it."""

    node: Node
    key: StepKey
    facts: NodeFacts | None
    #: Spans that tell of the same call: the server's half, an instrumentation of the client.
    halves: list[Node] = field(default_factory=list)
    children: "list[Step]" = field(default_factory=list)

    @property
    def duration_ns(self) -> int:
        return 0 if self.facts is None else self.facts.duration_ns

    @property
    def self_ns(self) -> int:
        return 0 if self.facts is None else self.facts.self_ns

    @property
    def name(self) -> str | None:
        return None if self.node.entry is None else self.node.entry.get("name")

    @property
    def outcome(self) -> str | None:
        return None if self.node.entry is None else outcome_of(self.node.entry).outcome

    def attributes(self) -> Mapping[str, Any]:
        """What any span of the call says; the outermost counts most."""
        if not self.halves:
            return self.node.entry.get("attributes", {}) if self.node.entry is not None else {}
        values: dict[str, Any] = {}
        for node in (*reversed(self.halves), self.node):
            if node.entry is not None:
                values |= node.entry.get("attributes", {})
        return values


@dataclass(slots=True, eq=False)
class Run:
    """Equal siblings in a row. One may be a run as well, when it stands for a longer one of the other flow."""

    key: StepKey
    steps: list[Step]


#: What siblings are aligned by.
Sibling: TypeAlias = Step | Run


def steps_of(tree: Tree, facts: Mapping[str, NodeFacts]) -> list[Step]:
    """The steps at the top, each with those below it, in start order."""
    roots: list[Step] = []
    steps: dict[str, Step] = {}
    servers = Counter(node.parent.node_id for node in tree.nodes.values() if node.parent and _is(node, "server"))
    for node in tree.walk():
        parent = None if node.parent is None else steps[node.parent.node_id]
        whole = _tells_of(node, steps, servers)
        if whole is not None and parent is not None:
            whole.halves.append(node)
            # What is below this half hangs where the half would.
            steps[node.node_id] = parent
            continue
        step = Step(node, _key(node), facts.get(node.node_id))
        steps[node.node_id] = step
        (roots if parent is None else parent.children).append(step)
    for step in steps.values():
        if step.halves:
            step.children.sort(key=_start)
    return roots


def folded(siblings: Sequence[Step], keys: frozenset[StepKey]) -> list[Sibling]:
    """The siblings with the runs of these keys as one each."""
    folded_siblings: list[Sibling] = []
    for key, group in groupby(siblings, key=lambda step: step.key):
        run = list(group)
        if key in keys:
            folded_siblings.append(Run(key, run))
        else:
            folded_siblings += run
    return folded_siblings


def long_runs(*many: Sequence[Step]) -> frozenset[StepKey]:
    """The keys of which any of these sequences has a run worth folding."""
    return frozenset(
        key
        for siblings in many
        if len(siblings) >= MIN_RUN
        for key, group in groupby(siblings, key=lambda step: step.key)
        if sum(1 for _ in group) >= MIN_RUN
    )


def _is(node: Node, kind: str) -> bool:
    return node.entry is not None and node.entry.get("kind") == kind


def _tells_of(node: Node, steps: dict[str, Step], servers: Counter[str]) -> Step | None:
    """The step of whose call this span tells as well."""
    parent = node.parent
    if parent is None or node.entry is None:
        return None
    if node.same_call:
        above: Node | None = parent
        while above is not None and (above.entry is None or not is_checkpoint(above.entry)):
            above = above.parent
        return None if above is None else steps[above.node_id]
    outer = parent.entry
    if outer is None or not _is(node, "server") or not _is(parent, "client"):
        return None
    if node.entry.get("process") == outer.get("process") or (is_checkpoint(node.entry) and not is_checkpoint(outer)):
        return None
    return steps[parent.node_id] if servers[parent.node_id] == 1 else None


def _key(node: Node) -> StepKey:
    entry = node.entry
    if entry is None:
        return "", ""
    event_type, name = entry.get("event_type", names.PLAIN_SPAN), entry.get("name", "")
    if event_type == names.PLAIN_SPAN:
        return event_type, name
    attributes = entry.get("attributes", {})
    if event_type in (names.LLM_THINKING, names.EMBEDDING):
        models = (attributes.get(place) for place in MODELS)
        return event_type, next((model for model in models if isinstance(model, str)), name)
    return event_type, subject_of(entry) or name


def _start(step: Step) -> int:
    return step.node.start_ns or 0
