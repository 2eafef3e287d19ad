"""What the encoder remembers of flows and spans that are not finished. One thread owns all of it."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from opentelemetry.sdk.trace import ReadableSpan

from spanflow.span_processors.encoding.clean_attributes import Who
from spanflow.span_processors.encoding.process_info import Scope
from spanflow.span_processors.encoding.shapes import Shape
from spanflow.span_processors.encoding.span_events import identity_beyond
from spanflow.span_processors.flow_part import ACTIVITIES, FlowPart
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.redaction.text_budget import TextBudget
from spanflow.span_processors.redis.stream_state import StreamState
from spanflow.span_processors.tree.identity_aliases import NO_ALIASES, AliasValues
from spanflow.span_processors.tree.legacy_view import CheckpointAncestry
from spanflow.span_processors.tree.span_record import merged

#: Ends without a start that are remembered per flow, should their starts come yet.
_MOST_EARLY_ENDS: Final = 10_000
_NO_ROOTS: Final[frozenset[int]] = frozenset()
#: What an open span occupies beside its encoded start, roughly.
SPAN_WEIGHT: Final = 512
#: Fields that all events of a span share; they are no part of a merged entry.
SHARED_FIELDS: Final = frozenset({"v", "flow_id", "node_id"})
#: Scopes by which a flow is described. Beyond, events still name theirs.
_MOST_FLOW_SCOPES: Final = 256


class OpenSpan:
    """A span that has started and not ended."""

    __slots__ = (
        "attributes",
        "data",
        "is_root",
        "last_update",
        "links",
        "more",
        "name",
        "now_attributes",
        "now_name",
        "shape",
        "span",
        "span_id",
        "types",
    )

    def __init__(
        self,
        span: ReadableSpan,
        span_id: int,
        name: str,
        attributes: Mapping[str, Any],
        data: bytes,
        shape: Shape,
        links: int,
        types: bytes | None,
        is_root: bool,
        more: Mapping[str, Any],
    ) -> None:
        #: The application's own, which goes on changing.
        self.span = span
        self.span_id = span_id
        #: As the application set them at the start, to see at the end what has changed.
        self.name = name
        self.attributes = attributes
        #: The start event as it was written, how many links it told, and its `types`; None where no end may be spliced
        #: onto it.
        self.data = data
        self.shape = shape
        self.links = links
        self.types = types
        self.is_root = is_root
        #: What the start said of the identity beside the span's own attributes.
        self.more = more
        #: As the application has them now, as far as we were told, and the event that told it last.
        self.now_name = name
        self.now_attributes = attributes
        self.last_update = b""

    @property
    def told(self) -> Mapping[str, Any]:
        """All attributes that the start said."""
        return {**self.attributes, **self.more} if self.more else self.attributes

    def entry(self) -> bytes:
        """All that was written of it so far, as one entry."""
        if not self.last_update:
            return self.data
        return orjson.dumps(merged(f"{self.span_id:016x}", own_fields(self.data), own_fields(self.last_update)))


def own_fields(event: bytes) -> dict[str, Any]:
    """What an event says of its span, without the fields that all events share and a merged entry has not."""
    return {key: value for key, value in orjson.loads(event).items() if key not in SHARED_FIELDS}


class OpenFlow:
    """Everything this process knows about one flow that is not handed over yet."""

    __slots__ = (
        "activities",
        "aliases",
        "budget",
        "bytes",
        "cut_bytes",
        "cut_spans",
        "ancestry",
        "early_ends",
        "ended_ns",
        "entries",
        "flow_id",
        "id_bytes",
        "identity",
        "last_identity",
        "last_said",
        "last_shared",
        "last_who",
        "left_out",
        "moments",
        "open",
        "open_roots",
        "opened_at",
        "parked_roots",
        "redacted",
        "renew_at",
        "root",
        "root_ended",
        "scopes",
        "joined",
        "started_ns",
        "stated",
        "told",
        "stream",
        "touched_at",
        "trace_id",
        "written",
    )

    def __init__(self, trace_id: int, stream: StreamState, budget: TextBudget, now: float) -> None:
        self.trace_id = trace_id
        self.flow_id = stream.flow_id
        self.id_bytes = stream.flow_id.encode()
        self.stream = stream
        self.budget = budget
        self.identity: Identity = NOBODY
        #: What of it the gateway itself said, and what other instrumentations said in attributes of their own.
        self.stated: Identity = NOBODY
        #: What `identify` said of this flow.
        self.told: Identity = NOBODY
        self.aliases: AliasValues = NO_ALIASES
        #: What the identity was learned from last, to see at a glance that there is nothing new.
        self.last_identity: Identity = NOBODY
        self.last_said: tuple[Any, Any, Any] = (None, None, None)
        self.last_shared: Mapping[str, Any] | None = None
        self.last_who: Who | None = None
        self.entries: list[bytes] = []
        # Most flows have no activities and no early ends; an empty container per flow would only feed the collector.
        self.activities: list[bytes] | None = None
        self.bytes = 0
        self.open: dict[int, OpenSpan] = {}
        #: The first local root: the span that carries the identity when it comes late.
        self.root: int | None = None
        self.open_roots = 0
        #: Roots that were open when an earlier part of the flow was handed over, and have not ended since.
        self.parked_roots: frozenset[int] = _NO_ROOTS
        self.root_ended = False
        #: The first local root was called by another process, in which the flow began.
        self.joined = False
        self.started_ns = 0
        self.ended_ns = 0
        self.opened_at = now
        self.touched_at = now
        #: Encoded checkpoints of which dashboards have not heard, in the order in which they will if they do.
        self.moments: list[bytes] = []
        #: Who stands above whom, as far as dashboards have been told anything yet.
        self.ancestry: CheckpointAncestry | None = None
        #: Spans whose end came without, or before, their start; a start that comes later does not open them.
        self.early_ends: set[int] | None = None
        #: Events written so far, and with how many the open spans are written once more.
        self.written = 0
        self.renew_at = stream.maxlen // 2
        self.cut_spans = 0
        self.cut_bytes = 0
        self.redacted = 0
        #: An earlier part of it was noise, and left out.
        self.left_out = False
        #: What its spans were made by.
        self.scopes: tuple[Scope, ...] = ()

    def use_scope(self, scope: Scope | None) -> None:
        """One of its spans has this scope."""
        if scope is not None and scope not in self.scopes and len(self.scopes) < _MOST_FLOW_SCOPES:
            self.scopes += (scope,)

    def add_activity(self, data: bytes) -> None:
        if self.activities is None:
            self.activities = []
        self.activities.append(data)

    def begins(self, start_ns: int, with_root: bool) -> None:
        """A span of it began then. The flow begins with its root, and until that has come with what was seen first."""
        if start_ns and (with_root or not self.started_ns):
            self.started_ns = start_ns
            self.stream.started_s = start_ns / 1e9

    def add_early_end(self, span_id: int) -> None:
        if self.early_ends is None:
            self.early_ends = set()
        if len(self.early_ends) < _MOST_EARLY_ENDS:
            self.early_ends.add(span_id)

    @property
    def finished(self) -> bool:
        """Nothing is open, and its root has ended here or never was here: complete after the grace."""
        return not self.open and not self.parked_roots and (self.root_ended or self.root is None)

    @property
    def answered(self) -> bool:
        """Every root has ended here, whatever else has not."""
        return self.root_ended and not self.open_roots and not self.parked_roots

    def end_root(self, span_id: int) -> None:
        """A local root has ended whose start is not in memory."""
        self.root_ended = True
        self.parked_roots -= {span_id}

    def ahead(self, activity: bytes, instance_id: str) -> FlowPart:
        """An activity that is stored before its flow. It comes with the flow once more, and is stored once."""
        return FlowPart(
            flow_id=self.flow_id,
            instance_id=instance_id,
            entries=(),
            identity=self.identity,
            activities=(activity,),
            started_ns=self.started_ns,
            reason=ACTIVITIES,
        )

    def part(self, instance_id: str, process: bytes, reason: str) -> FlowPart:
        """What the archive gets: ended spans as merged entries, open ones as their starts."""
        return FlowPart(
            flow_id=self.flow_id,
            instance_id=instance_id,
            entries=(*self.entries, *(span.entry() for span in self.open.values())),
            process=process,
            identity=self.identity,
            activities=tuple(self.activities or ()),
            started_ns=self.started_ns,
            ended_ns=self.ended_ns,
            root_ended=self.answered,
            # Spans whose root was never here (a forked worker's, or what comes very late) settle nothing either.
            joined=self.joined or (self.root is None and not self.root_ended),
            reason=reason,
            cut_spans=self.cut_spans,
            cut_bytes=self.cut_bytes,
            redacted=self.redacted,
        )


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a flow that was handed over."""

    identity: Identity = NOBODY
    root: int | None = None
    root_ended: bool = False
    joined: bool = False
    #: The roots that had not ended.
    open_roots: frozenset[int] = _NO_ROOTS
    budget: TextBudget | None = None
    left_out: bool = False


_UNKNOWN: Final = Remembered()


class FlowMemory:
    """What is known of flows that were handed over, for spans that come later. Bounded; the oldest goes first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._flows: OrderedDict[int, Remembered] = OrderedDict()

    def remember(self, flow: OpenFlow) -> None:
        open_roots = flow.parked_roots
        if flow.open_roots:
            open_roots |= {span.span_id for span in flow.open.values() if span.is_root}
        self._flows[flow.trace_id] = Remembered(
            flow.identity, flow.root, flow.root_ended, flow.joined, open_roots, flow.budget, flow.left_out
        )
        self._flows.move_to_end(flow.trace_id)
        if len(self._flows) > self._capacity:
            self._flows.popitem(last=False)

    def recall(self, flow: OpenFlow) -> Identity:
        """Put `flow` where it was when it was handed over; returns whose it was."""
        remembered = self._flows.get(flow.trace_id, _UNKNOWN)
        flow.root, flow.root_ended, flow.joined = remembered.root, remembered.root_ended, remembered.joined
        flow.parked_roots = remembered.open_roots
        flow.left_out = remembered.left_out
        if remembered.budget is not None:
            flow.budget = remembered.budget
        return remembered.identity


def said_beside(flow: OpenFlow, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the root says of the identity beside its own attributes."""
    if flow.last_identity is NOBODY:
        # All that is known stands in attributes already; other spans' are theirs to tell.
        return {}
    return identity_beyond(flow.stated, attributes)
