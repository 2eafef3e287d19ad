"""How far a feed has read one flow, and what is open in it."""

from dataclasses import dataclass, field

from spanflow.viewer_api.live.open_spans import OpenSpans
from spanflow.viewer_api.live.stream_id import BEGINNING


@dataclass
class Tail:
    """How far one flow has been read."""

    last_id: str = BEGINNING
    open: bool = True
    closed_at: float = 0.0
    spans: OpenSpans = field(default_factory=OpenSpans)
    #: Processes with open spans that are gone.
    lost: set[str] = field(default_factory=set)
