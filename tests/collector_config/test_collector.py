"""The files in a real Collector: spans arrive redacted, wait on disk, and the remarkable ones are kept."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

from tests.support.collector import BASES, FOLDER, OVERLAYS, configs, running_collector
from tests.support.go_tools import collector
from tests.support.otlp_sink import attributes, otlp_sink
from tests.support.poll import eventually
from tests.support.ports import free_port

TOKEN = "a-token-between-tiers"
#: What the gateway tier keeps of the test's flows when it keeps no share of the rest.
KEPT = ["broken", "gate", "given up", "refused", "root", "slow", "watched"]
QUICK = {"COLLECTOR_KEEP_PERCENT": "0", "COLLECTOR_DECISION_WAIT": "10s", "COLLECTOR_DECISION_WAIT_AFTER_ROOT": "1s"}
ALL = {**QUICK, "COLLECTOR_KEEP_PERCENT": "100"}


@pytest.fixture(scope="module")
def program() -> Path:
    return collector()


def certificates(folder: Path) -> None:
    """Made by the script that comes with the files."""
    shutil.copy(FOLDER / "certificates.sh", folder)
    subprocess.run(["sh", "certificates.sh"], cwd=folder, check=True)


def secured(folder: Path, name: str) -> dict[str, str]:
    made = folder / "certificates"
    return {
        "COLLECTOR_CERT_FILE": str(made / f"{name}.pem"),
        "COLLECTOR_KEY_FILE": str(made / f"{name}-key.pem"),
        "COLLECTOR_CA_FILE": str(made / "ca.pem"),
        "COLLECTOR_TOKEN": TOKEN,
    }


@contextmanager
def gateway_to(traces: str) -> Iterator[TracerProvider]:
    """Somebody who sends each span as soon as it ends."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=traces)))
    try:
        yield provider
    finally:
        provider.shutdown()


WHOLE = [(base,) for base in BASES] + [
    (base, overlay) for overlay in OVERLAYS for base in BASES if overlay.startswith((base, "to-"))
]


@pytest.mark.parametrize("names", WHOLE, ids="+".join)
def test_the_collector_finds_the_files_valid(program: Path, names: tuple[str, ...], tmp_path: Path) -> None:
    certificates(tmp_path)
    environ = {**secured(tmp_path, "gateway"), "COLLECTOR_GATEWAYS": "gateways", "VIEWER_INGEST_TOKEN": "t"}
    command = [str(program), "validate", *configs(*names)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long
def test_spans_pass_the_agent_and_secrets_do_not(program: Path, tmp_path: Path) -> None:
    with (
        otlp_sink() as sink,
        running_collector(program, ("agent",), tmp_path, COLLECTOR_UPSTREAM=sink.url) as agent,
        gateway_to(agent.traces) as sdk,
    ):
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


@pytest.mark.long
def test_what_the_upstream_cannot_take_waits_on_disk_over_a_kill(program: Path, tmp_path: Path) -> None:
    port = free_port()
    upstream = f"http://127.0.0.1:{port}"
    with (
        running_collector(program, ("agent",), tmp_path, COLLECTOR_UPSTREAM=upstream) as agent,
        gateway_to(agent.traces) as sdk,
    ):
        for number in range(20):
            sdk.get_tracer("t").start_span(f"span {number:02}").end()
        agent.kill()
    with otlp_sink(port) as sink, running_collector(program, ("agent",), tmp_path, COLLECTOR_UPSTREAM=upstream):
        eventually(lambda: len(set(sink.names())) == 20, within=30)


@pytest.mark.long
def test_the_gateway_keeps_what_is_remarkable_and_measures_everything(program: Path, tmp_path: Path) -> None:
    with (
        otlp_sink() as sink,
        running_collector(program, ("gateway",), tmp_path, COLLECTOR_UPSTREAM=sink.url, **QUICK) as gateway,
        gateway_to(gateway.traces) as sdk,
    ):
        tracer = sdk.get_tracer("t")
        for name, outcome in (("fine", "ok"), ("refused", "denied"), ("given up", "cancelled")):
            tracer.start_span(name, attributes={"flow.outcome": outcome}).end()
        tracer.start_span("watched", attributes={"flow.monitored": True}).end()
        broken = tracer.start_span("broken")
        broken.set_status(StatusCode.ERROR)
        broken.end()
        tracer.start_span("slow", start_time=1_767_700_800_000_000_000).end(1_767_700_811_000_000_000)
        # All of a flow is kept, also what comes after it was decided.
        with tracer.start_as_current_span("root") as root:
            tracer.start_span("gate", attributes={"flow.outcome": "denied"}).end()
        eventually(lambda: sink.names() == KEPT, within=60)
        tracer.start_span("late", context=trace.set_span_in_context(root)).end()
        eventually(lambda: sink.names() == sorted([*KEPT, "late"]), within=30)
        measured = eventually(lambda: httpx.get(gateway.metrics).text, within=30)
        eventually(lambda: 'span_name="fine"' in httpx.get(gateway.metrics).text, within=30)
        assert "user_id" not in measured


@pytest.mark.long
def test_tiers_speak_only_with_certificates_and_token(program: Path, tmp_path: Path) -> None:
    """All spans of a flow come to the same gateway Collector; who has no token is turned away."""
    certificates(tmp_path)
    own = {name: secured(tmp_path, name) for name in ("gateway", "agent")}
    with (
        otlp_sink() as sink,
        running_collector(
            program,
            ("gateway", "gateway-secured"),
            tmp_path / "g",
            COLLECTOR_UPSTREAM=sink.url,
            **own["gateway"],
            **ALL,
        ) as gateway,
        running_collector(
            program,
            ("agent", "agent-balanced"),
            tmp_path / "a",
            COLLECTOR_GATEWAYS="localhost",
            COLLECTOR_GATEWAYS_PORT=gateway.grpc_port,
            COLLECTOR_SERVER_NAME="localhost",
            **own["agent"],
        ) as balanced,
        running_collector(
            program,
            ("agent", "agent-secured"),
            tmp_path / "s",
            COLLECTOR_UPSTREAM=gateway.url.replace("http://", "https://"),
            **own["agent"],
        ) as agent,
        gateway_to(balanced.traces) as one,
        gateway_to(agent.traces) as other,
    ):
        one.get_tracer("t").start_span("balanced").end()
        other.get_tracer("t").start_span("direct").end()
        eventually(lambda: sink.names() == ["balanced", "direct"], within=60)
        with pytest.raises(httpx.TransportError):
            httpx.post(gateway.traces.replace("http://", "https://"), verify=False)
        context = ssl.create_default_context(cafile=str(tmp_path / "certificates" / "ca.pem"))
        context.load_cert_chain(own["agent"]["COLLECTOR_CERT_FILE"], own["agent"]["COLLECTOR_KEY_FILE"])
        with httpx.Client(verify=context) as stranger:
            address = f"https://localhost:{gateway.environment['COLLECTOR_HTTP_PORT']}/v1/traces"
            assert stranger.post(address, json={}).status_code == 401
