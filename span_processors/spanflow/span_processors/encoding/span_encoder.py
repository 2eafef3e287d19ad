"""One span's start, update and end as bytes: quickly when nothing about it is unusual, thoroughly when something is.

Both ways give the same events; a property test holds them together.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from opentelemetry.sdk.trace import ReadableSpan

from spanflow.span_processors import names
from spanflow.span_processors.encoding.clean_attributes import CleanAttributes
from spanflow.span_processors.encoding.event_types import EventTypes
from spanflow.span_processors.encoding.fast_path import Ended, FastPath, Started
from spanflow.span_processors.encoding.open_flows import SHARED_FIELDS, OpenSpan, own_fields
from spanflow.span_processors.encoding.process_info import ProcessInfo, Scope
from spanflow.span_processors.encoding.shapes import NOTIFY_AT_START, Shapes, notifies_at_end
from spanflow.span_processors.encoding.span_events import (
    Classifier,
    Part,
    cut_of,
    end_part,
    links_of,
    logs_of,
    made_plain,
    start_part,
    to_json,
)
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redaction.trace_states import redacted_trace_state
from spanflow.span_processors.span_name import name_of
from spanflow.span_processors.tree.span_record import merged

_ABSENT: Final = object()


class SpanEncoder:
    """Knows what is the same for all spans of this process. Used by the encoder's thread only."""

    def __init__(self, process: ProcessInfo, redactor: Redactor, classifier: Classifier) -> None:
        self._process = process
        self._redactor = redactor
        self._types = EventTypes(classifier, redactor)
        self._shapes = Shapes(process, redactor)
        self._fast_path = FastPath(CleanAttributes(redactor), self._types, self._shapes)
        #: A span that has ended already, in one entry; None when something about it is unusual.
        self.complete = self._fast_path.complete
        #: What a span that another program has sent shares with those like it; None when something is unusual.
        self.template = self._fast_path.template
        #: The type of a span.
        self.event_type = self._types.of

    def after_fork(self) -> None:
        self._shapes.after_fork()

    def start(
        self, flow_id: bytes, span: ReadableSpan, name: str, attributes: Mapping[str, Any], more: Mapping[str, Any]
    ) -> Started:
        """The start event. `more` is said beside the span's own attributes."""
        return self._fast_path.start(flow_id, span, name, attributes, more) or self._thorough_start(
            flow_id, span, name, attributes, more
        )

    def _thorough_start(
        self, flow_id: bytes, span: ReadableSpan, name: str, attributes: Mapping[str, Any], more: Mapping[str, Any]
    ) -> Started:
        context = span.context
        assert context is not None
        scope = span.instrumentation_scope
        event_type = self._types.of(name, attributes)
        shape = self._shapes.of(name, event_type, span.kind, scope, context.trace_flags, span.resource)
        clean, hidden = self._redactor.attributes({**attributes, **more} if more else attributes)
        shown, _ = self._redactor.text(name)
        state, count = redacted_trace_state(context.trace_state, self._redactor)
        hidden += count
        part = start_part(
            span,
            shown,
            clean,
            event_type,
            self._process.instance_id,
            _key_of(shape.scope),
            state.to_header(),
        )
        links = tuple(span.links)
        if links:
            part["links"], count = links_of(links, self._redactor)
            hidden += count
        data, _ = self._encode(flow_id, context.span_id, made_plain(part))
        return data, shape, len(links), hidden + shape.hidden, None

    def end(
        self,
        flow_id: bytes,
        span: ReadableSpan,
        attributes: Mapping[str, Any],
        opened: OpenSpan,
        more: Mapping[str, Any],
    ) -> Ended:
        """The end event, which says what the start did not, and the whole span."""
        if not more:
            ended = self._fast_path.end(flow_id, span, attributes, opened)
            if ended is not None:
                return ended
        difference = _difference(opened.told, attributes)
        name = name_of(span.name)
        event_type = self._types.of(name, attributes)
        clean, hidden = self._redactor.attributes({**difference, **more} if more else difference)
        last = end_part(span, clean, attributes, event_type != names.PLAIN_SPAN)
        hidden += self._changes(opened, name, event_type, last) + self._add_what_ends(last, span, opened.links)
        data, last = self._encode(flow_id, opened.span_id, made_plain(last))
        start = own_fields(opened.data)
        whole = orjson.dumps(merged(f"{opened.span_id:016x}", start, last))
        # What turned out to be a model's call only later was not told when it started.
        notifies = notifies_at_end(event_type) or (event_type in NOTIFY_AT_START and not opened.shape.rings_at_start)
        return data, whole, notifies, hidden

    def whole_end(
        self, flow_id: bytes, span: ReadableSpan, attributes: Mapping[str, Any], more: Mapping[str, Any]
    ) -> Ended:
        """An end whose start never came here: it says everything."""
        context = span.context
        assert context is not None
        clean, hidden = self._redactor.attributes({**attributes, **more} if more else attributes)
        given = name_of(span.name)
        name, in_name = self._redactor.text(given)
        event_type = self._types.of(given, attributes)
        scope = _key_of(self._process.scope(span.instrumentation_scope))
        state, count = redacted_trace_state(context.trace_state, self._redactor)
        hidden += count
        part = {
            **start_part(span, name, clean, event_type, self._process.instance_id, scope, state.to_header()),
            **end_part(span, clean, attributes, event_type != names.PLAIN_SPAN),
        }
        hidden += in_name + self._add_what_ends(part, span, 0)
        data, _ = self._encode(flow_id, context.span_id, made_plain(part))
        return data, data, event_type != names.PLAIN_SPAN, hidden

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
        difference = _difference(opened.told, attributes)
        event_type = self._types.of(name, attributes)
        if name == opened.name and event_type == opened.shape.event_type:
            return self._fast_path.update(flow_id, opened.span_id, difference, more, now_ns)
        clean, _ = self._redactor.attributes({**difference, **more} if more else difference)
        part: Part = {"phase": names.UPDATE, "updated_ns": str(now_ns)}
        if clean:
            part["attributes"] = clean
        self._changes(opened, name, event_type, part)
        return self._encode(flow_id, opened.span_id, made_plain(part))[0]

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
        return data, part if written is event else {key: written[key] for key in written if key not in SHARED_FIELDS}


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that are new or have another value than before."""
    return {
        key: value
        for key, value in after.items()
        if (old := before.get(key, _ABSENT)) is not value and (type(old) is not type(value) or old != value)
    }


def _key_of(scope: Scope | None) -> str:
    return "" if scope is None else scope.key
