"""Turns the events of a user's flows into the messages that existing dashboards know, each checkpoint once."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, is_checkpoint
from spanflow.span_processors.identity import NOBODY
from spanflow.span_processors.tree.flow_identity import identity_in
from spanflow.span_processors.tree.legacy_view import CheckpointAncestry, flow_event
from spanflow.span_processors.tree.span_record import SpanRecord

#: Flows that are remembered; the one without news for longest is forgotten.
_MAX_FLOWS: Final = 200


class _FlowMessages:
    def __init__(self, user_id: str) -> None:
        self._user = identity_in({"attributes": {names.ATTR_USER_ID: user_id}})
        #: What spans say of the flow, as `identity_of_flow` weighs it: the root's word counts most, then the newest.
        self._by_spans = self._by_root = NOBODY
        self._roots: set[str] = set()
        self._ancestry = CheckpointAncestry()
        self._records: dict[str, SpanRecord] = {}
        self._sent: set[str] = set()

    def learn(self, event: Event) -> None:
        """Who is above it, and whose it is."""
        self._ancestry.add(event)
        node_id = event["node_id"]
        if event.get("parent_id", node_id) is None:
            self._roots.add(node_id)
        if node_id in self._roots:
            self._by_root = self._by_root.merged(identity_in(event))
        else:
            self._by_spans = self._by_spans.merged(identity_in(event))

    def add(self, event: Event) -> dict[str, Any] | None:
        """The message that is due now, if one is."""
        node_id = event["node_id"]
        if node_id in self._sent:
            return None
        record = self._records.get(node_id)
        if record is None:
            record = self._records[node_id] = SpanRecord(node_id)
        record.add(event)
        entry = record.entry()
        if not _is_due(entry) or not self._ancestry.shows(node_id):
            return None
        self._sent.add(node_id)
        del self._records[node_id]
        whose = self._by_spans.merged(self._by_root).merged(self._user)
        return flow_event(entry, self._ancestry.nearest(node_id), whose)


class LegacyMessages:
    """The state of one client and user."""

    def __init__(self, user_id: str) -> None:
        self._user_id = user_id
        self._flows: OrderedDict[str, _FlowMessages] = OrderedDict()

    def of(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """What these events let the client know, in an order in which nothing comes before what is above it."""
        for event in events:
            # A span that was sent only at its end stands after its descendants.
            self._flow(event["flow_id"]).learn(event)
        due: list[tuple[str, dict[str, Any]]] = []
        for event in events:
            flow_id = event["flow_id"]
            message = self._flow(flow_id).add(event)
            if message is not None:
                due.insert(_place(due, flow_id, message), (flow_id, message))
        return [message for _, message in due]

    def _flow(self, flow_id: str) -> _FlowMessages:
        flow = self._flows.get(flow_id)
        if flow is None:
            flow = self._flows[flow_id] = _FlowMessages(self._user_id)
            if len(self._flows) > _MAX_FLOWS:
                self._flows.popitem(last=False)
        self._flows.move_to_end(flow_id)
        return flow


def _place(due: Sequence[tuple[str, dict[str, Any]]], flow_id: str, message: dict[str, Any]) -> int:
    """At the end; `llm_thinking`, of which clients hear when it starts, before what has started since in its flow."""
    if message["event_type"] == names.LLM_THINKING and message["timestamp"] is not None:
        for position, (other, told) in enumerate(due):
            if other == flow_id and (told["timestamp"] or 0) >= message["timestamp"]:
                return position
    return len(due)


def _is_due(entry: Event) -> bool:
    """`llm_thinking` when it has started, every other checkpoint when it has ended; a merged entry may say both."""
    if entry.get("event_type") == names.LLM_THINKING:
        return True
    return entry["phase"] == names.END and is_checkpoint(entry)
