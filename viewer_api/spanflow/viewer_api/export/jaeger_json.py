"""Flows as Jaeger's own JSON, which its page opens with *Upload*."""

from spanflow.viewer_api.export.exported_flow import ExportedFlow
from spanflow.viewer_api.http.responses import encode
from spanflow.viewer_api.jaeger.v1_json import trace_v1


class JaegerJson:
    media_type = "application/json"
    extension = "jaeger.json"

    def begin(self) -> bytes:
        return b'{"data":['

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        trace = trace_v1(exported.flow.flow_id, exported.entries, exported.processes, exported.outlook.now_ns)
        return (b",\n" if number else b"\n") + encode(trace)

    def end(self) -> bytes:
        return b"]}\n"
