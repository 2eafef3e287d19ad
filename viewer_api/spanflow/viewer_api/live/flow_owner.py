"""Whose flow it is, by the events that have been read of it so far."""

from typing import Final

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.flow_identity import identity_in
from spanflow.viewer_api.store.stream_id import BEGINNING, stream_key

#: A flow begins with one root; of a flow with many, the first ones count.
_MAX_ROOTS: Final = 50


class FlowOwner:
    """It says what `identity_of_flow` says of the same events, but takes them one by one, as a feed reads them: what a
    root says counts most, then what was said last."""

    def __init__(self) -> None:
        #: What each root says, in the order in which they came.
        self._roots: dict[str, str | None] = {}
        self._last: str | None = None
        self._until = BEGINNING

    def note(self, entry_id: str, event: Event) -> None:
        """An entry of the stream; one that was taken in before changes nothing."""
        if stream_key(entry_id) > stream_key(self._until):
            self._until = entry_id
            self._take(event)

    def know(self, entries: list[Event], until: str) -> None:
        """All that the stream holds up to the entry `until`, merged and in start order."""
        self._roots.clear()
        self._last = None
        for entry in entries:
            self._take(entry)
        self._until = until

    @property
    def user_id(self) -> str | None:
        """None while no event names one."""
        return next((said for said in self._roots.values() if said is not None), self._last)

    @property
    def is_sure(self) -> bool:
        """Whether what was said last agrees."""
        return self._last == self.user_id

    def _take(self, event: Event) -> None:
        node_id = event["node_id"]
        if "parent_id" in event and event["parent_id"] is None and len(self._roots) < _MAX_ROOTS:
            self._roots.setdefault(node_id, None)
        user_id = identity_in(event).user_id
        if user_id is not None:
            self._last = user_id
            if node_id in self._roots:
                self._roots[node_id] = user_id
