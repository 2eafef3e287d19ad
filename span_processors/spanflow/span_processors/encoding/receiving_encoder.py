"""The encoder for spans that come from elsewhere, by a protocol that carries only ended ones."""

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan

from spanflow.span_processors import flow_part, names
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.fast_path import RECEIVED, SHARED, SpanTemplate
from spanflow.span_processors.encoding.open_flows import OpenFlow
from spanflow.span_processors.event.event import Event, decode, encode
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.redis.mirror_items import END, UPDATE, StreamEntry
from spanflow.span_processors.tree.span_record import SpanRecord

#: Makes a named tuple without the detour over its constructor.
_entry: Final = tuple.__new__


class Received(ReadableSpan):
    """A span as its receiver has read it: what most spans have, in fields of their own."""

    trace_id: int
    span_id: int
    #: 0 where there is none.
    parent_id: int
    flags: int
    is_root: bool
    #: Whether it has no events, no links, no status text and no trace state, and nothing was cut from it.
    is_plain: bool
    #: Its attributes.
    given: Mapping[str, Any]


class ReceivingEncoder(Encoder):
    """One remote process's spans. They stay as they came: an identity that other spans told is not written on roots."""

    #: There may be hundreds of these.
    REMEMBERED_FLOWS = 1000

    def after_fork(self) -> None:
        super().after_fork()
        #: Flows that have got spans since `complete` was called last.
        self._touched: dict[int, OpenFlow] = {}

    def received(self, span: Received, now: float) -> SpanTemplate | None:
        """A span has come after it had ended. All that it says counts as known at its start.

        The template serves `received_like` for every span that differs from this one in ids and times only; None where
        another one may have to be encoded otherwise.
        """
        trace_id, span_id = span.trace_id, span.span_id
        flow = self._flows.get(trace_id) or self._open(trace_id, now)
        self._redactor.budget = flow.budget
        shortened = self._redactor.over_budget
        template = self._spans.template(span)
        if template is None:
            if span.is_root and flow.root is None:
                self._begin(flow, span_id, span.parent_id, span._start_time or 0)
            flow.last_who = None
            self.ended(span, span.given, now)
            return None
        times = span._start_time or 0, span._end_time or 0
        self.received_like(template, trace_id, span_id, span.parent_id, span.is_root, times, now)
        return template if shortened == self._redactor.over_budget else None

    def received_like(
        self,
        template: SpanTemplate,
        trace_id: int,
        span_id: int,
        parent_id: int,
        is_root: bool,
        times: tuple[int, int],
        now: float,
    ) -> None:
        """A span that is like one that came before, but for its ids and times."""
        flow = self._flows.get(trace_id) or self._open(trace_id, now)
        shape, body, tail, hidden, who, attributes = template
        start_ns, end_ns = times
        if is_root:
            if flow.root is None:
                self._begin(flow, span_id, parent_id, start_ns)
            flow.root_ended = True
        if who is not None and who != flow.last_who:
            flow.last_who = who
            self._learn(flow, NOBODY, attributes)
        flow.touched_at = now
        if shape.scope not in flow.scopes:
            flow.use_scope(shape.scope)
        flow.redacted += hidden
        if not flow.started_ns:
            flow.begins(start_ns, False)
        parent = b'"%016x"' % parent_id if parent_id else b"null"
        data = RECEIVED % (flow.id_bytes, span_id, parent, start_ns, body, end_ns, tail)
        self.events.append(_entry(StreamEntry, (flow.stream, END, span_id, data, b"")))
        whole = b"{" + data[SHARED:]
        self._store(flow, whole)
        # Of its start dashboards hear when it has ended, as of all others.
        if shape.is_checkpoint and len(flow.moments) < self._max_spans:
            flow.moments.append(whole)
        if self._notifying:
            self._tell(flow, whole)
        if end_ns > flow.ended_ns:
            flow.ended_ns = end_ns
        self._touched[trace_id] = flow

    @staticmethod
    def _begin(flow: OpenFlow, root: int, parent_id: int, start_ns: int) -> None:
        flow.root = root
        flow.joined = parent_id != 0
        flow.begins(start_ns, True)

    def complete(self, now: float) -> None:
        """Flows are looked at once for all their spans that have come together."""
        touched, self._touched = self._touched, {}
        for flow in touched.values():
            if not flow.open:
                self._completion.touched(flow, now)
        super().complete(now)

    def _hand_over(self, flow: OpenFlow, reason: str) -> None:
        self._touched.pop(flow.trace_id, None)
        super()._hand_over(flow, reason)

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
