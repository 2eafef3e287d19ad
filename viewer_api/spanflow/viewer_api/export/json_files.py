"""Flows as they are stored: one JSON object each, in an array or a line by itself."""

from spanflow.viewer_api.export.exported_flow import ExportedFlow
from spanflow.viewer_api.http.responses import encode


class JsonLines:
    media_type = "application/x-ndjson"
    extension = "jsonl"

    def begin(self) -> bytes:
        return b""

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        return flow_object(exported) + b"\n"

    def end(self) -> bytes:
        return b""


class JsonArray:
    media_type = "application/json"
    extension = "json"

    def begin(self) -> bytes:
        return b'{"flows":['

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        return (b",\n" if number else b"\n") + flow_object(exported)

    def end(self) -> bytes:
        return b"]}\n"


def flow_object(exported: ExportedFlow) -> bytes:
    return encode(exported.head())[:-1] + b',"flow_data":' + exported.document + b"}"
