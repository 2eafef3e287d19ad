"""What TraceQL says of one span: conditions on its fields, and whether a span meets them."""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, restored
from spanflow.span_processors.otlp.otlp_writer import (
    resource_attributes,
    scope_about,
    service_of,
    span_id_of,
    trace_id_of,
)
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.jaeger.v1_json import shown_kind
from spanflow.viewer_api.tempo.safe_pattern import SafePattern

#: Tempo's words for a trace whose root is not there.
NO_ROOT: Final = "<root span not yet received>"
SCOPES: Final = ("span", "resource", "event", "link", "instrumentation")
INTRINSIC: Final = "intrinsic"
UNSCOPED: Final = ""
_COMPARED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Field:
    """An attribute, by its scope, or an intrinsic field."""

    scope: str
    name: str

    def __str__(self) -> str:
        return self.name if self.scope == INTRINSIC else f"{self.scope}.{self.name}"


@dataclass(frozen=True, slots=True)
class Keyword:
    """A status or a span kind, which are no texts."""

    word: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `value` None is `nil`."""

    field: Field
    operator: str
    value: Any

    def holds(self, span: "SpanView") -> bool:
        values = span.values(self.field)
        if self.value is None:
            return bool(values) == (self.operator == "!=")
        return any(self._fits(value) for value in values)

    def _fits(self, actual: Any) -> bool:
        wanted = self.value
        if isinstance(wanted, SafePattern):
            return isinstance(actual, str) and wanted.matches(actual) == (self.operator == "=~")
        if isinstance(wanted, bool | Keyword) or isinstance(actual, bool | Keyword):
            same = type(actual) is type(wanted)
            return same and self.operator in ("=", "!=") and _COMPARED[self.operator](actual, wanted)
        numbers = isinstance(wanted, int | float) and isinstance(actual, int | float)
        texts = isinstance(wanted, str) and isinstance(actual, str)
        return (numbers or texts) and _COMPARED[self.operator](actual, wanted)


@dataclass(frozen=True, slots=True)
class Contains:
    """A part of a text in any case, as searches by tags ask."""

    field: Field
    part: str

    def holds(self, span: "SpanView") -> bool:
        wanted = self.part.lower()
        return any(wanted in _text(value).lower() for value in span.values(self.field))


@dataclass(frozen=True, slots=True)
class Both:
    left: "Filter"
    right: "Filter"

    def holds(self, span: "SpanView") -> bool:
        return self.left.holds(span) and self.right.holds(span)


@dataclass(frozen=True, slots=True)
class Either:
    left: "Filter"
    right: "Filter"

    def holds(self, span: "SpanView") -> bool:
        return self.left.holds(span) or self.right.holds(span)


@dataclass(frozen=True, slots=True)
class Every:
    """`{}`: every span."""

    def holds(self, span: "SpanView") -> bool:
        return True


Filter: TypeAlias = Condition | Contains | Both | Either | Every


class TraceView:
    """A trace as conditions see it."""

    def __init__(self, flow: Flow, now_ns: int) -> None:
        self.flow = flow
        self.now_ns = now_ns
        self.trace_id = trace_id_of(flow.flow_id)
        self.spans = [SpanView(entry, self) for entry in flow.entries]
        self.start_ns: int = min((span.start_ns for span in self.spans), default=0)
        self.end_ns: int = max((span.end_ns for span in self.spans), default=0)
        roots = [span for span in self.spans if span.entry.get("parent_id") is None]
        self.root = min(roots, key=lambda span: span.start_ns, default=None)


class SpanView:
    """A span as conditions see it; what a search does not ask for is not read."""

    def __init__(self, entry: Event, trace: TraceView) -> None:
        self.entry = entry
        self.trace = trace
        self.start_ns: int = int(entry.get("start_ns", "0"))
        self.end_ns: int = max(self.start_ns, int(entry.get("end_ns") or trace.now_ns))
        self.process: Mapping[str, Any] = trace.flow.processes.get(entry.get("process", ""), {})

    @property
    def name(self) -> str:
        return self.entry.get("name", "")

    @property
    def service(self) -> str:
        return service_of(self.process)

    @property
    def is_error(self) -> bool:
        return self.entry.get("status") == names.STATUS_ERROR

    @cached_property
    def whole(self) -> Event:
        return restored(self.entry)

    def attributes(self, scope: str) -> Iterator[Mapping[str, Any]]:
        """The attributes of a scope: several where there are several events or links."""
        if scope == "span":
            yield self.whole.get("attributes", {})
        elif scope == "resource":
            yield resource_attributes(self.process)
        elif scope == "instrumentation":
            yield scope_about(self.process, self.entry.get("scope", ""))[2]
        else:
            members: Any = self.whole.get("logs" if scope == "event" else "links", ())
            for member in members:
                yield member.get("attributes", {})

    def values(self, field: Field) -> list[Any]:
        """What a field says; nothing where the span has none."""
        if field.scope == INTRINSIC:
            value = self._intrinsic(field.name)
            return [] if value is None else value if isinstance(value, list) else [value]
        if field.scope == UNSCOPED:
            return self._attribute("span", field.name) or self._attribute("resource", field.name)
        return self._attribute(field.scope, field.name)

    def _attribute(self, scope: str, name: str) -> list[Any]:
        values: list[Any] = []
        for attributes in self.attributes(scope):
            value = attributes.get(name)
            if isinstance(value, list | tuple):
                values += value
            elif value is not None:
                values.append(value)
        return values

    def _intrinsic(self, name: str) -> Any:
        read = INTRINSICS.get(name)
        return None if read is None else read(self)


def _kind(span: SpanView) -> Keyword:
    return Keyword(shown_kind(span.entry) or "unspecified")


def _scope(span: SpanView) -> tuple[str, str, Mapping[str, Any]]:
    return scope_about(span.process, span.entry.get("scope", ""))


def _root(span: SpanView) -> SpanView | None:
    return span.trace.root


def _parent(span: SpanView) -> str | None:
    parent = span.entry.get("parent_id")
    return None if parent is None else span_id_of(parent)


_Reader: TypeAlias = Callable[[SpanView], Any]
_SPAN: Final[Mapping[str, _Reader]] = {
    "name": lambda span: span.name,
    "status": lambda span: Keyword(span.entry.get("status", names.STATUS_UNSET)),
    "statusMessage": lambda span: span.entry.get("status_message"),
    "kind": _kind,
    "duration": lambda span: span.end_ns - span.start_ns,
}
_TRACE: Final[Mapping[str, _Reader]] = {
    "duration": lambda span: span.trace.end_ns - span.trace.start_ns,
    "rootName": lambda span: root.name if (root := _root(span)) else NO_ROOT,
    "rootService": lambda span: root.service if (root := _root(span)) else NO_ROOT,
}
#: By name, old and new.
INTRINSICS: Final[Mapping[str, _Reader]] = {
    **_SPAN,
    **{f"span:{name}": read for name, read in _SPAN.items()},
    "span:id": lambda span: span_id_of(span.entry["node_id"]),
    "span:parentID": _parent,
    "traceDuration": _TRACE["duration"],
    "rootName": _TRACE["rootName"],
    "rootServiceName": _TRACE["rootService"],
    **{f"trace:{name}": read for name, read in _TRACE.items()},
    "trace:id": lambda span: span.trace.trace_id,
    "event:name": lambda span: [log["name"] for log in span.whole.get("logs", ()) if log.get("name")],
    "instrumentation:name": lambda span: _scope(span)[0] or None,
    "instrumentation:version": lambda span: _scope(span)[1] or None,
}


def _text(value: Any) -> str:
    if isinstance(value, Keyword):
        return value.word
    return str(value).lower() if isinstance(value, bool) else str(value)
