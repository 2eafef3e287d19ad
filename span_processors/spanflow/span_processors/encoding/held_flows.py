"""Flows that look like noise are held back until they have ended: well, and they are left out and counted; in any other
way, or with a step of a request in them, and they are told as any other flow.
"""

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan

from spanflow.span_processors import names
from spanflow.span_processors.encoding.noise import Noise
from spanflow.span_processors.encoding.open_flows import OpenFlow
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.redis.mirror_items import IdentityItem, MirrorItem, StreamEntry
from spanflow.span_processors.tree.http_answer import outcome_of

#: A probe that takes longer is worth seeing while it hangs.
HELD_FOR: Final = 5.0
#: What makes more events than these is not noise.
_MOST_ITEMS: Final = 64
_MOST_FLOWS: Final = 1000
_WELL: Final = (None, names.OUTCOME_OK)
#: What a probe may consist of. It may have to sign in; any other checkpoint is a step of a request.
_OF_PROBES: Final = frozenset({names.PLAIN_SPAN, names.AUTH_CHECK})


class _Held:
    """One flow that is held back, with what was to be told of it."""

    __slots__ = ("flow", "has_answered", "items")

    def __init__(self, flow: OpenFlow) -> None:
        self.flow = flow
        self.items: list[MirrorItem] = []
        #: It only waits for a span that some instrumentation perhaps never ends. Known when it takes too long.
        self.has_answered = False


class HeldFlows:
    """What is held back. For the encoder's thread."""

    def __init__(self, noise: Noise | None) -> None:
        self._noise = noise
        self._held: dict[str, _Held] = {}
        #: How many flows were left out.
        self.left_out = 0

    def consider(self, flow: OpenFlow, span: ReadableSpan, name: str, attributes: Mapping[str, Any]) -> None:
        """The flow begins with this span."""
        if self._noise is not None and span.parent is None and self._noise(span.kind, name, attributes):
            self.hold(flow)

    def hold(self, flow: OpenFlow) -> None:
        if not flow.entries and not flow.open and len(self._held) < _MOST_FLOWS:
            self._held[flow.flow_id] = _Held(flow)

    def sift(self, items: list[MirrorItem]) -> list[MirrorItem]:
        """What of these goes on; the rest is held."""
        if not self._held:
            return items
        going: list[MirrorItem] = []
        for item in items:
            flow_id = item.stream.flow_id if isinstance(item, StreamEntry | IdentityItem) else item.flow_id
            held = self._held.get(flow_id)
            if held is None:
                going.append(item)
            else:
                held.items.append(item)
                held.has_answered = False  # of this item it is not known
                if len(held.items) > _MOST_ITEMS:
                    going += self.release(held.flow)
        return going

    def release(self, flow: OpenFlow) -> list[MirrorItem]:
        """It is no noise after all: what was held of it."""
        held = self._held.pop(flow.flow_id, None)
        return [] if held is None else held.items

    def overdue(self, now: float, items: list[MirrorItem]) -> list[MirrorItem]:
        """`items`, after what was held of flows that take too long."""
        late = [held for held in self._held.values() if not held.has_answered and now - held.flow.opened_at >= HELD_FOR]
        if not late:
            return items
        for held in late:
            held.has_answered = held.flow.answered and _is_probe(held.flow)
        return [*(item for held in late if not held.has_answered for item in self.release(held.flow)), *items]

    def conclude(self, flow: OpenFlow, items: list[MirrorItem]) -> list[MirrorItem]:
        """The flow is handed over: left out, or told with what was held of it. What of `items` goes on."""
        if not self._held:
            flow.left_out = False
            return items
        items = self.sift(items)
        if flow.flow_id in self._held and (flow.finished or flow.answered) and _is_probe(flow):
            del self._held[flow.flow_id]
            self.left_out += not flow.left_out
            flow.left_out = True
            return items
        flow.left_out = False
        return [*self.release(flow), *items]


def _is_probe(flow: OpenFlow) -> bool:
    """Whether all that is known of it ended well, or is open, and is no step of a request."""
    entries = (*flow.entries, *(span.entry() for span in flow.open.values()))
    return not flow.activities and all(map(_is_of_probe, entries))


def _is_of_probe(data: bytes) -> bool:
    """A span that did not end badly and is no step of a request."""
    entry = decode(data)
    return (
        entry.get("event_type") in _OF_PROBES
        and entry.get("status") != names.STATUS_ERROR
        and outcome_of(entry).outcome in _WELL
    )
