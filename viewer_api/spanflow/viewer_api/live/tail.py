"""How far a feed has read one flow, and which processes still have spans open in it."""

from dataclasses import dataclass, field

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.live.stream_id import BEGINNING


@dataclass
class Tail:
    """How far one flow has been read."""

    last_id: str = BEGINNING
    open: bool = True
    closed_at: float = 0.0
    #: Open spans by the process that has them.
    open_spans: dict[str, set[str]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def note(self, event: Event) -> None:
        process = event.get("process")
        if process is None:
            return
        spans = self.open_spans.setdefault(process, set())
        if event["phase"] == names.END:
            spans.discard(event["node_id"])
        else:
            spans.add(event["node_id"])

    def busy_processes(self) -> set[str]:
        return {process for process, spans in self.open_spans.items() if spans}
