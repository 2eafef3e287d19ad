"""A program with OpenTelemetry's SDK alone, exporting by OTLP/gRPC as its OTEL_EXPORTER_OTLP_* variables say.

It prints the trace id, then the result of each export.
"""

import sys
from collections.abc import Mapping, Sequence

from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AnyValue


class _PrintedResults(SpanExporter):
    def __init__(self) -> None:
        self._exporter: SpanExporter = OTLPSpanExporter()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        say(f"{len(spans)} spans {result.name}")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    resource = Resource({"service.name": "router"})
    spans = TracerProvider(resource=resource)
    spans.add_span_processor(BatchSpanProcessor(_PrintedResults(), export_timeout_millis=60_000))
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    tracer = spans.get_tracer("router")
    with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER) as root:
        say(f"{root.get_span_context().trace_id:032x}")
        asked: Mapping[str, AnyValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-5",
            "gen_ai.usage.input_tokens": 11,
        }
        with tracer.start_as_current_span("chat gpt-5", kind=SpanKind.CLIENT, attributes=asked):
            judged: Mapping[str, AnyValue] = {
                "gen_ai.evaluation.name": "Relevance",
                "gen_ai.evaluation.score.value": 0.5,
            }
            logs.get_logger("router").emit(LogRecord(event_name="gen_ai.evaluation.result", attributes=judged))
        called: Mapping[str, AnyValue] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
        with tracer.start_as_current_span("execute_tool search", attributes=called):
            pass
    spans.force_flush(60_000)
    if "logs" in sys.argv:
        logs.shutdown()
    spans.shutdown()


if __name__ == "__main__":
    main()
