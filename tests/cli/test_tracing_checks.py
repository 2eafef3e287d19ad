"""What the doctor says about the tracing that a process got."""

import asyncio
from dataclasses import replace

import pytest

from spanflow.cli.checks.finding import Check, Finding, Level
from spanflow.cli.checks.startup_report import Processor, StartupReport
from spanflow.cli.checks.tracing import Exporters, Processors, Propagators, Sampler
from tests.support.situations import situation

OURS = Processor("spanflow.span_processors.processor.FlowSpanProcessor", "", False, "")
SOUND = StartupReport(
    provider="opentelemetry.sdk.trace.TracerProvider",
    disabled=False,
    sampler="AlwaysRecordSampler{ParentBased{root:AlwaysOnSampler,…}}",
    propagators=("opentelemetry.trace.propagation.tracecontext.TraceContextTextMapPropagator",),
    propagation_works=True,
    processors=(OURS,),
    service="gateway",
    log="",
)


def findings(check: Check, report: StartupReport) -> list[Finding]:
    async def run() -> list[Finding]:
        return [finding async for finding in check.run(situation(startup=report))]

    return asyncio.run(run())


@pytest.mark.parametrize("check", [Exporters(), Processors(), Propagators(), Sampler()])
def test_a_sound_start_has_no_complaint(check: Check) -> None:
    assert {finding.level for finding in findings(check, SOUND)} == {Level.OK}


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
