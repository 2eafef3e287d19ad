"""What is written to the mirror once more, because its first writing is lost or was trimmed away."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from spanflow.span_processors.encoding.open_flows import OpenFlow, OpenSpan
from spanflow.span_processors.redis.mirror_items import (
    END,
    START,
    UPDATE,
    ActivityItem,
    IdentityItem,
    LongFlow,
    MirrorItem,
    StreamEntry,
)

#: Seconds between two helpings, in which the mirror delivers.
RETELL_AFTER: Final = 0.02


class Retelling:
    """After Redis has lost everything: which open flows are still to be written once more. For the encoder's thread."""

    def __init__(self, flows: Mapping[int, OpenFlow]) -> None:
        self._flows = flows
        self._waiting: deque[int] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def begin(self) -> None:
        """Every flow that is open now."""
        self._waiting = deque(self._flows)

    def items(self, most: int) -> list[MirrorItem]:
        """The next flows as a whole, until there are about so many items."""
        items: list[MirrorItem] = []
        while self._waiting and len(items) < most:
            flow = self._flows.get(self._waiting.popleft())
            if flow is not None:
                items += whole_flow(flow)
        return items


def whole_flow(flow: OpenFlow) -> Iterator[MirrorItem]:
    """Its spans and its activities, as far as they are in memory. What is in the stream already does no harm there."""
    yield from open_spans(flow)
    for entry in flow.entries:
        yield StreamEntry(flow.stream, END, 0, entry)
    for activity in flow.activities or ():
        yield ActivityItem(flow.flow_id, activity)
    yield IdentityItem(flow.stream)


def open_spans(flow: OpenFlow) -> Iterator[StreamEntry]:
    """The spans that have not ended, as they are now."""
    for span in flow.open.values():
        yield from _open_span(flow, span)


def _open_span(flow: OpenFlow, span: OpenSpan) -> Iterator[StreamEntry]:
    yield StreamEntry(flow.stream, START, span.span_id, span.data)
    if span.last_update:
        yield StreamEntry(flow.stream, UPDATE, span.span_id, span.last_update)


def renewed(flow: OpenFlow) -> Iterator[MirrorItem]:
    """Half a stream has been written since the last time: the starts of what is open are written once more before they
    are trimmed away, the root's first and not more than leaves room for what comes. From now on ends say all."""
    stream = flow.stream
    flow.renew_at = flow.written + max(1, stream.maxlen // 2)
    stream.trim()
    most = max(1, stream.maxlen // 4)
    spans = sorted(flow.open.values(), key=lambda span: not span.is_root)
    for span in spans[:most]:
        yield from _open_span(flow, span)
    yield LongFlow(flow.flow_id, len(flow.open) + len(flow.entries) + flow.cut_spans)
