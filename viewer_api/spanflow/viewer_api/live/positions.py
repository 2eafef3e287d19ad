"""How far a feed has read its flows, kept so that every frame can say it without going through all of them."""

from spanflow.viewer_api.live.cursor import MAX_MOVED, Base, Cursor


class Positions:
    """A cursor at any moment, for the price of the few flows that have moved lately."""

    def __init__(self) -> None:
        #: By the clock of Redis, when all of them were looked at.
        self.read_ms = 0
        #: The last entry of each flow; the flows that were read last are the last ones.
        self._last: dict[str, str] = {}
        self._base: Base | None = None
        self._moved: dict[str, str] = {}

    def move(self, flow_id: str, entry_id: str) -> None:
        for positions in (self._last, self._moved):
            positions.pop(flow_id, None)
            positions[flow_id] = entry_id

    def forget(self, flow_id: str) -> None:
        self._last.pop(flow_id, None)
        self._base = None

    def cursor(self) -> Cursor:
        if self._base is None or len(self._moved) > MAX_MOVED:
            self._base = Base(self.read_ms, dict(self._last))
            self._moved = {}
        return Cursor(self.read_ms, dict(self._moved), self._base)
