"""OTLP requests and answers as bytes, in both encodings of the protocol, and one form of a request for all of ours."""

import base64
from dataclasses import dataclass
from typing import Any, Final

import orjson
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from spanflow.viewer_api.otlp.body import UnreadableBody

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
#: Ids are hexadecimal in OTLP's JSON, where protobuf's own JSON has base64.
_IDS: Final = ("traceId", "trace_id", "spanId", "span_id", "parentSpanId", "parent_span_id")
_TRACE_ID_LENGTH: Final = 16
_SPAN_ID_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """A readable request, without the spans that cannot be taken."""

    groups: tuple[ResourceSpans, ...]
    spans: int
    #: Spans whose trace id or span id is none.
    invalid: int


def read_traces(body: bytes, content_type: str) -> TraceRequest:
    """`UnreadableBody` when it is no such request."""
    message = _from_json(body) if content_type == JSON else _from_protobuf(body)
    spans = invalid = 0
    for group in message.resource_spans:
        for scope in group.scope_spans:
            wrong = [index for index, span in enumerate(scope.spans) if not _has_ids(span.trace_id, span.span_id)]
            for index in reversed(wrong):
                del scope.spans[index]
            invalid += len(wrong)
            spans += len(scope.spans)
    return TraceRequest(tuple(message.resource_spans), spans, invalid)


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


def _has_ids(trace_id: bytes, span_id: bytes) -> bool:
    return len(trace_id) == _TRACE_ID_LENGTH and len(span_id) == _SPAN_ID_LENGTH and any(trace_id) and any(span_id)


def _from_protobuf(body: bytes) -> ExportTraceServiceRequest:
    try:
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise UnreadableBody("it is no ExportTraceServiceRequest") from None
    return request


def _from_json(body: bytes) -> ExportTraceServiceRequest:
    try:
        document = orjson.loads(body)
    except ValueError as why:
        raise UnreadableBody(str(why)) from None
    try:
        _ids_to_base64(document)
        request = ExportTraceServiceRequest()
        ParseDict(document, request, ignore_unknown_fields=True)
    except (ParseError, ValueError, TypeError, AttributeError, RecursionError) as why:
        raise UnreadableBody(f"it is no ExportTraceServiceRequest: {why}") from None
    return request


def _ids_to_base64(document: Any) -> None:
    for group in _members(document, "resourceSpans", "resource_spans"):
        for scope in _members(group, "scopeSpans", "scope_spans"):
            for span in _members(scope, "spans", "spans"):
                _convert_ids(span)
                for link in _members(span, "links", "links"):
                    _convert_ids(link)


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
        return bytes.fromhex(text) if len(text) <= 2 * _TRACE_ID_LENGTH and text.isalnum() else b""
    except ValueError:
        return b""
