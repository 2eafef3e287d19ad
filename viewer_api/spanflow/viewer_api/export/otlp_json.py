"""Flows as OTLP/JSON, as a Collector's file exporter writes them: one request per line."""

from spanflow.span_processors.otlp.otlp_writer import resource_spans
from spanflow.viewer_api.export.exported_flow import ExportedFlow
from spanflow.viewer_api.http.responses import encode


class OtlpJson:
    media_type = "application/x-ndjson"
    extension = "otlp.jsonl"

    def begin(self) -> bytes:
        return b""

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        spans = resource_spans(exported.flow.flow_id, exported.entries, exported.processes)
        return encode({"resourceSpans": spans}) + b"\n"

    def end(self) -> bytes:
        return b""
