"""Sends OTLP to a viewer as SDKs and Collectors do."""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PROTOBUF: Final = "application/x-protobuf"
PACK: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
}
#: 2026-01-06, in a week for which the tests have a partition.
START_NS: Final = 1_767_700_800_000_000_000
MS: Final = 1_000_000


def value(given: Any) -> AnyValue:
    """A Python value as OTLP has it."""
    if given is None:
        return AnyValue()
    if isinstance(given, bool):
        return AnyValue(bool_value=given)
    if isinstance(given, int):
        return AnyValue(int_value=given)
    if isinstance(given, float):
        return AnyValue(double_value=given)
    if isinstance(given, str):
        return AnyValue(string_value=given)
    if isinstance(given, bytes):
        return AnyValue(bytes_value=given)
    made = AnyValue()
    if isinstance(given, Mapping):
        made.kvlist_value.SetInParent()
        made.kvlist_value.values.extend(pairs(given))
    else:
        made.array_value.SetInParent()
        made.array_value.values.extend(map(value, given))
    return made


def pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(given)) for key, given in attributes.items()]


def span(
    name: str, trace: int, id: int, parent: int = 0, *, at_ms: int = 0, ms: int = 10, kind: int = 1, **attributes: Any
) -> Span:
    """A span; underscores twice in names of attributes stand for dots."""
    return Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=id.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        kind=kind,  # type: ignore[arg-type]
        start_time_unix_nano=START_NS + at_ms * MS,
        end_time_unix_nano=START_NS + (at_ms + ms) * MS,
        attributes=pairs({key.replace("__", "."): given for key, given in attributes.items()}),
    )


def request(*spans: Span, service: str = "router", scope: str = "router.http", **resource: Any) -> Any:
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.extend(pairs({"service.name": service, **resource}))
    scoped = group.scope_spans.add()
    scoped.scope.name, scoped.scope.version = scope, "1.2"
    scoped.spans.extend(spans)
    return message


def as_json(message: Any) -> bytes:
    """OTLP's JSON: ids in hexadecimal digits instead of protobuf's base64."""
    document = MessageToDict(message, use_integers_for_enums=True)
    for group, told in zip(message.resource_spans, document.get("resourceSpans", ()), strict=True):
        for scope, said in zip(group.scope_spans, told.get("scopeSpans", ()), strict=True):
            for one, written in zip(scope.spans, said.get("spans", ()), strict=True):
                written["traceId"], written["spanId"] = one.trace_id.hex(), one.span_id.hex()
                if one.parent_span_id:
                    written["parentSpanId"] = one.parent_span_id.hex()
                for link, linked in zip(one.links, written.get("links", ()), strict=True):
                    linked["traceId"], linked["spanId"] = link.trace_id.hex(), link.span_id.hex()
    return json.dumps(document).encode()


def log_record(
    event: str, trace: int = 0, span_id: int = 0, *, at_ms: int = 0, body: Any = None, **attributes: Any
) -> LogRecord:
    """A log record that is an event; underscores twice in names of attributes stand for dots."""
    return LogRecord(
        event_name=event,
        trace_id=trace.to_bytes(16, "big") if trace else b"",
        span_id=span_id.to_bytes(8, "big") if span_id else b"",
        time_unix_nano=START_NS + at_ms * MS,
        severity_number=9,  # type: ignore[arg-type]
        body=value(body) if body is not None else None,
        attributes=pairs({key.replace("__", "."): given for key, given in attributes.items()}),
    )


def logs_request(*records: LogRecord, service: str = "router") -> Any:
    message = ExportLogsServiceRequest()
    group = message.resource_logs.add()
    group.resource.attributes.extend(pairs({"service.name": service}))
    group.scope_logs.add().log_records.extend(records)
    return message


def send(
    client: httpx.Client,
    body: bytes,
    content_type: str = PROTOBUF,
    encoding: str = "identity",
    path: str = "/v1/traces",
) -> httpx.Response:
    headers = {"Content-Type": content_type}
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    return client.post(path, content=PACK[encoding](body), headers=headers)
