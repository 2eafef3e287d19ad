"""The same gateway with an OTLP endpoint: its spans also go to any OpenTelemetry tool."""

from pathlib import Path

from tests.examples.conftest import FOLDER
from tests.support.example_visitor import Visitor
from tests.support.gateway_process import gateway_process
from tests.support.otlp_sink import otlp_sink

COMMAND = ["opentelemetry-instrument", "uvicorn", "example_gateway.app:app", "--port", "{port}"]


def test_the_last_spans_are_exported_when_the_gateway_is_stopped(tmp_path: Path) -> None:
    with otlp_sink() as sink:
        environment = {
            "EXAMPLE_GATEWAY_PACE": "0",
            "SPANFLOW_ENABLED": "true",
            "SPANFLOW_REDIS_ENABLED": "false",
            "SPANFLOW_ARCHIVE_ENABLED": "false",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        }
        with gateway_process(COMMAND, tmp_path / "log", environment, python_path=[FOLDER]) as gateway:
            Visitor(gateway.url, "demo-ann").ask("status of job 42")
        names = sink.names()
    assert {"POST /api/v1/ask/stream", "auth_check", "chat stand-in-large", "llm_complete"} <= set(names)
    assert b"demo-ann" not in b"".join(span.SerializeToString() for span in sink.spans())
