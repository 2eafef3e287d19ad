"""OTLP requests and answers as bytes, in both encodings of the protocol, and one form of a request for all of ours."""

import base64
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from spanflow.viewer_api.otlp.body import UnreadableBody
from spanflow.viewer_api.otlp.lazy_messages import LazyResourceSpans, LazyTraces
from spanflow.viewer_api.otlp.log_record import LogGroup, refusal

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
#: Ids are hexadecimal in OTLP's JSON, where protobuf's own JSON has base64.
_IDS: Final = ("traceId", "trace_id", "spanId", "span_id", "parentSpanId", "parent_span_id")
#: Where the spans and the log records of a request stand, in both spellings of protobuf's JSON.
_SPANS: Final = (("resourceSpans", "resource_spans"), ("scopeSpans", "scope_spans"), ("spans", "spans"))
_LOG_RECORDS: Final = (("resourceLogs", "resource_logs"), ("scopeLogs", "scope_logs"), ("logRecords", "log_records"))
#: Why log records are not taken in, as clients are told.
_REFUSED: Final = {
    "other_event": "are no events of models, tools or guardrails",
    "no_span": "name neither a span nor a response",
}
_TRACE_ID_LENGTH: Final = 16
_SPAN_ID_LENGTH: Final = 8
_NO_TRACE: Final = bytes(_TRACE_ID_LENGTH)
_NO_SPAN: Final = bytes(_SPAN_ID_LENGTH)


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """A readable request, without the spans that cannot be taken."""

    groups: tuple[LazyResourceSpans, ...]
    spans: int
    #: Spans whose trace id or span id is none.
    invalid: int


@dataclass(frozen=True, slots=True)
class LogsRequest:
    """A readable request, without the log records that cannot be taken."""

    groups: tuple[LogGroup, ...]
    records: int
    #: Records that are not taken, by reason.
    refused: Mapping[str, int]


def read_traces(body: bytes, content_type: str) -> TraceRequest:
    """`UnreadableBody` when it is no such request."""
    message = read_trace_message(body, content_type)
    # The bytes of the body itself, where it has them: that is cheaper.
    lazy = LazyTraces.FromString(message.SerializeToString() if content_type == JSON else body)
    spans = invalid = 0
    for group, lazy_group in zip(message.resource_spans, lazy.resource_spans, strict=True):
        for scope, lazy_scope in zip(group.scope_spans, lazy_group.scope_spans, strict=True):
            wrong = [
                index
                for index, span in enumerate(scope.spans)
                if len(trace_id := span.trace_id) != _TRACE_ID_LENGTH
                or len(span_id := span.span_id) != _SPAN_ID_LENGTH
                or trace_id == _NO_TRACE
                or span_id == _NO_SPAN
            ]
            for index in reversed(wrong):
                del lazy_scope.spans[index]
            invalid += len(wrong)
            spans += len(lazy_scope.spans)
    return TraceRequest(tuple(lazy.resource_spans), spans, invalid)


def read_trace_message(body: bytes, content_type: str) -> ExportTraceServiceRequest:
    """All of a request as it came. `UnreadableBody` when it is no such request."""
    message: ExportTraceServiceRequest = _read(body, content_type, ExportTraceServiceRequest, _SPANS)
    return message


def read_logs(body: bytes, content_type: str) -> LogsRequest:
    """`UnreadableBody` when it is no such request."""
    message: ExportLogsServiceRequest = _read(body, content_type, ExportLogsServiceRequest, _LOG_RECORDS)
    refused: Counter[str] = Counter()
    groups: list[LogGroup] = []
    for group in message.resource_logs:
        taken = []
        for record in (record for scope in group.scope_logs for record in scope.log_records):
            why = refusal(record)
            if why is None:
                taken.append(record)
            else:
                refused[why] += 1
        if taken:
            groups.append(LogGroup(group.resource, group.schema_url, tuple(taken)))
    return LogsRequest(tuple(groups), sum(len(group.records) for group in groups), refused)


def logs_answer(refused: Mapping[str, int], content_type: str) -> bytes:
    """The answer to a request that was accepted, perhaps but for some records."""
    number = sum(refused.values())
    why = " ".join(f"{count} log records {_REFUSED[reason]}." for reason, count in sorted(refused.items()))
    if content_type == JSON:
        partial = {"rejectedLogRecords": str(number), "errorMessage": why}
        return orjson.dumps({"partialSuccess": partial} if number else {})
    answer = ExportLogsServiceResponse()
    if number:
        answer.partial_success.rejected_log_records = number
        answer.partial_success.error_message = why
    written: bytes = answer.SerializeToString()
    return written


def trace_answer(invalid: int, content_type: str) -> bytes:
    """The answer to a request that was accepted, perhaps but for some spans."""
    why = f"{invalid} spans have no valid trace id or span id." if invalid else ""
    if content_type == JSON:
        partial = {"rejectedSpans": str(invalid), "errorMessage": why}
        return orjson.dumps({"partialSuccess": partial} if invalid else {})
    answer = ExportTraceServiceResponse()
    if invalid:
        answer.partial_success.rejected_spans = invalid
        answer.partial_success.error_message = why
    written: bytes = answer.SerializeToString()
    return written


def _read(body: bytes, content_type: str, kind: type[Any], lists: tuple[tuple[str, str], ...]) -> Any:
    name = kind.DESCRIPTOR.name
    if content_type != JSON:
        try:
            return kind.FromString(body)
        except DecodeError:
            raise UnreadableBody(f"it is no {name}") from None
    try:
        document = orjson.loads(body)
    except ValueError as why:
        raise UnreadableBody(str(why)) from None
    try:
        for item in _items(document, lists):
            _convert_ids(item)
            for link in _members(item, "links", "links"):
                _convert_ids(link)
        return ParseDict(document, kind(), ignore_unknown_fields=True)
    except (ParseError, ValueError, TypeError, AttributeError, RecursionError) as why:
        raise UnreadableBody(f"it is no {name}: {why}") from None


def _items(holder: Any, lists: tuple[tuple[str, str], ...]) -> Iterator[Any]:
    for member in _members(holder, *lists[0]):
        if len(lists) == 1:
            yield member
        else:
            yield from _items(member, lists[1:])


def _members(holder: Any, *names: str) -> list[Any]:
    if not isinstance(holder, dict):
        raise UnreadableBody("something that must be an object is none")
    held: Any = next((holder[name] for name in names if holder.get(name) is not None), [])
    if not isinstance(held, list):
        raise UnreadableBody(f"{names[0]} must be a list")
    return held


def _convert_ids(holder: Any) -> None:
    if not isinstance(holder, dict):
        raise UnreadableBody("something that must be an object is none")
    for name in _IDS:
        value = holder.get(name)
        if isinstance(value, str):
            holder[name] = base64.b64encode(_id_bytes(value)).decode()


def _id_bytes(text: str) -> bytes:
    """An id that is no hexadecimal number is refused with its span, not with the whole request."""
    try:
        return bytes.fromhex(text) if len(text) <= 2 * len(_NO_TRACE) and text.isalnum() else b""
    except ValueError:
        return b""
