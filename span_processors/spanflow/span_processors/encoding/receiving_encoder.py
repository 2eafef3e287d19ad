"""The encoder for spans that come from elsewhere, by a protocol that carries only ended ones."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from spanflow.span_processors import flow_part, names
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.event.event import Event, decode, encode
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.redis.mirror import UPDATE, StreamEntry
from spanflow.span_processors.span_attributes import attributes_in_place
from spanflow.span_processors.span_name import name_of
from spanflow.span_processors.tree.span_record import SpanRecord


class ReceivingEncoder(Encoder):
    """One remote process's spans. They stay as they came: an identity that other spans told is not written on roots."""

    #: There may be hundreds of these.
    REMEMBERED_FLOWS = 1000

    def received(self, span: ReadableSpan, now: float) -> None:
        """A span has come after it had ended. All that it says counts as known at its start."""
        context = span.context
        if context is None:
            return
        name, attributes = name_of(span.name), attributes_in_place(span)
        deferred = self.defer_start(span, name, attributes, NOBODY, now)
        # The fast path knows of what the SDK's limits have cut only by the lists that are cut.
        if (
            deferred is None
            or span.dropped_events
            or span.dropped_links
            or not self.encode_complete(span, context, deferred, name, attributes, NOBODY, now)
        ):
            self.ended(span, attributes, now)

    def logged(
        self, place: tuple[int, int], name: str, time_ns: int, attributes: Mapping[str, Any], now: float
    ) -> None:
        """A log record about a span has come: perhaps before the span, or long after it."""
        trace_id, span_id = place
        flow = self._flow(trace_id, now)
        self._redactor.budget = flow.budget
        shown, clean, hidden = self._redactor.event(name, attributes)
        flow.redacted += hidden
        log: dict[str, Any] = {"name": shown, "time_ns": str(time_ns), "record": True}
        if clean:
            log["attributes"] = clean
        said: Event = {"phase": names.UPDATE, "node_id": f"{span_id:016x}", "logs": [log]}  # type: ignore[list-item]
        event = decode(encode({"v": names.EVENT_VERSION, "flow_id": flow.flow_id, **said}))
        self.events.append(StreamEntry(flow.stream, UPDATE, span_id, encode(event)))
        record = SpanRecord(event["node_id"])
        record.add(event)
        flow.begins(time_ns, False)
        self._store(flow, encode(record.entry()))
        if not flow.open:
            self._completion.touched(flow, now)

    def complete_early(self) -> None:
        """There is no room for this encoder any longer: hand over every flow as it is. What comes later is merged."""
        for flow in list(self._flows.values()):
            self._hand_over(flow, flow_part.ROOT_ENDED if flow.finished else flow_part.PRESSURE)

    @staticmethod
    def _beyond(identity: Identity, attributes: Mapping[str, Any]) -> dict[str, str]:
        return {}
