"""A span of the SDK that costs half: nothing is made before it is needed, and nothing is checked twice.

Everything that is seldom done is the SDK's own code. What its constructors would put into a span is put there directly;
`fits` compares the two and says whether this SDK's spans still consist of that.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, Tracer, _Span
from opentelemetry.trace import Link, SpanContext, SpanKind, Status
from opentelemetry.util.types import AnyValue

from spanflow.instrumentation.values import given_value, is_single
from spanflow.span_processors.span_attributes import LendingAttributes

_make: Final = object.__new__
#: Values that the SDK would keep as they are.
_PLAIN: Final = frozenset({str, int, bool, float})
_TEXT: Final = frozenset({str})
_NOT_SET: Final = Status()


class QuickSpan(_Span):
    """Made by `QuickTracer` for a span without links that is a root or has a parent in this process."""

    # What most spans never have: made, as the SDK makes it, when the first one comes.
    _events: Any = ()
    _links: Any = ()
    _status = _NOT_SET
    _end_time = None
    _trace_config = None

    @staticmethod
    def begin(
        tracer: Tracer,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Mapping[str, AnyValue] | None,
        start_time: int | None,
        parent_context: Context | None,
        record_exception: bool,
        set_status_on_exception: bool,
    ) -> "QuickSpan":
        span = _make(QuickSpan)
        limits = tracer._span_limits
        processor = tracer.span_processor
        span._name = name
        span._context = context
        span._parent = parent
        span._kind = kind
        span._resource = tracer.resource
        span._instrumentation_info = tracer.instrumentation_info
        span._instrumentation_scope = tracer._instrumentation_scope
        span._sampler = tracer.sampler
        span._record_exception = record_exception
        span._set_status_on_exception = set_status_on_exception
        span._span_processor = processor
        span._limits = limits
        span._lock = threading.Lock()
        span._attributes = _bounded(attributes, limits)
        span._record_end_metrics = None
        span._start_time = time.time_ns() if start_time is None else start_time
        processor.on_start(span, parent_context=parent_context)
        return span

    def set_attribute(self, key: str, value: AnyValue) -> None:
        attributes: Any = self._attributes
        if type(value) in _PLAIN and type(key) is str and key and type(attributes) is LendingAttributes:
            with self._lock:
                if self._end_time is None:
                    attributes.put(key, value)
                    return
        super().set_attribute(key, given_value(value))

    def add_event(
        self, name: str, attributes: Mapping[str, AnyValue] | None = None, timestamp: int | None = None
    ) -> None:
        super().add_event(name, attributes and _given(attributes), timestamp)

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        own: Any = self._attributes
        if type(own) is LendingAttributes and _is_plain(attributes, own.room()):
            with self._lock:
                if self._end_time is None:
                    for key, value in attributes.items():
                        own.put(key, value)
                    return
        super().set_attributes(_given(attributes))

    def end(self, end_time: int | None = None) -> None:
        with self._lock:
            is_open = self._end_time is None
            if is_open:
                self._end_time = time.time_ns() if end_time is None else end_time
                attributes: Any = self._attributes
                attributes._immutable = True
        if not is_open:
            super().end(end_time)  # which logs the warning
            return
        processor = self._span_processor
        processor._on_ending(self)
        processor.on_end(self._readable_span())

    def _add_event(self, event: Any) -> None:
        with self._lock:
            if type(self._events) is tuple and self._end_time is None:
                self._events = self._new_events()  # type: ignore[no-untyped-call]
        super()._add_event(event)

    def _add_link(self, link: Link) -> None:
        with self._lock:
            if type(self._links) is tuple and self._end_time is None:
                self._links = self._new_links(())
        super()._add_link(link)

    def _readable_span(self) -> ReadableSpan:
        if self._end_time is not None:
            return self  # nothing changes it any more: a copy would only be more memory to touch
        readable = _make(ReadableSpan)
        readable._name = self._name
        readable._context = self._context
        readable._kind = self._kind
        readable._instrumentation_info = self._instrumentation_info
        readable._instrumentation_scope = self._instrumentation_scope
        readable._parent = self._parent
        readable._start_time = self._start_time
        readable._end_time = self._end_time
        readable._attributes = self._attributes
        readable._events = self._events
        readable._links = self._links
        readable._resource = self._resource
        readable._status = self._status
        return readable


def _bounded(attributes: Mapping[str, AnyValue] | None, limits: SpanLimits) -> BoundedAttributes:
    """The attributes as the SDK keeps them; plain ones need not be looked through piece by piece."""
    most: int | None = limits.max_span_attributes
    longest: int | None = limits.max_span_attribute_length
    if not most or longest is not None or (attributes is not None and not _is_plain(attributes, most)):
        return BoundedAttributes(most, attributes and _given(attributes), immutable=False, max_value_len=longest)
    bounded: Any = _make(LendingAttributes)
    bounded._dict = {} if attributes is None else dict(attributes)
    bounded.maxlen = most
    bounded.dropped = 0
    bounded.max_value_len = None
    bounded._lock = threading.Lock()
    bounded._immutable = False
    own: BoundedAttributes = bounded
    return own


def _given(attributes: Mapping[str, AnyValue]) -> Mapping[str, AnyValue]:
    """Attributes that the SDK can copy without hanging or raising."""
    if type(attributes) is not dict:
        refused = given_value(attributes)
        if refused is not attributes:
            return {"attributes": refused}
    if all(map(is_single, attributes.values())):
        return attributes
    return {key: given_value(value) for key, value in attributes.items()}


def _is_plain(attributes: Mapping[str, AnyValue], most: int) -> bool:
    return (
        type(attributes) is dict
        and len(attributes) <= most
        and _PLAIN.issuperset(map(type, attributes.values()))
        and _TEXT.issuperset(map(type, attributes))
        and "" not in attributes
    )


def fits(tracer: Tracer, sdk_span: Span) -> bool:
    """Whether the SDK's spans, as the given one shows, consist of what ours are made of."""
    context, parent = sdk_span._context, sdk_span._parent
    if context is None or parent is None:
        return False
    ours = QuickSpan.begin(tracer, "", context, parent, SpanKind.INTERNAL, {"a": 1}, 1, None, True, True)
    pairs: Sequence[tuple[object, object]] = (
        (ours, sdk_span),
        (ours._attributes, BoundedAttributes(2, {"a": 1}, immutable=False)),
        (ours._readable_span(), sdk_span._readable_span()),
    )
    return all(_parts_of(one) == _parts_of(other) for one, other in pairs)


def _parts_of(thing: object) -> set[str]:
    at_first = {"_events", "_links", "_status", "_end_time", "_trace_config"} if isinstance(thing, QuickSpan) else set()
    return set(vars(thing)) | at_first
