"""Log records of OpenTelemetry, as the release that is installed has them."""

from inspect import signature
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context


def log_record(*, event_name: str | None = None, attributes: dict[str, Any] | None = None, **fields: Any) -> Any:
    """One to emit. Before 1.35 an event's name is an attribute; up to 1.38 the SDK's own class is emitted."""
    try:
        from opentelemetry.sdk._logs import LogRecord  # type: ignore[attr-defined]
    except ImportError:
        from opentelemetry._logs import LogRecord as CurrentRecord

        return CurrentRecord(event_name=event_name, attributes=attributes, **fields)
    if event_name is not None:
        attributes = {**(attributes or {}), "event.name": event_name}
    place = {"trace_id": fields.pop("trace_id", 0), "span_id": 0, "trace_flags": TraceFlags(0)}
    if "context" in signature(LogRecord).parameters:  # 1.35
        span = NonRecordingSpan(SpanContext(place["trace_id"], 1, False))
        place = {"context": set_span_in_context(span, Context())}
    return LogRecord(attributes=attributes, severity_number=SeverityNumber.UNSPECIFIED, **place, **fields)


def readable(record: Any) -> Any:
    """One as exporters get it."""
    try:
        from opentelemetry.sdk._logs import ReadableLogRecord
    except ImportError:
        from opentelemetry.sdk._logs import LogData  # type: ignore[attr-defined]

        return LogData(record, None)
    return ReadableLogRecord(record, Resource.get_empty())
