"""OTLP beside Spanflow: only where it is configured, and never with secrets."""

import os
from importlib.util import find_spec
from threading import Thread
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from spanflow.instrumentation.runtime import runtime
from spanflow.span_processors.opentelemetry_versions import LogRecordExporter
from spanflow.span_processors.redaction.redacting_exporter import RedactingExporter
from spanflow.span_processors.redaction.redacting_log_exporter import RedactingLogExporter
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.settings import Settings

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_TRACES: Final = "OTEL_TRACES_EXPORTER"
_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"


def choose_defaults() -> None:
    """Export traces when an endpoint is given, over HTTP unless gRPC is installed. What is set already stays."""
    if any(os.environ.get(name) for name in _ENDPOINTS):
        os.environ.setdefault(_TRACES, "otlp")
    if not _has_grpc():
        os.environ.setdefault(_PROTOCOL, "http/protobuf")


def redacted_batches(settings: Settings) -> Any:
    """What the SDK makes of each exporter: batches, from which secrets are taken out first."""
    redactor = Redactor(RedactionPolicy.from_settings(settings))

    def processor(exporter: SpanExporter) -> BatchSpanProcessor:
        return BatchSpanProcessor(RedactingExporter(exporter, redactor, _is_watched))

    return processor


def _is_watched(user_id: str) -> bool:
    pipeline = runtime().pipeline
    return pipeline is not None and pipeline.is_watched(user_id)


def redacted_log_batches(settings: Settings) -> Any:
    """The same for exporters of log records."""
    redactor = Redactor(RedactionPolicy.from_settings(settings))

    def processor(exporter: LogRecordExporter) -> BatchLogRecordProcessor:
        return BatchLogRecordProcessor(RedactingLogExporter(exporter, redactor))

    return processor


def flush_exporters(timeout: float) -> None:
    """Send what exporters still hold, and wait for it so long at most: the SDK's own flush keeps to no time limit."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush is not None:
        thread = Thread(target=flush, name="spanflow-last-export", daemon=True)
        thread.start()
        thread.join(timeout)


def _has_grpc() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.grpc") is not None
    except ModuleNotFoundError:
        return False
