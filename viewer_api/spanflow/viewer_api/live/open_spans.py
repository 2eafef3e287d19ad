"""What is open in a running flow, and what may honestly be said about it: running, slow, stalled or lost.

It says what the reducer's tree says (`tree.py`), but costs next to nothing per event: no tree is built, and how news
of a span spread to those above it is computed on demand, once for all news since the last time.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.tree import STALLED_TIMES_P95, step_key, time_of

#: Ended spans are remembered for their place in the tree, so many of them.
_MAX_SPANS: Final = 20_000
#: The worst state of an open span is the flow's.
_WORST_FIRST: Final = (names.NODE_LOST, names.NODE_STALLED, names.NODE_SLOW, names.NODE_RUNNING)
_TIMES: Final = ("start_ns", "updated_ns", "end_ns")


@dataclass(slots=True)
class _OpenSpan:
    entry: Event
    started_ns: int | None = None
    process: str | None = None
    state: str = names.NODE_RUNNING

    def add(self, event: Event) -> None:
        """An update may say what the start did not, and rename the span."""
        if self.started_ns is None:
            self.started_ns = time_of(event, "start_ns")
        self.process = self.process or event.get("process")
        if "event_type" in event:
            self.entry["event_type"] = event["event_type"]
        if "name" in event:
            self.entry["name"] = event["name"]

    @property
    def waits_for_a_person(self) -> bool:
        return self.entry.get("event_type") == names.ELICITATION

    @property
    def step(self) -> str:
        return step_key(self.entry)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The state of a flow that is not complete, and the open spans whose state is not what it was."""

    state: str
    changed: Mapping[str, str]


class OpenSpans:
    def __init__(self) -> None:
        self._open: dict[str, _OpenSpan] = {}
        self._ended: set[str] = set()
        self._parents: dict[str, str | None] = {}
        self._heard: dict[str, int] = {}
        #: News since the last request.
        self._fresh: dict[str, int] = {}
        #: The flow's state as it was last sent.
        self._told = names.NODE_RUNNING

    def note(self, event: Event) -> None:
        """Take in an event. Events of one span come in order, except after a takeover; then an end stays an end."""
        node_id = event["node_id"]
        if "parent_id" in event:
            self._parents.setdefault(node_id, event["parent_id"])
        heard = max(time_of(event, name) or 0 for name in _TIMES)
        if heard > self._fresh.get(node_id, 0):
            self._fresh[node_id] = heard
        if event["phase"] == names.END:
            self._open.pop(node_id, None)
            self._ended.add(node_id)
        elif node_id not in self._ended:
            span = self._open.get(node_id)
            if span is None:
                # Only what is needed: the event itself may be large.
                span = self._open[node_id] = _OpenSpan({"node_id": node_id})
            span.add(event)

    def processes(self) -> set[str]:
        """Those that have open spans."""
        return {span.process for span in self._open.values() if span.process is not None}

    def steps(self) -> set[str]:
        """The kinds of steps that are open."""
        return {span.step for span in self._open.values()}

    def judge(
        self, now_ns: int, *, lost: Set[str], usual_p95_ns: Mapping[str, int], stalled_after_ns: int
    ) -> Judgement | None:
        """What has changed since the last time; None when nothing has."""
        for node_id, span in self._open.items():
            if span.waits_for_a_person and span.process not in lost:
                self._fresh[node_id] = now_ns
        self._spread()
        changed: dict[str, str] = {}
        for node_id, span in self._open.items():
            state = _state(span, self._heard.get(node_id, 0), now_ns, lost, usual_p95_ns, stalled_after_ns)
            if state != span.state:
                span.state = changed[node_id] = state
        worst = self.state()
        if not changed and worst == self._told:
            return None
        self._told = worst
        return Judgement(worst, changed)

    def state(self) -> str:
        """The flow's own state, as of the last judgement."""
        present = {span.state for span in self._open.values()}
        return next((state for state in _WORST_FIRST if state in present), names.NODE_RUNNING)

    def unusual(self) -> dict[str, str]:
        """The open spans that are not simply running, as of the last judgement."""
        return {node_id: span.state for node_id, span in self._open.items() if span.state != names.NODE_RUNNING}

    def _spread(self) -> None:
        """News of a span are news of all above it. The newest first, so that each span is passed once."""
        fresh, self._fresh = self._fresh, {}
        for node_id in sorted(fresh, key=fresh.__getitem__, reverse=True):
            heard = fresh[node_id]
            step: str | None = node_id
            while step is not None and self._heard.get(step, 0) < heard:
                self._heard[step] = heard
                step = self._parents.get(step)
        if len(self._parents) > _MAX_SPANS:
            self._forget(self._ended)

    def _forget(self, node_ids: Iterable[str]) -> None:
        for node_id in node_ids:
            self._parents.pop(node_id, None)
            self._heard.pop(node_id, None)
        self._ended.clear()


def _state(
    span: _OpenSpan,
    heard_ns: int,
    now_ns: int,
    lost: Set[str],
    usual_p95_ns: Mapping[str, int],
    stalled_after_ns: int,
) -> str:
    if span.process in lost:
        return names.NODE_LOST
    if span.started_ns is None:
        return names.NODE_RUNNING
    if span.waits_for_a_person:
        return names.NODE_RUNNING
    usual = usual_p95_ns.get(span.step)
    if now_ns - heard_ns > max(stalled_after_ns, STALLED_TIMES_P95 * (usual or 0)):
        return names.NODE_STALLED
    if usual is not None and now_ns - span.started_ns > usual:
        return names.NODE_SLOW
    return names.NODE_RUNNING
