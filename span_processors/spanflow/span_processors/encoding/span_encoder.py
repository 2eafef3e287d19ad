"""One span's start, update and end as bytes: quickly when nothing about it is unusual, thoroughly when something is.

Both ways give the same events; a property test holds them together.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import orjson
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from spanflow.span_processors import names
from spanflow.span_processors.encoding.event_bytes import CleanAttributes, EndWriter, Shape, start_bytes
from spanflow.span_processors.encoding.open_flows import OpenSpan
from spanflow.span_processors.encoding.rings import rings_at_end, rings_at_start
from spanflow.span_processors.encoding.span_events import (
    Classifier,
    Part,
    cut_of,
    end_part,
    kind_of,
    links_of,
    logs_of,
    made_plain,
    start_part,
    to_json,
)
from spanflow.span_processors.encoding.this_process import ThisProcess
from spanflow.span_processors.event.json_safe import safe_text
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.tree.span_record import merged

_NOTHING: Final[Mapping[str, Any]] = {}
_ABSENT: Final = object()
_REMEMBERED_SHAPES: Final = 4096
_LONGEST_TYPE: Final = 64
#: Fields that all events of a flow share; they are not part of a merged entry.
_SHARED: Final = frozenset({"v", "flow_id", "node_id"})


#: The start event, its shape, how many links it tells, how many values were hidden, and whether an end may be spliced
#: onto it. Plain tuples, as these are made for every span.
Started: TypeAlias = tuple[bytes, Shape, int, int, bool]
#: The end event, the whole span as one merged entry, whether dashboards hear of it now, how many values were hidden.
Ended: TypeAlias = tuple[bytes, bytes, bool, int]
#: Start and end in one entry as it goes into the stream, the same as a merged entry, and the shape.
Once: TypeAlias = tuple[bytes, bytes, Shape]


class SpanEncoder:
    """Knows what is the same for all spans of this process. Used by the encoder's thread only."""

    def __init__(self, process: ThisProcess, redactor: Redactor, classifier: Classifier) -> None:
        self._process = process
        self._redactor = redactor
        self._classify = classifier
        self._clean = CleanAttributes(redactor)
        self._ends = EndWriter()
        self._types: dict[str, str] = {}
        #: Types that spans said of themselves, which every classifier believes, and that are silent when they start.
        self._said: dict[str, str] = {}
        self._shapes: dict[tuple[str, int, int, int, str], Shape] = {}

    def after_fork(self) -> None:
        """The process has another name now, and that stands in every shape."""
        self._shapes.clear()

    def start(
        self, flow_id: bytes, span: ReadableSpan, name: str, attributes: Mapping[str, Any], more: Mapping[str, Any]
    ) -> Started:
        """The start event. `more` is said beside the span's own attributes and has been redacted."""
        context = span.context
        assert context is not None
        shape = self._shape(span, name, self._event_type(name, attributes))
        clean, hidden, plain = self._clean(attributes) if attributes else (attributes, 0, True)
        if more:
            clean = {**clean, **more}
        links = len(span.links) if _has_links(span) else 0
        if plain and not links and not _has_state(context):
            data = start_bytes(flow_id, span, context.span_id, shape, clean)
            if data is not None:
                return data, shape, 0, hidden + shape.hidden, True
        shown, _ = self._redactor.text(name)
        scope = self._process.scope_key(span.instrumentation_scope)
        part = start_part(span, shown, clean, shape.event_type, self._process.instance_id, scope)
        if links:
            part["links"], count = links_of(tuple(span.links), self._redactor)
            hidden += count
        data, _ = self._encode(flow_id, context.span_id, made_plain(part))
        return data, shape, links, hidden + shape.hidden, False

    def end(
        self,
        flow_id: bytes,
        span: ReadableSpan,
        attributes: Mapping[str, Any],
        opened: OpenSpan,
        more: Mapping[str, Any],
    ) -> Ended:
        """The end event, which says what the start did not, and the whole span."""
        shape = opened.shape
        difference, again = _difference(opened.attributes, attributes)
        name = span.name
        renamed = name != opened.name
        event_type = self._event_type(name, attributes) if difference or renamed else shape.event_type
        clean, hidden, plain = self._clean(difference) if difference else (_NOTHING, 0, True)
        if more:
            clean = {**clean, **more}
        unusual = again or renamed or bool(more) or event_type != shape.event_type or not plain
        if opened.usual and not unusual and not _says_more(span, opened.links):
            span_id = opened.span_id
            ended = self._ends.end(flow_id, span, span_id, opened.data, clean, shape.is_checkpoint)
            if ended is not None:
                return *ended, shape.rings_at_end, hidden
        last = end_part(span, clean, event_type != names.PLAIN_SPAN)
        hidden += self._changes(opened, name, event_type, last) + self._add_what_ends(last, span, opened.links)
        data, last = self._encode(flow_id, opened.span_id, made_plain(last))
        start = {key: value for key, value in orjson.loads(opened.data).items() if key not in _SHARED}
        whole = orjson.dumps(merged(f"{opened.span_id:016x}", start, last))
        return data, whole, rings_at_end(event_type), hidden

    def once(
        self,
        flow_id: bytes,
        span: ReadableSpan,
        parent_id: int,
        event_type: str,
        name: str,
        before: Mapping[str, Any],
        attributes: Mapping[str, Any],
    ) -> Once | None:
        """A span that has ended already, in one entry; None when something about it is unusual.

        `event_type`, `name` and `before` are what its start had.
        """
        if name != span.name or _says_more(span, 0):
            return None
        context = span.context
        assert context is not None
        difference: dict[str, Any] = {}
        for key, value in attributes.items():
            if before.get(key, _ABSENT) is not value:
                if key in before:
                    return None
                difference[key] = value
        if _has_state(context) or (difference and self._event_type(name, attributes) != event_type):
            return None
        clean, _, plain = self._clean(attributes)
        if clean is not attributes or not plain:
            return None
        shape = self._shape(span, name, event_type)
        ended = self._ends.once(flow_id, span, context.span_id, parent_id, shape, attributes, difference)
        return None if ended is None else (*ended, shape)

    def whole_end(
        self, flow_id: bytes, span: ReadableSpan, attributes: Mapping[str, Any], more: Mapping[str, Any]
    ) -> Ended:
        """An end whose start never came here: it says everything."""
        context = span.context
        assert context is not None
        clean, hidden = self._redactor.attributes(attributes)
        name, in_name = self._redactor.text(span.name)
        event_type = self._event_type(span.name, attributes)
        scope = self._process.scope_key(span.instrumentation_scope)
        clean = {**clean, **more}
        part = {
            **start_part(span, name, clean, event_type, self._process.instance_id, scope),
            **end_part(span, clean, event_type != names.PLAIN_SPAN),
        }
        hidden += in_name + self._add_what_ends(part, span, 0)
        data, _ = self._encode(flow_id, context.span_id, made_plain(part))
        return data, data, rings_at_end(event_type), hidden

    def update(
        self,
        flow_id: bytes,
        name: str,
        attributes: Mapping[str, Any],
        opened: OpenSpan,
        more: Mapping[str, Any],
        now_ns: int,
    ) -> bytes:
        """What a running span says now and its start did not."""
        difference, _ = _difference(opened.attributes, attributes)
        clean, _ = self._redactor.attributes(difference)
        part: Part = {"phase": names.UPDATE, "updated_ns": str(now_ns)}
        if clean or more:
            part["attributes"] = {**clean, **more}
        self._changes(opened, name, self._event_type(name, attributes), part)
        return self._encode(flow_id, opened.span_id, made_plain(part))[0]

    def silent_type(self, name: str, attributes: Mapping[str, Any]) -> str | None:
        """The type of a span that has started; None when dashboards hear of such a start."""
        said = attributes.get(names.ATTR_CHECKPOINT_TYPE)
        known = self._said.get(said) if type(said) is str else None
        if known is not None:
            return known
        event_type = self._event_type(name, attributes)
        if rings_at_start(event_type):
            return None
        if event_type == said and len(self._said) < _REMEMBERED_SHAPES:
            self._said[event_type] = event_type
        return event_type

    def _event_type(self, name: str, attributes: Mapping[str, Any]) -> str:
        """The type as it may be shown: an application may write anything into the attribute that says it."""
        said = self._classify(name, attributes)
        shown = self._types.get(said)
        if shown is None:
            if len(self._types) >= _REMEMBERED_SHAPES:
                self._types.clear()
            shown = safe_text(self._redactor.text(said)[0])[:_LONGEST_TYPE] or names.PLAIN_SPAN
            self._types[said] = shown
        return shown

    def _shape(self, span: ReadableSpan, name: str, event_type: str) -> Shape:
        context = span.context
        assert context is not None
        flags = int(context.trace_flags)
        # By identity: comparing scopes and hashing enumerations would cost more than all the rest.
        key = (name, id(span.kind), flags, id(span.instrumentation_scope), event_type)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _REMEMBERED_SHAPES:
                self._shapes.clear()
            self._process.learn_resource(span.resource)
            shape = self._shapes[key] = self._new_shape(span, name, event_type, flags)
        return shape

    def _new_shape(self, span: ReadableSpan, name: str, event_type: str, flags: int) -> Shape:
        shown, hidden = self._redactor.text(name)
        part: Part = {
            "event_type": event_type,
            "name": shown,
            "kind": kind_of(span),
            "process": self._process.instance_id,
            "flags": flags,
        }
        scope = self._process.scope_key(span.instrumentation_scope)
        if scope:
            part["scope"] = scope
        written, _ = to_json(part)
        return Shape(
            written[1:-1],
            event_type,
            event_type != names.PLAIN_SPAN,
            rings_at_start(event_type),
            rings_at_end(event_type),
            hidden,
        )

    def _changes(self, opened: OpenSpan, name: str, event_type: str, part: Part) -> int:
        """Put a new name and type into the part; returns how many values were hidden."""
        hidden = 0
        if name != opened.name:
            part["name"], hidden = self._redactor.text(name)
        if event_type != opened.shape.event_type:
            part["event_type"] = event_type
        return hidden

    def _add_what_ends(self, part: Part, span: ReadableSpan, links_told: int) -> int:
        """Logs, new links, the status text and what limits have cut; returns how many values were hidden."""
        hidden = 0
        description = span.status.description
        if description:
            part["status_message"], hidden = self._redactor.text(description)
        events = span.events
        if events:
            part["logs"], count = logs_of(tuple(events), self._redactor)
            hidden += count
        links = span.links
        if len(links) > links_told:
            part["links"], count = links_of(tuple(links), self._redactor)
            hidden += count
        cut = cut_of(span)
        if cut:
            part["cut"] = cut
        return hidden

    def _encode(self, flow_id: bytes, span_id: int, part: Part) -> tuple[bytes, Part]:
        """The event as bytes, and its part as it stands in them."""
        event: Part = {
            "v": names.EVENT_VERSION,
            "flow_id": flow_id.decode(),
            "node_id": f"{span_id:016x}",
            **part,
        }
        data, written = to_json(event)
        return data, part if written is event else {key: written[key] for key in written if key not in _SHARED}


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The attributes that are new or different, and whether one of them was there before with another value.

    Values that nobody touched are the same objects, so this is quick.
    """
    difference: dict[str, Any] = {}
    again = False
    for key, value in after.items():
        old = before.get(key, _ABSENT)
        if old is not value and (type(old) is not type(value) or old != value):
            difference[key] = value
            again = again or old is not _ABSENT
    return difference, again


def _has_links(span: ReadableSpan) -> bool:
    """Whether the span has links. The public property copies them under a lock, which costs most of an event."""
    try:
        return _any(span._links)
    except AttributeError:
        return bool(span.links)


def _any(kept: Any) -> bool:
    """Whether something stands in what the SDK keeps of a span: a list of its own kind, or an empty tuple."""
    return bool(kept) if type(kept) is tuple else bool(kept._dq)


def _has_state(context: SpanContext) -> bool:
    """Whether the span's context has a `tracestate`. Nearly none has, and asking an empty one costs a call."""
    state = context.trace_state
    return state is not DEFAULT_TRACE_STATE and bool(state)


def _says_more(span: ReadableSpan, links_told: int) -> bool:
    """Whether the end has to say more than status, outcome and attributes."""
    if links_told or span.status.description:
        return True
    try:
        return _any(span._events) or _any(span._links) or bool(span._attributes.dropped)  # type: ignore[union-attr]
    except AttributeError:
        return bool(span.events or span.links or cut_of(span))
