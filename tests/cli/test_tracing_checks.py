"""What the doctor says about the tracing that a process got."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from spanflow.cli.checks.finding import Check, Finding, Level
from spanflow.cli.checks.startup_report import Processor, StartupReport
from spanflow.cli.checks.tracing import Exporters, PrivateProviders, Processors, Propagators, Sampler
from tests.support.situations import situation

OURS = Processor("spanflow.span_processors.processor.FlowSpanProcessor", "", False, "")
SOUND = StartupReport(
    provider="spanflow.instrumentation.quick.quick_class.QuickTracerProvider",
    disabled=False,
    sampler="AlwaysRecordSampler{ParentBased{root:AlwaysOnSampler,…}}",
    propagators=("opentelemetry.trace.propagation.tracecontext.TraceContextTextMapPropagator",),
    propagation_works=True,
    processors=(OURS,),
    service="gateway",
    unseen=(),
    import_error="",
    log="",
)


def findings(check: Check, report: StartupReport) -> list[Finding]:
    async def run() -> list[Finding]:
        return [finding async for finding in check.run(situation(startup=report))]

    return asyncio.run(run())


@pytest.mark.parametrize("check", [Exporters(), PrivateProviders(), Processors(), Propagators(), Sampler()])
def test_a_sound_start_has_no_complaint(check: Check) -> None:
    assert {finding.level for finding in findings(check, SOUND)} == {Level.OK}


def test_an_sdk_that_makes_its_own_spans_is_named() -> None:
    [_, finding] = findings(Processors(), replace(SOUND, provider="opentelemetry.sdk.trace.TracerProvider"))
    assert finding.level is Level.NOTE
    assert finding.message.endswith("makes the spans itself, which costs a request more")


def test_a_pipeline_that_sends_secrets_is_named() -> None:
    leaking = Processor("sdk.BatchSpanProcessor", "vendor.exporter.VendorExporter", False, "https://vendor.example/v1")
    [finding] = findings(Exporters(), replace(SOUND, processors=(OURS, leaking)))
    assert finding.level is Level.WARNING
    assert finding.message == (
        "VendorExporter to https://vendor.example/v1 gets spans as they are, with every secret in them"
    )


def test_a_provider_of_somebody_else_is_shown_with_its_log() -> None:
    report = replace(SOUND, provider="vendor.Provider", processors=(), log="Overriding is not allowed")
    [finding] = findings(Processors(), report)
    assert finding.level is Level.PROBLEM
    assert finding.message == (
        "is not installed: the tracer provider is vendor.Provider, its processors are none\n"
        "      Overriding is not allowed"
    )


def test_propagators_that_would_make_every_request_fail_are_a_problem() -> None:
    [finding] = findings(Propagators(), replace(SOUND, propagators=(), propagation_works=False))
    assert finding.level is Level.PROBLEM
    assert finding.repair == "unset OTEL_PROPAGATORS, or set OTEL_PROPAGATORS=tracecontext"


def test_a_sampler_that_leaves_requests_out_is_a_warning() -> None:
    [finding] = findings(Sampler(), replace(SOUND, sampler="TraceIdRatioBased{0.1}"))
    assert finding.level is Level.WARNING


GATEWAY = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

class VendorsProvider(trace.TracerProvider):
    def get_tracer(self, *args, **kwargs):
        return trace.NoOpTracer()

theirs = VendorsProvider()
private = TracerProvider(shutdown_on_exit=False)
private.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
app = object()
"""


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "some_gateway.py").write_text(GATEWAY)
    monkeypatch.chdir(tmp_path)
    return "some_gateway:app"


def test_providers_that_are_not_seen_are_named(gateway: str, tmp_path: Path) -> None:
    environ = {"SPANFLOW_DATA_DIR": str(tmp_path)}
    (theirs,) = findings(PrivateProviders(), StartupReport.ask(environ, gateway))
    assert theirs.level is Level.WARNING
    assert theirs.message == "spans of some_gateway.VendorsProvider are not seen"
    assert findings(PrivateProviders(), StartupReport.ask(environ))[0].level is Level.OK


def test_one_that_is_left_alone_on_purpose_is_named_with_what_it_exports_by(gateway: str, tmp_path: Path) -> None:
    environ = {"SPANFLOW_DATA_DIR": str(tmp_path), "SPANFLOW_PRIVATE_PROVIDERS": "false"}
    found = {
        finding.message: finding.repair for finding in findings(PrivateProviders(), StartupReport.ask(environ, gateway))
    }
    exporter = "opentelemetry.sdk.trace.export.in_memory_span_exporter.InMemorySpanExporter"
    message = f"spans of opentelemetry.sdk.trace.TracerProvider, which exports by {exporter} are not seen"
    assert found[message] == "unset SPANFLOW_PRIVATE_PROVIDERS, or set it to true"


def test_a_gateway_that_cannot_be_imported_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_gateway.py").write_text("raise SystemExit('no configuration')")
    environ = {"SPANFLOW_DATA_DIR": str(tmp_path)}
    for module, why in (("broken_gateway:app", "SystemExit: no configuration"), ("gone:app", "ModuleNotFoundError: ")):
        (finding,) = findings(PrivateProviders(), StartupReport.ask(environ, module))
        assert finding.level is Level.WARNING and f" cannot be imported here: {why}" in finding.message
