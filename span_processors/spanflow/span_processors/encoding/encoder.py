"""Turns spans into events: once each, redacted, safe, with nothing said twice. Runs on the encoder's thread only."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from spanflow.span_processors import flow_part
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.encoding.clean_attributes import says_who
from spanflow.span_processors.encoding.completion import Completion, CompletionLimits
from spanflow.span_processors.encoding.fast_path import SHARED, Ended
from spanflow.span_processors.encoding.held_flows import HeldFlows
from spanflow.span_processors.encoding.known_identities import KnownIdentities
from spanflow.span_processors.encoding.late_changes import LateChanges
from spanflow.span_processors.encoding.noise import Noise
from spanflow.span_processors.encoding.notifications import notification_for
from spanflow.span_processors.encoding.open_flows import SPAN_WEIGHT, FlowMemory, OpenFlow, OpenSpan, said_beside
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.encoding.retelling import RETELL_AFTER, Retelling, renewed
from spanflow.span_processors.encoding.shapes import NOTIFY_AT_START
from spanflow.span_processors.encoding.span_encoder import SpanEncoder
from spanflow.span_processors.encoding.span_events import Classifier, classify, identity_beyond, unsaid
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.event.json_safe import SafeValues
from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redaction.text_budget import TextBudget
from spanflow.span_processors.redis.mirror_items import (
    END,
    START,
    UPDATE,
    ActivityItem,
    IdentityItem,
    MirrorItem,
    StreamEntry,
)
from spanflow.span_processors.redis.stream_state import StreamState
from spanflow.span_processors.redis.watched import Watched
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.span_attributes import shared_attributes_of

_NOTHING: Final[Mapping[str, Any]] = {}
#: What is known of a span whose start is not written before its end: its type, and where its moment belongs among the
#: flow's moments if dashboards hear of its start.
DeferredStart: TypeAlias = tuple[str, int | None]
#: Where a span's context says that it came from another process; its property costs a call.
_IS_REMOTE: Final = 2
#: Makes a named tuple without the detour over its constructor.
_entry: Final = tuple.__new__


class Encoder:
    """The state of all open flows of this process, and what is to be sent because of them.

    Fork: the child drops all of it (`after_fork`); what was open at the fork is the parent's to tell.
    """

    REMEMBERED_FLOWS = 10_000  # that were handed over and are known to spans that come later

    def __init__(
        self,
        settings: Settings,
        *,
        process: ProcessInfo,
        watched: Watched,
        redactor: Redactor,
        classifier: Classifier = classify,
        archiving: bool = True,
    ) -> None:
        self._settings = settings
        self._process = process
        self._watched = watched
        self._metadata = Metadata.from_settings(settings)
        self._redactor = redactor = redactor.for_flows()
        self._spans = SpanEncoder(process, redactor, classifier)
        self._event_type = self._spans.event_type
        self._max_spans = settings.max_flow_spans
        self._max_bytes = settings.max_flow_bytes
        self._archiving = archiving
        self._noise = Noise.from_settings(settings)
        self.after_fork()

    def after_fork(self) -> None:
        self._spans.after_fork()
        self._redactor.over_budget = 0
        identities = KnownIdentities()
        self._learn, self._learn_from_span = identities.learn, identities.learn_from_span
        self._flows: dict[int, OpenFlow] = {}
        self._memory = FlowMemory(self.REMEMBERED_FLOWS)
        self._completion = Completion(CompletionLimits.from_settings(self._settings))
        self._bytes = 0
        self._news: dict[int, OpenFlow] = {}
        self._watched_version = 0
        #: What the pipeline writes once more when the mirror has lost everything.
        self.retelling = Retelling(self._flows)
        #: Running spans that have changed without a word; the pipeline has them updated.
        self.late_changes = LateChanges(self._flows)
        #: Flows that look like noise.
        self.held = HeldFlows(self._noise)
        # Whether any user is watched, checked once per batch.
        self._notifying = False
        #: What goes to the mirror and to the archive; the pipeline takes and replaces them.
        self.events: list[MirrorItem] = []
        self.parts: list[FlowPart] = []
        self.finished_ids: list[str] = []

    def __len__(self) -> int:
        return len(self._flows)

    @property
    def open_bytes(self) -> int:
        return self._bytes

    @property
    def shortened_texts(self) -> int:
        """Texts that were shortened because their flow had used up what is searched of one."""
        return self._redactor.over_budget

    # -- what comes from the requests ----------------------------------------------------------------------------------

    def started(
        self, span: ReadableSpan, name: str, attributes: Mapping[str, Any], identity: Identity, now: float
    ) -> None:
        """A span has started. `name` and `attributes` are as they were at that moment."""
        context = span.context
        if context is None:
            return
        trace_id, span_id, *_ = context
        flow = self._flows.get(trace_id) or self._open(trace_id, now)
        flow.touched_at = now
        more: Mapping[str, Any] = shared_attributes_of(span)
        self._learn_from_span(flow, identity, attributes, more, bool(attributes) and says_who(attributes))
        parent = span.parent
        is_root = parent is None or parent.is_remote
        if is_root and (flow.root is None or flow.root == span_id):
            flow.root = span_id
            flow.joined = parent is not None
            self.held.consider(flow, span, name, attributes)
            more = said_beside(flow, attributes)
        self._redactor.budget = flow.budget
        data, shape, links, hidden, types = self._spans.start(flow.id_bytes, span, name, attributes, more)
        flow.use_scope(shape.scope)
        if hidden:
            flow.redacted += hidden
        if span_id == flow.root or not flow.started_ns:
            flow.begins(span.start_time or 0, span_id == flow.root)
        self.events.append(_entry(StreamEntry, (flow.stream, START, span_id, data, b"")))
        if shape.rings_at_start and len(flow.moments) < self._max_spans:
            flow.moments.append(data)
        if self._notifying:
            self._tell(flow, data)
        if span_id not in flow.open and (flow.early_ends is None or span_id not in flow.early_ends):
            self._hold(flow, OpenSpan(span, span_id, name, attributes, data, shape, links, types, is_root, more))

    def updated(self, span: ReadableSpan, name: str, attributes: Mapping[str, Any], now_ns: int, now: float) -> None:
        """A running span has got a new name or new attributes."""
        context = span.context
        flow = None if context is None else self._flows.get(context.trace_id)
        if context is None or flow is None:
            return
        opened = flow.open.get(context.span_id)
        if opened is None:
            return
        flow.touched_at = now
        self._learn(flow, NOBODY, attributes)
        self._write_update(flow, context.span_id, opened, name, attributes, now_ns)

    def ended(self, span: ReadableSpan, attributes: Mapping[str, Any], now: float) -> None:
        """A span has ended; nothing about it changes any more."""
        context = span.context
        if context is None:
            return
        trace_id, span_id, *_ = context
        flow = self._flows.get(trace_id) or self._open(trace_id, now)
        flow.touched_at = now
        self._redactor.budget = flow.budget
        opened = flow.open.pop(span_id, None)
        if opened is None:
            data, whole, notifies, hidden = self._ended_without_start(flow, span, attributes)
        else:
            if len(attributes) != len(opened.attributes) and says_who(attributes):
                self._learn_from_span(flow, NOBODY, attributes, shared_attributes_of(span), True)
            more = self._identity_since(flow, opened, attributes) if span_id == flow.root else _NOTHING
            data, whole, notifies, hidden = self._spans.end(flow.id_bytes, span, attributes, opened, more)
            weight = len(opened.data) + SPAN_WEIGHT
            flow.bytes -= weight
            self._bytes -= weight
            if opened.is_root:
                flow.open_roots -= 1
                flow.root_ended = True
        if hidden:
            flow.redacted += hidden
        self.events.append(_entry(StreamEntry, (flow.stream, END, span_id, data, whole)))
        self._keep(flow, whole, notifies)
        end_ns = span.end_time or 0
        if end_ns > flow.ended_ns:
            flow.ended_ns = end_ns
        if not flow.open:
            self._completion.touched(flow, now)

    def defer_start(
        self, span: ReadableSpan, name: str, attributes: Mapping[str, Any], identity: Identity, now: float
    ) -> DeferredStart | None:
        """A span has started and its end is queued already: nothing is written until `encode_complete` is called.

        None when dashboards are to hear of its start.
        """
        event_type = self._event_type(name, attributes)
        parent = span.parent
        is_root = parent is None or parent[_IS_REMOTE]
        tells = event_type in NOTIFY_AT_START
        if not is_root and not tells:
            return event_type, None
        context = span.context
        if context is None or (tells and self._notifying):
            return None
        trace_id, span_id, *_ = context
        flow = self._flows.get(trace_id) or self._open(trace_id, now)
        if is_root and flow.root is None:
            flow.root = span_id
            flow.joined = parent is not None
            self.held.consider(flow, span, name, attributes)
            self._learn(flow, identity, attributes)
        return event_type, len(flow.moments) if tells else None

    def encode_complete(
        self,
        span: ReadableSpan,
        context: SpanContext,
        defer_start: DeferredStart,
        name: str,
        before: Mapping[str, Any],
        identity: Identity,
        now: float,
    ) -> bool:
        """A span has ended whose start was put off: one entry instead of two.

        `context`, `name`, `before` and `identity` are what its start had. False when it takes two entries after all.
        """
        try:
            parent, start_ns, end_ns = span._parent, span._start_time or 0, span._end_time or 0
            attributes = span._attributes._dict  # type: ignore[union-attr]
        except AttributeError:
            return False
        # Ids of spans are only unique within their trace: another flow's span may have the same.
        flow = self._flows.get(context[0]) if context is span._context else None
        if flow is None:
            return False
        event_type, moment = defer_start
        is_root = parent is None or parent[_IS_REMOTE]
        shared = shared_attributes_of(span)
        more = said_beside(flow, before) if context[1] == flow.root else shared
        beyond = unsaid(more, attributes)
        if beyond is None or (shared and beyond is not more):
            return False
        self._redactor.budget = flow.budget
        complete = self._spans.complete(flow.id_bytes, span, attributes, event_type, name, before, beyond)
        if complete is None:
            return False
        data, shape, hidden, tells_who = complete
        self._learn_from_span(flow, identity, attributes, shared, tells_who)
        flow.touched_at = now
        flow.use_scope(shape.scope)
        flow.redacted += hidden
        if context[1] == flow.root or not flow.started_ns:
            flow.begins(start_ns, context[1] == flow.root)
        self.events.append(_entry(StreamEntry, (flow.stream, END, context[1], data, b"")))
        whole = b"{" + data[SHARED:]
        self._keep(flow, whole, shape.notifies_at_end)
        if moment is not None and len(flow.moments) < self._max_spans:
            flow.moments.insert(moment, whole)
        if end_ns > flow.ended_ns:
            flow.ended_ns = end_ns
        if is_root:
            flow.root_ended = True
        if not flow.open:
            self._completion.touched(flow, now)
        return True

    def identify(self, trace_id: int, identity: Identity, now_ns: int, now: float) -> None:
        """Whose flow it is has become known, or more about them."""
        flow = self._flow(trace_id, now)
        before = flow.identity
        flow.told = flow.told.merged(identity)
        self._learn(flow, flow.told, _NOTHING)
        if flow.identity == before:
            return
        root = flow.open.get(flow.root) if flow.root is not None else None
        if root is not None and flow.root is not None:
            self._write_update(flow, flow.root, root, root.now_name, root.now_attributes, now_ns)
        else:
            self.events.append(IdentityItem(flow.stream))
        self._completion.touched(flow, now)

    def activity(self, trace_id: int, activity: Activity, now: float) -> None:
        """Something the person saw belongs to this flow."""
        flow = self._flow(trace_id, now)
        self.events += self.held.release(flow)
        self._learn(
            flow,
            Identity(
                user_id=activity.user_id, session_id=activity.session_id, conversation_id=activity.conversation_id
            ),
            _NOTHING,
        )
        self._redactor.budget = flow.budget
        recorded, hidden = self._redactor.recorded(activity.data)
        flow.redacted += hidden
        data = replace(activity, data=SafeValues().convert(dict(recorded))[0]).to_bytes()
        flow.add_activity(data)
        self.events.append(ActivityItem(flow.flow_id, data))
        flow.bytes += len(data)
        self._bytes += len(data)
        if self._archiving and activity.numbered:
            self.parts.append(flow.ahead(data, self._process.instance_id))
        self._completion.touched(flow, now)

    def end_flow(self, trace_id: int, now: float) -> None:
        """The caller says that the flow is over."""
        flow = self._flows.get(trace_id)
        if flow is not None:
            flow.root_ended = True
            self._hand_over(flow, flow_part.ENDED_BY_CALLER)

    # -- between batches -----------------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Tell those who watch a user of a flow that has news, or who has just been found to be watched."""
        news, self._news = self._news, {}
        self._notifying = self._watched.any_watched()
        if self._watched_version != self._watched.version:
            self._watched_version = self._watched.version
            news = self._flows
        if not self._notifying:
            return
        for flow in news.values():
            ring = notification_for(flow, self._watched, self._metadata)
            if ring is not None:
                self.events.append(ring)

    def complete(self, now: float) -> None:
        """Hand over what is complete, what is not waited for any longer, and what there is no room for."""
        for trace_id in self._completion.graced(now):
            self._hand_over(self._flows[trace_id], flow_part.ROOT_ENDED)
        for flow, reason in self._completion.overdue(self._flows.values(), now):
            self._hand_over(flow, reason)
        self.events = self.held.overdue(now, self.events)
        if len(self._flows) > self._settings.open_flows or self._bytes > self._settings.open_flows_bytes:
            self._relieve()

    def complete_finished(self) -> None:
        """Do not wait for the grace period of flows that look finished: a flush is in progress."""
        for trace_id in self._completion.finished():
            self._hand_over(self._flows[trace_id], flow_part.ROOT_ENDED)

    def complete_all(self) -> None:
        """The process is ending: hand over every flow as it is."""
        for flow in list(self._flows.values()):
            self._hand_over(flow, flow_part.ROOT_ENDED if flow.finished else flow_part.SHUTDOWN)

    def next_due(self, now: float) -> float:
        if self.retelling:
            return RETELL_AFTER
        due = self._completion.next_due(now, bool(self._flows))
        return min(due, self.late_changes.next_due(now)) if self._flows else due

    # -- the parts -----------------------------------------------------------------------------------------------------

    def _open(self, trace_id: int, now: float) -> OpenFlow:
        stream = StreamState(f"{trace_id:032x}", self._settings.stream_maxlen)
        flow = self._flows[trace_id] = OpenFlow(trace_id, stream, TextBudget(self._settings.max_flow_text), now)
        remembered = self._memory.recall(flow)
        if remembered is not NOBODY:
            self._learn(flow, remembered, _NOTHING)
        if flow.left_out:
            self.held.hold(flow)
        return flow

    def _flow(self, trace_id: int, now: float) -> OpenFlow:
        """A flow that something happens to which is no start and no end."""
        flow = self._flows.get(trace_id) or self._open(trace_id, now)
        flow.touched_at = now
        self._news[trace_id] = flow
        return flow

    def _hold(self, flow: OpenFlow, opened: OpenSpan) -> None:
        """A span that has started is remembered until it ends."""
        self._written(flow)
        still_open = flow.open
        if not still_open:
            self._completion.busy(flow.trace_id)
        if len(still_open) + len(flow.entries) < self._max_spans:
            still_open[opened.span_id] = opened
            weight = len(opened.data) + SPAN_WEIGHT
            flow.bytes += weight
            self._bytes += weight
            if opened.is_root:
                flow.open_roots += 1

    def _written(self, flow: OpenFlow) -> None:
        flow.written += 1
        if flow.written >= flow.renew_at:
            self.events += renewed(flow)

    def _keep(self, flow: OpenFlow, whole: bytes, notifies: bool) -> None:
        """An ended span is remembered for the archive and for those who hear of it."""
        self._store(flow, whole)
        if notifies and len(flow.moments) < self._max_spans:
            flow.moments.append(whole)
        if self._notifying:
            self._tell(flow, whole)

    def _store(self, flow: OpenFlow, whole: bytes) -> None:
        """An entry is remembered for the archive."""
        flow.written += 1
        if flow.written >= flow.renew_at:
            self.events += renewed(flow)
        weight = len(whole)
        if len(flow.entries) < self._max_spans and flow.bytes + weight <= self._max_bytes:
            flow.entries.append(whole)
            flow.bytes += weight
            self._bytes += weight
        else:
            flow.cut_spans += 1
            flow.cut_bytes += weight

    def _tell(self, flow: OpenFlow, data: bytes) -> None:
        """A user is watched, perhaps this flow's: mark it as changed."""
        self._news[flow.trace_id] = flow
        if flow.ancestry is not None:
            flow.ancestry.add(decode(data))

    def _write_update(
        self, flow: OpenFlow, span_id: int, opened: OpenSpan, name: str, attributes: Mapping[str, Any], now_ns: int
    ) -> None:
        opened.now_name, opened.now_attributes = name, attributes
        more = self._identity_since(flow, opened, attributes) if span_id == flow.root else _NOTHING
        self._redactor.budget = flow.budget
        opened.last_update = self._spans.update(flow.id_bytes, name, attributes, opened, more, now_ns)
        self.events.append(StreamEntry(flow.stream, UPDATE, span_id, opened.last_update))
        self._written(flow)
        self._news[flow.trace_id] = flow

    def _identity_since(self, flow: OpenFlow, opened: OpenSpan, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the root says of the identity beyond its own attributes, as far as its start did not say it."""
        if flow.last_identity is NOBODY and not opened.more:
            return _NOTHING
        sent = opened.more
        return {key: value for key, value in identity_beyond(flow.stated, attributes).items() if sent.get(key) != value}

    _beyond = staticmethod(identity_beyond)  # said by a root whose start was not seen

    def _ended_without_start(self, flow: OpenFlow, span: ReadableSpan, attributes: Mapping[str, Any]) -> Ended:
        assert span.context is not None
        attributes = {**shared_attributes_of(span), **attributes}
        self._learn(flow, NOBODY, attributes)
        is_root = span.parent is None or span.parent.is_remote
        more = self._beyond(flow.stated, attributes) if is_root else _NOTHING
        ended = self._spans.whole_end(flow.id_bytes, span, attributes, more)
        flow.use_scope(self._process.scope(span.instrumentation_scope))
        flow.begins(span.start_time or 0, is_root and flow.root is None)
        if is_root:
            flow.end_root(span.context.span_id)
        flow.add_early_end(span.context.span_id)
        return ended

    def _hand_over(self, flow: OpenFlow, reason: str) -> None:
        """Give the flow to the archive and forget it; what comes later makes a further part."""
        self._completion.forget(flow)
        del self._flows[flow.trace_id]
        self._bytes -= flow.bytes
        self.events = self.held.conclude(flow, self.events)
        self._memory.remember(flow)
        # While no user was watched no changes were marked: a watch may have begun since the last check.
        has_news = self._news.pop(flow.trace_id, None) is not None
        if flow.left_out:
            return
        if has_news or self._watched_version != self._watched.version:
            ring = notification_for(flow, self._watched, self._metadata)
            if ring is not None:
                self.events.append(ring)
        part = flow.part(self._process.instance_id, self._process.description_with(flow.scopes), reason)
        if self._archiving:
            self.parts.append(part)
        elif part.settles_flow:
            self.finished_ids.append(flow.flow_id)

    def _relieve(self) -> None:
        """Hand over the flows that were quiet longest until a tenth of the room is free."""
        number, bytes_ = int(self._settings.open_flows * 0.9), int(self._settings.open_flows_bytes * 0.9)
        for flow in sorted(self._flows.values(), key=lambda flow: flow.touched_at):
            if len(self._flows) <= number and self._bytes <= bytes_:
                return
            self._hand_over(flow, flow_part.PRESSURE)
