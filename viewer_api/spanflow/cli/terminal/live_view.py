"""Running requests as trees that grow on the screen; where there is no screen, a line for each step that ended."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, TextIO

from spanflow.cli.terminal.screen import Screen
from spanflow.cli.terminal.tree_lines import Style, outcome_word, reason, tree_lines
from spanflow.cli.terminal.wording import MARKS, Paint, clean, duration
from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.http_answer import outcome_of
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.tree import NS_PER_S, time_of

#: Complete flows whose late steps are still told apart from new ones.
_MOST_DONE: Final = 1000


@dataclass
class Flow:
    """One flow as far as it is known."""

    flow_id: str
    user_id: Any
    reducer: FlowReducer = field(default_factory=FlowReducer)
    open: bool = True
    #: Open steps that are slow, stalled or lost, as reported by the viewer.
    states: dict[str, str] = field(default_factory=dict)
    #: Steps that have ended.
    told: set[str] = field(default_factory=set)

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Its tree, each step with its state."""
        for row in self.reducer.tree().rows():
            judged = self.states.get(row["node_id"])
            yield row if judged is None or row.get("state") == names.NODE_ENDED else {**row, "state": judged}

    def ended_steps(self) -> Iterator[Event]:
        """Steps that have ended and were not told yet, in the order of their ends."""
        entries = [each for each in self.reducer.entries() if each["phase"] == names.END]
        for entry in sorted(entries, key=lambda entry: time_of(entry, "end_ns") or 0):
            if entry["node_id"] not in self.told:
                self.told.add(entry["node_id"])
                yield entry


class View(Protocol):
    """Shows flows while they change."""

    def changed(self, flows: dict[str, Flow], news: Collection[str]) -> None:
        """`news` are the ids of flows that a message mentioned, in its order."""
        ...

    def close(self) -> None: ...


class Flows:
    """What the messages of a live stream amount to."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._flows: dict[str, Flow] = {}
        self._news: dict[str, None] = {}

    def take(self, message: dict[str, Any]) -> None:
        """One message of the stream, shown at once."""
        self.add(message)
        self.show()

    def add(self, message: dict[str, Any]) -> None:
        """One message of the stream, shown with the next ones: when many come at once, showing each would take longer
        than they do."""
        kind = message.get("type")
        news = self._news
        if kind in {"events", "snapshot"}:
            events: list[Event] = message.get("events", [])
            for event in events:
                flow_id = str(message.get("flow_id") or event.get("flow_id"))
                self._flow(flow_id, message).reducer.add({**event, "flow_id": flow_id})
                news[flow_id] = None
        elif kind == "flow":
            flow = self._flow(str(message.get("flow_id")), message)
            flow.open = bool(message.get("open"))
            news[flow.flow_id] = None
        elif kind == "states":
            flow = self._flow(str(message.get("flow_id")), message)
            flow.states.update(message.get("nodes", {}))
            news[flow.flow_id] = None

    def show(self) -> None:
        """What has changed since the last time."""
        if self._news:
            self._view.changed(self._flows, self._news)
            self._news = {}
            self._forget()

    def _flow(self, flow_id: str, message: dict[str, Any]) -> Flow:
        if flow_id not in self._flows:
            self._flows[flow_id] = Flow(flow_id, message.get("user_id"))
        return self._flows[flow_id]

    def _forget(self) -> None:
        done = [flow_id for flow_id, flow in self._flows.items() if not flow.open]
        for flow_id in done[: max(0, len(done) - _MOST_DONE)]:
            del self._flows[flow_id]


class LineView:
    """For pipes and files."""

    def __init__(self, write: Callable[[str], None], paint: Paint) -> None:
        self._write = write
        self._paint = paint

    def changed(self, flows: dict[str, Flow], news: Collection[str]) -> None:
        for flow_id in news:
            for entry in flows[flow_id].ended_steps():
                self._write(self._line(flows[flow_id], entry))

    def close(self) -> None:
        """Every line is out already."""

    def _line(self, flow: Flow, entry: Event) -> str:
        start, end = time_of(entry, "start_ns"), time_of(entry, "end_ns")
        when = datetime.fromtimestamp((end or 0) / NS_PER_S).astimezone().strftime("%H:%M:%S.%f")[:-3]
        word = outcome_word({**entry, "outcome": outcome_of(entry).outcome})
        why = "" if word == names.OUTCOME_OK else reason(entry)
        mark, colour = MARKS.get(word, ("·", "dim"))
        kind = str(entry.get("event_type", names.PLAIN_SPAN))
        took = duration(None if start is None or end is None else max(0, end - start))
        name = "" if entry.get("name") == kind else f"  {entry.get('name', '')}"
        who = "" if flow.user_id is None else f"user {flow.user_id}  "
        ended = "" if word == names.OUTCOME_OK else f"  {word}" + (f": {why}" if why else "")
        text = clean(f"{who}{flow.flow_id[:8]}  {kind}{name}  {took}{ended}")
        return f"{self._paint(when, 'dim')}  {self._paint(mark, colour)} {text}"


class TreeView:
    """For a terminal: what runs is drawn again and again below; what is complete stays above and scrolls away."""

    def __init__(self, stream: TextIO, paint: Paint, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._screen = Screen(stream)
        self._paint = paint
        self._clock_ns = clock_ns
        self._shown: set[str] = set()

    def changed(self, flows: dict[str, Flow], news: Collection[str]) -> None:
        style = Style(self._paint, self._screen.columns(), self._clock_ns())
        done: list[str] = []
        running: list[str] = []
        for flow in flows.values():
            if flow.open:
                self._shown.discard(flow.flow_id)
                running += self._lines(flow, style)
            elif flow.flow_id not in self._shown and len(flow.reducer):
                self._shown.add(flow.flow_id)
                done += self._lines(flow, style)
        self._shown &= flows.keys()
        self._screen.draw(done, running)

    def close(self) -> None:
        self._screen.close()

    def _lines(self, flow: Flow, style: Style) -> Iterator[str]:
        who = "" if flow.user_id is None else f"user {flow.user_id}  "
        yield ""
        yield self._paint(clean(f"{who}{flow.flow_id}"), "bold")
        yield from tree_lines(list(flow.rows()), style)
