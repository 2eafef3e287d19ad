"""Traces, tags and their values in Tempo's form, as a thread or the worker writes them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from spanflow.span_processors.otlp.otlp_writer import attributes_json, resource_spans, span_id_of
from spanflow.viewer_api.flows.documents import Flow, PackedFlow
from spanflow.viewer_api.otlp.messages import JSON, read_trace_message
from spanflow.viewer_api.tempo.search_query import TempoQuery
from spanflow.viewer_api.tempo.span_filter import (
    INTRINSIC,
    NO_ROOT,
    SCOPES,
    Both,
    Condition,
    Contains,
    Either,
    Every,
    Field,
    Filter,
    Keyword,
    SpanView,
    TraceView,
)

#: The field `trace` of Tempo's `TraceByIDResponse`, which has the shape of OTLP's `TracesData`.
_TRACE_FIELD: Final = b"\x0a"
#: Distinct values of one tag, and how long each may be.
_MAX_VALUES: Final = 1000
_MAX_VALUE: Final = 256
_NS_PER_MS: Final = 1_000_000


def _message(flow: Flow) -> TracesData:
    document = {"resourceSpans": resource_spans(flow.flow_id, flow.entries, flow.processes)}
    return TracesData(resource_spans=read_trace_message(orjson.dumps(document), JSON).resource_spans)


def written_protobuf(flows: Sequence[PackedFlow], version: int) -> bytes:
    """One trace; nothing where no span is known. Version 2 wraps it into another message."""
    flow = flows[0].unpacked()
    if not flow.entries:
        return b""
    trace: bytes = _message(flow).SerializeToString()
    return trace if version == 1 else _TRACE_FIELD + _varint(len(trace)) + trace


def written_json(flows: Sequence[PackedFlow], version: int) -> bytes:
    """The same as protobuf's JSON has it: ids in base64, names of kinds."""
    flow = flows[0].unpacked()
    if not flow.entries:
        return b""
    document = MessageToDict(_message(flow))
    if version == 1:
        return orjson.dumps({"batches": document["resourceSpans"]})
    return orjson.dumps({"trace": document})


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def matching_spans(flows: Sequence[PackedFlow], query: TempoQuery, now_ns: int) -> bytes:
    """For each flow how many spans it has, as a JSON array; 0 where none of them is searched for."""
    window = query.window
    counts = []
    for packed in flows:
        trace = TraceView(packed.unpacked(), now_ns)
        in_time = trace.start_ns <= window.end_ns and trace.end_ns >= window.start_ns
        matches = in_time and any(query.filter.holds(span) for span in trace.spans)
        counts.append(len(trace.spans) if matches else 0)
    return orjson.dumps(counts)


def written_search(flows: Sequence[PackedFlow], query: TempoQuery, now_ns: int) -> bytes:
    shown = list(dict.fromkeys(_fields(query.filter)))
    traces = [_found(TraceView(packed.unpacked(), now_ns), query, shown) for packed in flows]
    return orjson.dumps({"traces": traces, "metrics": {"inspectedTraces": len(traces)}})


def _found(trace: TraceView, query: TempoQuery, shown: Sequence[Field]) -> dict[str, Any]:
    root = trace.root
    matched = [span for span in trace.spans if query.filter.holds(span)]
    span_set = {
        "spans": [_span(span, shown) for span in matched[: query.spans_per_set]],
        "matched": len(matched),
    }
    return {
        "traceID": trace.trace_id,
        "rootServiceName": NO_ROOT if root is None else root.service,
        "rootTraceName": NO_ROOT if root is None else root.name,
        "startTimeUnixNano": str(trace.start_ns),
        "durationMs": (trace.end_ns - trace.start_ns) // _NS_PER_MS,
        "spanSet": span_set,
        "spanSets": [span_set],
        "serviceStats": _service_stats(trace),
    }


def _span(span: SpanView, shown: Sequence[Field]) -> dict[str, Any]:
    """With what was asked for."""
    own_fields: dict[str, Any] = {}
    for field in shown:
        values = span.values(field)
        if values and str(field) not in ("name", "duration", "span:name", "span:duration"):
            own_fields[field.name] = values[0].word if isinstance(values[0], Keyword) else values[0]
    return {
        "spanID": span_id_of(span.entry["node_id"]),
        "name": span.name,
        "startTimeUnixNano": str(span.start_ns),
        "durationNanos": str(span.end_ns - span.start_ns),
        "attributes": attributes_json(own_fields),
    }


def _service_stats(trace: TraceView) -> dict[str, dict[str, int]]:
    stats: dict[str, dict[str, int]] = {}
    for span in trace.spans:
        of_service = stats.setdefault(span.service, {"spanCount": 0, "errorCount": 0})
        of_service["spanCount"] += 1
        of_service["errorCount"] += span.is_error
    return stats


def _fields(wanted: Filter) -> Iterator[Field]:
    if isinstance(wanted, Both | Either):
        yield from _fields(wanted.left)
        yield from _fields(wanted.right)
    elif isinstance(wanted, Condition | Contains):
        yield wanted.field


def tag_names(flows: Sequence[PackedFlow], now_ns: int) -> bytes:
    """The names of the attributes of each scope, as a JSON object."""
    names: dict[str, set[str]] = {scope: set() for scope in SCOPES}
    for span in _spans(flows, now_ns):
        for scope in SCOPES:
            for attributes in span.attributes(scope):
                names[scope].update(attributes)
    return orjson.dumps({scope: sorted(found) for scope, found in names.items()})


def tag_values(flows: Sequence[PackedFlow], now_ns: int, field: Field, wanted: Filter) -> bytes:
    """The values of a field and their types, as a JSON array; of spans that meet a filter only."""
    distinct: dict[tuple[str, str], None] = {}
    for span in _spans(flows, now_ns):
        if not isinstance(wanted, Every) and not wanted.holds(span):
            continue
        for value in span.values(field):
            typed = typed_value(field, value)
            if typed is not None and len(typed[1]) <= _MAX_VALUE:
                distinct[typed] = None
        if len(distinct) >= _MAX_VALUES:
            break
    return orjson.dumps(sorted(distinct))


def typed_value(field: Field, value: Any) -> tuple[str, str] | None:
    """TraceQL's type of a value, and the value as text."""
    if isinstance(value, Keyword):
        return "keyword", value.word
    if isinstance(value, bool):
        return "bool", str(value).lower()
    if field.scope == INTRINSIC and field.name.lower().endswith("duration"):
        return "duration", f"{value}ns"
    if isinstance(value, int):
        return "int", str(value)
    if isinstance(value, float):
        return "float", repr(value)
    return ("string", value) if isinstance(value, str) else None


def _spans(flows: Iterable[PackedFlow], now_ns: int) -> Iterator[SpanView]:
    for packed in flows:
        yield from TraceView(packed.unpacked(), now_ns).spans


#: What is said of every span.
INTRINSIC_TAGS: Final = (
    "duration",
    "event:name",
    "instrumentation:name",
    "instrumentation:version",
    "kind",
    "name",
    "rootName",
    "rootServiceName",
    "span:duration",
    "span:kind",
    "span:name",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:rootName",
    "trace:rootService",
    "traceDuration",
)
#: Values that are known beforehand.
KNOWN_VALUES: Final[Mapping[str, Sequence[str]]] = {
    "status": ("error", "ok", "unset"),
    "kind": ("client", "consumer", "internal", "producer", "server", "unspecified"),
}
