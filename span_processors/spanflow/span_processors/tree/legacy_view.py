"""What dashboards written before Spanflow see: one flat message per checkpoint.

The Redis channel, the live socket and the routes all show what `flow_event` makes, so they cannot disagree.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, is_checkpoint
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.ids import shown_id
from spanflow.span_processors.tree.flow_identity import identity_in, identity_of_flow
from spanflow.span_processors.tree.same_call import is_same_call
from spanflow.span_processors.tree.tree import NS_PER_MS, time_of

_US_PER_S: Final = 1_000_000
_NS_PER_US: Final = 1_000
#: Where a checkpoint without the existing gateways' own field may say the same in OpenTelemetry's words.
_ALSO: Final = {
    "tool": "gen_ai.tool.name",
    "model": "gen_ai.response.model",
}
_TOKEN_COUNTS: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")


def flow_event(entry: Event, parent_id: str | None, identity: Identity) -> dict[str, Any]:
    """The message of one checkpoint. `parent_id` is its nearest checkpoint ancestor, `identity` the flow's owner."""
    whose = identity_in(entry).merged(identity)
    data = _data(entry)
    message: dict[str, Any] = {
        "type": "flow_event",
        "user_id": shown_id(whose.user_id),
        "session_id": shown_id(whose.session_id),
        "node_id": entry["node_id"],
        "event_type": entry.get("event_type", names.PLAIN_SPAN),
        "parent_id": parent_id,
        "timestamp": _seconds(entry),
        "duration_ms": _duration_ms(entry),
        "status": _own_word(data, "status") or _status(entry),
        "source": _own_word(data, "source") or whose.source or names.DEFAULT_SOURCE,
    }
    if message["status"] is None:
        del message["status"]
    for key, value in data.items():
        message.setdefault(key, value)
    return message


def flow_events(entries: Iterable[Event], identity: Identity | None = None) -> list[dict[str, Any]]:
    """The messages of all checkpoints of one flow, in start order."""
    all_entries = list(entries)
    whose = identity_of_flow(all_entries).merged(identity or Identity())
    ancestry = CheckpointAncestry(all_entries)
    steps = [entry for entry in all_entries if ancestry.shows(entry["node_id"])]
    return [flow_event(entry, ancestry.nearest(entry["node_id"]), whose) for entry in steps]


class CheckpointAncestry:
    """Which spans older dashboards see, and the nearest of them above a span. Feed it what becomes known, in any order.

    Where a gateway reports its own steps, they are all that is shown: what instrumentations of its libraries see
    besides are the same calls once more. Elsewhere the outermost span of a call stands for it.
    """

    def __init__(self, entries: Iterable[Event] = ()) -> None:
        self._parents: dict[str, str | None] = {}
        #: What is known of each, put together.
        self._checkpoints: dict[str, Event] = {}
        #: Those of which the gateway itself says that they are steps.
        self._own: set[str] = set()
        self._reported = False
        for entry in entries:
            self.add(entry)

    def add(self, event: Event) -> None:
        node_id = event["node_id"]
        if "parent_id" in event:
            self._parents[node_id] = event["parent_id"]
        if is_checkpoint(event):
            attributes = event.get("attributes", {})
            if (before := self._checkpoints.get(node_id)) is not None:
                event = {**before, **event, "attributes": {**before.get("attributes", {}), **attributes}}
            self._checkpoints[node_id] = event
            if names.ATTR_CHECKPOINT_TYPE in attributes:
                self._own.add(node_id)
                self._reported = self._reported or names.ATTR_REPORTED in attributes

    def shows(self, node_id: str) -> bool:
        """Whether this span is a step that older dashboards see."""
        if self._reported:
            return node_id in self._own
        entry = self._checkpoints.get(node_id)
        if entry is None:
            return False
        around = next((self._checkpoints[step] for step in self._above(node_id) if step in self._checkpoints), None)
        return around is None or not is_same_call(entry, around)

    def nearest(self, node_id: str) -> str | None:
        """The node id of the nearest step above `node_id`, None when there is none."""
        return next((step for step in self._above(node_id) if self.shows(step)), None)

    def _above(self, node_id: str) -> Iterator[str]:
        """The spans above, the nearest first; each once, also where parents run in a circle."""
        passed = {node_id}
        step = self._parents.get(node_id)
        while step is not None and step not in passed:
            yield step
            passed.add(step)
            step = self._parents.get(step)


def _data(entry: Event) -> dict[str, Any]:
    attributes = entry.get("attributes", {})
    prefix = names.ATTR_DATA_PREFIX
    data = {key[len(prefix) :]: value for key, value in attributes.items() if key.startswith(prefix)}
    for key, other in _ALSO.items():
        if key not in data and other in attributes:
            data[key] = attributes[other]
    counts = [count for name in _TOKEN_COUNTS if isinstance(count := attributes.get(name), int)]
    if counts:
        data.setdefault("tokens", sum(counts))
    if names.ATTR_DENIED_REASON in attributes:
        data.setdefault("reason", attributes[names.ATTR_DENIED_REASON])
    if entry.get("status_message"):
        data.setdefault("error", entry["status_message"])
    return data


def _seconds(entry: Event) -> float | None:
    start = time_of(entry, "start_ns") or time_of(entry, "end_ns")
    return None if start is None else start // _NS_PER_US / _US_PER_S


def _duration_ms(entry: Event) -> float | None:
    start, end = time_of(entry, "start_ns"), time_of(entry, "end_ns")
    if entry["phase"] != names.END or start is None or end is None:
        return None
    return round(max(end - start, 0) / NS_PER_MS, 3)


def _own_word(data: Mapping[str, Any], name: str) -> str | None:
    """What the gateway itself says: such dashboards know its words, not ours."""
    word = data.get(name)
    return word if isinstance(word, str) and word else None


def _status(entry: Event) -> str | None:
    """The outcome in one word; a span that says nothing of it went well. None for a step that the gateway reported
    without a status: dashboards take any word but their own for a failure."""
    if names.ATTR_REPORTED in entry.get("attributes", {}):
        return None
    if entry["phase"] != names.END:
        return names.NODE_RUNNING
    status = entry.get("status", names.STATUS_UNSET)
    return entry.get("outcome") or (names.STATUS_OK if status == names.STATUS_UNSET else status)
