"""Flows as trace events, which Perfetto and speedscope open.

A track shows slices that lie within each other, so steps that ran side by side stand on tracks of their own.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from spanflow.span_processors.tree.tree import Node
from spanflow.viewer_api.export.exported_flow import ExportedFlow, values_of
from spanflow.viewer_api.http.responses import encode

_NS_PER_US: Final = 1000
#: Tracks that are looked at for a free place, before another is begun.
_MAX_TRIED: Final = 64
_MAX_TEXT: Final = 1000


class ChromeTrace:
    media_type = "application/json"
    extension = "trace.json"

    def begin(self) -> bytes:
        return b'{"displayTimeUnit":"ms","traceEvents":['

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        events = b",\n".join(encode(event) for event in trace_events(exported, number + 1))
        return (b",\n" if number else b"\n") + events

    def end(self) -> bytes:
        return b"]}\n"


@dataclass(slots=True)
class _Tracks:
    """For each track the ends of the slices that are open there, the innermost last."""

    open: list[list[int]] = field(default_factory=list)

    def place(self, start: int, end: int, preferred: int) -> int:
        """The first track on which a slice lies wholly within what is open there, or on which nothing is."""
        candidates: tuple[int, ...] = (preferred, *range(_MAX_TRIED))
        for track in candidates:
            if track >= len(self.open):
                break
            ends = self.open[track]
            while ends and ends[-1] <= start:
                ends.pop()
            if not ends or end <= ends[-1]:
                ends.append(end)
                return track
        self.open.append([end])
        return len(self.open) - 1


def trace_events(exported: ExportedFlow, process: int) -> list[dict[str, Any]]:
    flow = exported.flow
    label = f"{exported.whole.head['name'] or 'flow'} {flow.flow_id}"
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": process, "tid": 0, "name": "process_name", "args": {"name": label}}
    ]
    facts = exported.whole.facts
    timed = [node for node in exported.tree.walk() if node.node_id in facts and node.entry is not None]
    # The sort is stable: of two with the same times, the parent stands first.
    timed.sort(key=lambda node: (facts[node.node_id].start_ns, -facts[node.node_id].end_ns))
    tracks = _Tracks()
    placed: dict[str, int] = {}
    for node in timed:
        times = facts[node.node_id]
        preferred = 0 if node.parent is None else placed.get(node.parent.node_id, 0)
        track = placed[node.node_id] = tracks.place(times.start_ns, times.end_ns, preferred)
        events.append(
            {
                "ph": "X",
                "pid": process,
                "tid": track,
                "name": _name(node),
                "cat": (node.entry or {}).get("event_type", "span"),
                "ts": times.start_ns / _NS_PER_US,
                "dur": times.duration_ns / _NS_PER_US,
                "args": _arguments(node),
            }
        )
    return events


def _name(node: Node) -> str:
    return (node.entry or {}).get("name") or node.node_id


def _arguments(node: Node) -> dict[str, Any]:
    entry = node.entry
    assert entry is not None
    shown: dict[str, Any] = {"node_id": node.node_id}
    for name in ("status", "outcome", "status_message"):
        if value := entry.get(name):
            shown[name] = value
    for key, value in values_of(entry).items():
        if isinstance(value, bool | int | float):
            shown[key] = value
        else:
            text = (
                value if isinstance(value, str) else repr(value) if isinstance(value, bytes) else encode(value).decode()
            )
            shown[key] = text[:_MAX_TEXT]
    return shown
