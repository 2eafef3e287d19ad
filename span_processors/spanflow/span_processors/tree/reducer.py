"""Events in, a tree out. The same set of events gives the same tree, in any order, duplication and batching.

The dashboard's TypeScript twin is `viewer_api/web/src/reducer/`; both run the vectors in `tests/vectors/`.
"""

from collections.abc import Iterable

from spanflow.span_processors.event.event import Event, checked
from spanflow.span_processors.tree.span_record import SpanRecord
from spanflow.span_processors.tree.tree import Outlook, Tree, build_tree, in_start_order


class FlowReducer:
    """Everything that is known about one flow. Not safe for threads: one owner at a time."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._records: dict[str, SpanRecord] = {}
        self.add_all(events)

    def __len__(self) -> int:
        """How many spans have been seen."""
        return len(self._records)

    def add(self, event: Event) -> None:
        """Take in an event, a merged entry, or an event of a gateway older than Spanflow; `EventError` for anything
        else. The event is kept, not copied: do not change it afterwards."""
        event = checked(event)
        node_id = event["node_id"]
        record = self._records.get(node_id)
        if record is None:
            record = self._records[node_id] = SpanRecord(node_id)
        record.add(event)

    def add_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self.add(event)

    def entries(self) -> list[Event]:
        """One merged entry per span, in start order; each is itself a valid input. They are shared: do not change
        them."""
        return in_start_order(record.entry() for record in self._records.values())

    def tree(self, outlook: Outlook | None = None) -> Tree:
        """The flow as a tree; `outlook` is what else is known (the time, which processes live), for open spans."""
        return build_tree(self.entries(), outlook)
