"""OpenTelemetry as a gateway gets it that is started from here with `spanflow run`."""

import socket
from collections.abc import AsyncIterator
from importlib.metadata import entry_points, version
from urllib.parse import urlsplit

from spanflow.cli.checks.finding import Finding, Situation, note, ok, problem, warning
from spanflow.cli.checks.startup_report import Processor

#: Samplers under which we see every request, by the beginning of their description.
_ALL_TRACES = ("AlwaysOn", "AlwaysRecord", "ParentBased{root:AlwaysOnSampler")


class SwitchedOn:
    title = "switched on"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        if situation.gateway is None:
            return
        if situation.gateway.enabled:
            yield ok("SPANFLOW_ENABLED is true here")
        else:
            repair = "Start it with `spanflow run -- …`, or set SPANFLOW_ENABLED=true in its environment."
            yield note("SPANFLOW_ENABLED is not set here: a gateway started from here by itself is not traced", repair)


class EntryPoints:
    """Of several distros or configurators, OpenTelemetry loads one: the named one, else whichever it finds first."""

    title = "entry points"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        for group, variable in (
            ("opentelemetry_distro", "OTEL_PYTHON_DISTRO"),
            ("opentelemetry_configurator", "OTEL_PYTHON_CONFIGURATOR"),
        ):
            entry_names = sorted({point.name for point in entry_points(group=group)})
            chosen = situation.environ.get(variable, "").strip()
            word = group.removeprefix("opentelemetry_")
            if "spanflow" not in entry_names:
                yield problem(f"Spanflow's {word} is not registered", "pip install --force-reinstall spanflow")
            elif chosen and chosen != "spanflow":
                yield warning(f"{variable}={chosen} chooses another {word}", f"unset {variable}, or set it to spanflow")
            elif len(entry_names) > 1 and not chosen:
                yield note(
                    f"several {word}s are installed ({', '.join(entry_names)}); `spanflow run` chooses ours",
                    f"For gateways that are started otherwise: {variable}=spanflow",
                )
            else:
                yield ok(f"{word}: {chosen or entry_names[0]}")


class Processors:
    """Whether the provider has Spanflow's span processor."""

    title = "span processor"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        report = situation.startup
        if report is None:
            yield problem(situation.startup_problem, "The lines above name the cause.")
        elif report.disabled:
            yield problem("OTEL_SDK_DISABLED=true switches all tracing off", "unset OTEL_SDK_DISABLED")
        elif any(processor.kind.startswith("spanflow.span_processors.") for processor in report.processors):
            yield ok(f"is installed; the service is called {report.service!r}")
            if report.provider == "opentelemetry.sdk.trace.TracerProvider" and _wants_quick_spans(situation):
                yield note(
                    f"OpenTelemetry {version('opentelemetry-sdk')} makes the spans itself, which costs a request more",
                    "Spanflow's own, which are the same and cheaper, need opentelemetry-sdk 1.45 or newer.",
                )
        else:
            others = ", ".join(processor.kind for processor in report.processors) or "none"
            log = "".join(f"\n      {line}" for line in report.log.splitlines()[-5:])
            yield problem(
                f"is not installed: the tracer provider is {report.provider}, its processors are {others}{log}",
                "Look at the log lines; another library may have set its own provider first.",
            )


class PrivateProviders:
    """Tracer providers that libraries or the gateway make for themselves: whose spans do not come to us?"""

    title = "tracer providers"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        report, module = situation.startup, situation.module
        if report is None:
            return
        if report.import_error:
            yield warning(
                f"{module} cannot be imported here: {report.import_error}",
                "Run the doctor where the gateway is started, with the gateway's environment variables.",
            )
        for provider in report.unseen:
            where = f", which exports by {', '.join(provider.exporters)}" if provider.exporters else ""
            if provider.is_sdk:
                repair = "unset SPANFLOW_PRIVATE_PROVIDERS, or set it to true"
            else:
                repair = "Let it use OpenTelemetry's SDK, or the global tracer provider."
            yield warning(f"spans of {provider.kind}{where} are not seen", repair)
        if not report.unseen and not report.import_error:
            looked = f"with {module} imported" if module else "at the start; `--app module` imports a gateway's as well"
            yield ok(f"none is there whose spans are not seen, {looked}")


class Sampler:
    title = "sampler"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        if situation.startup is None or not situation.startup.sampler:
            return
        sampler = situation.startup.sampler
        if sampler.startswith(_ALL_TRACES):
            yield ok(f"{sampler.partition('{')[0]}: every request is recorded")
        else:
            yield warning(
                f"{sampler}: requests that it leaves out are invisible to the viewer too",
                "unset OTEL_TRACES_SAMPLER, and sample in the Collector, after Spanflow has seen the spans.",
            )


class Propagators:
    title = "propagators"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        report = situation.startup
        if report is None:
            return
        names = ", ".join(kind.rpartition(".")[2] for kind in report.propagators) or "none"
        if not report.propagation_works:
            yield problem(
                f"{names}: reading a request's context gives nothing, so every request would fail with status 500",
                "unset OTEL_PROPAGATORS, or set OTEL_PROPAGATORS=tracecontext",
            )
        else:
            yield ok(names)
        if any(kind.endswith("W3CBaggagePropagator") for kind in report.propagators):
            yield note("baggage is sent to every server that the gateway calls; Spanflow puts nothing into it")


class Exporters:
    """Where spans go besides Redis and Postgres, and whether secrets are taken out on the way."""

    title = "exporters"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        if situation.startup is None:
            return
        exporting = [processor for processor in situation.startup.processors if processor.exporter]
        if not exporting:
            yield ok("none: spans go to Redis and Postgres only")
        for processor in exporting:
            name = processor.exporter.rpartition(".")[2] + (f" to {processor.endpoint}" if processor.endpoint else "")
            if not processor.redacted:
                yield warning(
                    f"{name} gets spans as they are, with every secret in them",
                    "Let Spanflow build it (OTEL_TRACES_EXPORTER), or wrap it in a RedactingExporter.",
                )
            elif not _answers(processor):
                yield warning(
                    f"{name}: nothing listens there, so those spans are lost",
                    "Start the Collector, set OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_TRACES_EXPORTER=none.",
                )
            else:
                yield ok(f"{name}, redacted")


def _wants_quick_spans(situation: Situation) -> bool:
    return situation.gateway is None or situation.gateway.quick_spans


def _answers(processor: Processor) -> bool:
    """Whether the exporter's address takes connections; true where it has none to try."""
    parts = urlsplit(processor.endpoint)
    if not parts.hostname:
        return True
    try:
        with socket.create_connection((parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), 2.0):
            return True
    except OSError:
        return False
