"""Changes of running spans since their last event.

Most instrumentations set attributes after the start and tell no one: a span that began as any other turns out to be a
call of a model, a background response goes from `queued` to `in_progress`. So open spans are compared, on the encoder's
thread and every second, with what was written of them.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan

from spanflow.span_processors import names
from spanflow.span_processors.encoding.open_flows import OpenFlow
from spanflow.span_processors.span_attributes import attributes_of
from spanflow.span_processors.span_name import name_of

#: Seconds between two comparisons of the same span. Flows that are younger have none: most end before.
COMPARE_EVERY: Final = 1.0
#: Spans that are compared at a time: a millisecond.
_HELPING: Final = 1000
#: Seconds until the next helping.
_NEXT_HELPING: Final = 0.02
#: `identify` puts these on every open span, and the root's update tells them for all of the flow.
_IDENTITY: Final = frozenset(
    {
        *(names.ATTR_USER_ID, names.ATTR_SESSION_ID, names.ATTR_CONVERSATION_ID),
        *(names.ATTR_FLOW_SESSION_ID, names.ATTR_SOURCE),
    }
)
_ABSENT: Final = object()


class LateChanges:
    """Goes round all open flows. For the encoder's thread."""

    def __init__(self, flows: Mapping[int, OpenFlow]) -> None:
        self._flows = flows
        self._waiting: deque[int] = deque()
        self._round_at = 0.0

    def next_due(self, now: float) -> float:
        """Seconds until there is something to compare."""
        return _NEXT_HELPING if self._waiting else max(0.0, self._round_at - now)

    def spans(self, now: float) -> Iterator[ReadableSpan]:
        """Those that have changed, as far as they are due now."""
        if not self._waiting:
            if now < self._round_at:
                return
            self._round_at = now + COMPARE_EVERY
            self._waiting = deque(
                trace_id
                for trace_id, flow in self._flows.items()
                if flow.open and now - flow.opened_at >= COMPARE_EVERY
            )
        compared = 0
        while self._waiting and compared < _HELPING:
            flow = self._flows.get(self._waiting.popleft())
            if flow is not None:
                compared += len(flow.open)
                yield from _changed_in(flow)


def _changed_in(flow: OpenFlow) -> Iterator[ReadableSpan]:
    for opened in list(flow.open.values()):
        span = opened.span
        if span.end_time is not None:
            continue  # its end tells all
        name, attributes = name_of(span.name), attributes_of(span)
        if name != opened.now_name or _differ(opened.now_attributes, attributes):
            opened.now_name, opened.now_attributes = name, attributes
            yield span


def _differ(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    if before == now:
        return False
    return any(key not in _IDENTITY and before.get(key, _ABSENT) != value for key, value in now.items())
