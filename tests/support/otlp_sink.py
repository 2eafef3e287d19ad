"""Takes spans over OTLP/HTTP, as a Jaeger would, and remembers them."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class OtlpSink:
    """Where it listens, and what has come."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[Span]:
        with self._lock:
            return list(self._spans)

    def names(self) -> list[str]:
        return sorted(span.name for span in self.spans())

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self._spans.extend(scope.spans)


def attributes(span: Span) -> dict[str, str]:
    """A span's attributes as text."""
    return {pair.key: pair.value.string_value for pair in span.attributes}


@contextmanager
def otlp_sink(port: int = 0) -> Iterator[OtlpSink]:
    """A sink that listens until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sink.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        sink = OtlpSink(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="otlp sink")
        thread.start()
        try:
            yield sink
        finally:
            server.shutdown()
            thread.join()
