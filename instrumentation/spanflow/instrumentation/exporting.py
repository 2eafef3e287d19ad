"""OTLP beside Spanflow: only where it is configured, and never with secrets."""

import os
from importlib.util import find_spec
from typing import Any, Final

from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from spanflow.span_processors.redacting_exporter import RedactingExporter
from spanflow.span_processors.redaction import RedactionPolicy, Redactor
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
        return BatchSpanProcessor(RedactingExporter(exporter, redactor))

    return processor


def _has_grpc() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.grpc") is not None
    except ModuleNotFoundError:
        return False
