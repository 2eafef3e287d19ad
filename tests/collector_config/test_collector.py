"""The files in a real Collector: spans arrive redacted, wait on disk, and the remarkable ones are kept."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

from tests.support.gateway_process import CHECKOUT, gateway_process
from tests.support.go_tools import collector, jaeger
from tests.support.otlp_sink import attributes, otlp_sink
from tests.support.poll import eventually
from tests.support.ports import free_port

pytestmark = pytest.mark.long
FOLDER = CHECKOUT / "collector_config"


@pytest.fixture(scope="module")
def program() -> Path:
    return collector()


class Running:
    """A Collector that answers."""

    def __init__(self, process: "subprocess.Popen[bytes]", environment: dict[str, str]) -> None:
        self.process = process
        self.traces = f"http://127.0.0.1:{environment['COLLECTOR_HTTP_PORT']}/v1/traces"
        self.url = f"http://127.0.0.1:{environment['COLLECTOR_HTTP_PORT']}"
        self.metrics = f"http://127.0.0.1:{environment.get('COLLECTOR_METRICS_PORT')}/metrics"


@contextmanager
def running(program: Path, name: str, folder: Path, upstream: str, **more: str) -> Iterator[Running]:
    environment = {
        "COLLECTOR_UPSTREAM": upstream,
        "COLLECTOR_QUEUE_DIR": str(folder / "queue"),
        **{f"COLLECTOR_{port}_PORT": str(free_port()) for port in ("GRPC", "HTTP", "HEALTH", "METRICS")},
        **more,
    }
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [program, "--config", FOLDER / f"{name}.yaml"], stdout=log, stderr=log, env=environment
        )
    try:
        health = f"http://127.0.0.1:{environment['COLLECTOR_HEALTH_PORT']}/"
        eventually(lambda: healthy(process, health, folder / "log"), within=20)
        yield Running(process, environment)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)


def healthy(process: "subprocess.Popen[bytes]", address: str, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(address).is_success
    except httpx.TransportError:
        return False


@contextmanager
def gateway_to(traces: str) -> Iterator[TracerProvider]:
    """Somebody who sends each span as soon as it ends."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=traces)))
    try:
        yield provider
    finally:
        provider.shutdown()


@pytest.mark.parametrize("name", ["agent", "gateway"])
def test_the_collector_finds_the_file_valid(program: Path, name: str) -> None:
    done = subprocess.run([program, "validate", "--config", FOLDER / f"{name}.yaml"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_spans_pass_the_agent_and_secrets_do_not(program: Path, tmp_path: Path) -> None:
    with otlp_sink() as sink, running(program, "agent", tmp_path, sink.url) as agent, gateway_to(agent.traces) as sdk:
        with sdk.get_tracer("t").start_as_current_span("tool_call") as span:
            span.set_attributes(
                {"flow.data.tool": "list_snapshots", "db.password": "hunter2", "note": "Bearer abcdefghijklmnop"}
            )
            span.set_status(Status(StatusCode.ERROR, "login failed: password=hunter2, user ann"))
        [arrived] = eventually(sink.spans, within=15)
    assert attributes(arrived)["flow.data.tool"] == "list_snapshots"
    assert arrived.status.message == "login failed: password=[redacted], user ann"
    assert b"hunter2" not in arrived.SerializeToString()
    assert b"abcdefghijklmnop" not in arrived.SerializeToString()


def test_what_the_upstream_cannot_take_waits_on_disk_over_a_kill(program: Path, tmp_path: Path) -> None:
    port = free_port()
    upstream = f"http://127.0.0.1:{port}"
    with running(program, "agent", tmp_path, upstream) as agent, gateway_to(agent.traces) as sdk:
        for number in range(20):
            sdk.get_tracer("t").start_span(f"span {number:02}").end()
        agent.process.kill()
        agent.process.wait()
    with otlp_sink(port) as sink, running(program, "agent", tmp_path, upstream):
        eventually(lambda: len(set(sink.names())) == 20, within=30)


def test_the_gateway_keeps_what_is_remarkable_and_measures_everything(program: Path, tmp_path: Path) -> None:
    with (
        otlp_sink() as sink,
        running(program, "gateway", tmp_path, sink.url, COLLECTOR_KEEP_PERCENT="0") as gateway,
        gateway_to(gateway.traces) as sdk,
    ):
        tracer = sdk.get_tracer("t")
        for name, outcome in (("fine", "ok"), ("refused", "denied"), ("given up", "cancelled")):
            tracer.start_span(name, attributes={"flow.outcome": outcome}).end()
        tracer.start_span("watched", attributes={"flow.monitored": True}).end()
        broken = tracer.start_span("broken")
        broken.set_status(StatusCode.ERROR)
        broken.end()
        eventually(lambda: sink.names() == ["broken", "given up", "refused", "watched"], within=40)
        measured = eventually(lambda: httpx.get(gateway.metrics).text, within=30)
        eventually(lambda: 'span_name="fine"' in httpx.get(gateway.metrics).text, within=30)
        assert "user_id" not in measured


def test_flows_of_the_example_gateway_are_found_in_jaeger(program: Path, tmp_path: Path) -> None:
    """From the gateway through the agent into a Jaeger, and out of its query interface."""
    ports = {name: free_port() for name in ("otlp_grpc", "otlp_http", "query", "query_grpc", "health")}
    config = tmp_path / "jaeger.yaml"
    config.write_text(JAEGER.format(**ports), encoding="utf-8")
    with (tmp_path / "jaeger.log").open("wb") as log:
        # It would trace itself, and send that to whoever listens on OTLP's usual port.
        quiet = {"OTEL_TRACES_SAMPLER": "always_off"}
        server = subprocess.Popen([jaeger(), "--config", config], stdout=log, stderr=log, env=quiet)
    try:
        query = f"http://127.0.0.1:{ports['query']}"
        eventually(lambda: healthy(server, f"{query}/api/services", tmp_path / "jaeger.log"), within=30)
        with running(program, "agent", tmp_path, f"http://127.0.0.1:{ports['otlp_http']}") as agent:
            environment = {
                "EXAMPLE_GATEWAY_PACE": "0.02",
                "SPANFLOW_ENABLED": "true",
                "SPANFLOW_REDIS_ENABLED": "false",
                "SPANFLOW_ARCHIVE_ENABLED": "false",
                "OTEL_SERVICE_NAME": "example-gateway",
                "OTEL_EXPORTER_OTLP_ENDPOINT": agent.url,
            }
            command = ["opentelemetry-instrument", "uvicorn", "example_gateway.app:app", "--port", "{port}"]
            example = CHECKOUT / "examples" / "gateway"
            with gateway_process(command, tmp_path / "gateway.log", environment, python_path=[example]) as gateway:
                httpx.post(
                    f"{gateway.url}/api/v1/ask/stream",
                    json={"message": "status of job 42"},
                    headers={"authorization": "Bearer demo-ann"},
                    timeout=30,
                ).raise_for_status()
            search = {"service": "example-gateway", "operation": "llm_complete"}
            eventually(lambda: httpx.get(f"{query}/api/traces", params=search).json()["data"], within=30)
        [trace] = httpx.get(f"{query}/api/traces", params=search).json()["data"]
        names = {span["operationName"] for span in trace["spans"]}
        assert {"POST /api/v1/ask/stream", "auth_check", "usage_check", "chat stand-in-small", "llm_complete"} <= names
        tags = [{tag["key"]: tag["value"] for tag in span["tags"]} for span in trace["spans"]]
        assert {tag["user.id"] for tag in tags if "user.id" in tag} == {"1"}
    finally:
        server.terminate()
        server.wait(20)


JAEGER = """
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
extensions:
  healthcheckv2:
    use_v2: true
    http: {{endpoint: "127.0.0.1:{health}"}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{query_grpc}"}}
  jaeger_storage:
    backends:
      memory: {{memory: {{max_traces: 1000}}}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{otlp_grpc}"}}
      http: {{endpoint: "127.0.0.1:{otlp_http}"}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""
