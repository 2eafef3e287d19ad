"""The same redaction for log records that leave over OTLP; instrumentations of models send what was said as events."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from spanflow.span_processors.metadata_names import in_model_namespace
from spanflow.span_processors.opentelemetry_versions import (
    NO_BODY,
    LogRecordExporter,
    LogRecordExportResult,
    bounded_like,
    event_name_of,
    resource_of,
    rewritten,
)
from spanflow.span_processors.redaction.export_redactors import ExportRedactors
from spanflow.span_processors.redaction.redacted_origins import RedactedOrigins
from spanflow.span_processors.redaction.redaction import Redactor

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadableLogRecord

#: Where older instrumentations have the name of an event.
_EVENT_NAME = "event.name"


class RedactingLogExporter(LogRecordExporter):
    """Hands log records without secrets, and by policy without content, to the exporter that it wraps."""

    def __init__(self, exporter: LogRecordExporter, redactor: Redactor) -> None:
        self.wrapped = exporter
        self._redactors = ExportRedactors(redactor)
        self._origins = RedactedOrigins(redactor)

    def export(self, batch: Sequence["ReadableLogRecord"]) -> LogRecordExportResult:
        with self._redactors.batch() as redactor_of:
            clean = [self._redacted(record, redactor_of(record.log_record.trace_id or 0)) for record in batch]
        return self.wrapped.export(clean)

    def shutdown(self) -> None:
        self.wrapped.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.wrapped.force_flush(timeout_millis)

    def _redacted(self, record: "ReadableLogRecord", redactor: Redactor) -> "ReadableLogRecord":
        return rewritten(
            record,
            _without_secrets(record.log_record, redactor),
            self._origins.resource(resource_of(record)),
            self._origins.scope(record.instrumentation_scope),
        )


def _without_secrets(record: "LogRecord", redactor: Redactor) -> "LogRecord":
    given: Mapping[str, Any] = record.attributes or {}
    name = str(event_name_of(record) or given.get(_EVENT_NAME) or "")
    shown, attributes, _ = redactor.event(name, given)
    if name and attributes is not given and _EVENT_NAME in given:
        attributes = {**attributes, _EVENT_NAME: shown}
    clean = copy(record)
    clean.attributes = bounded_like(given, attributes)
    if event_name_of(record):
        clean.event_name = shown
    if redactor.content != "full" and in_model_namespace(f"{name.lower()}."):
        clean.body = NO_BODY
    else:
        clean.body = redactor.recorded({"body": record.body})[0].get("body")
    return clean
