"""A Collector and a Jaeger beside the viewer: `spanflow up --collector --jaeger`."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from typing import Final, Self

from spanflow.cli.demo import Part, answers
from spanflow.cli.ports import LOOPBACK, free_port
from spanflow.cli.problem import Problem

_COLLECTORS: Final = ("otelcol-spanflow", "otelcol-contrib")
_JAEGERS: Final = ("jaeger",)
_AGENT: Final = "agent.yaml"
#: Traces that the Jaeger keeps, in memory.
_JAEGER_TRACES: Final = 10_000
_JAEGER_CONFIG: Final = """\
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
extensions:
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "{host}:{query}"}}
    grpc: {{endpoint: "{host}:{query_grpc}"}}
  jaeger_storage:
    backends:
      memory: {{memory: {{max_traces: {traces}}}}}
receivers:
  otlp:
    protocols:
      http: {{endpoint: "{host}:{otlp}"}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""


@dataclass(frozen=True, slots=True)
class TracingTools:
    """What was asked for, and what of it is here."""

    wants_collector: bool
    wants_jaeger: bool
    collector: Path | None
    jaeger: Path | None

    @classmethod
    def find(cls, collector: bool, jaeger: bool, environ: Mapping[str, str]) -> Self | None:
        """None when nothing was asked for."""
        if not collector and not jaeger:
            return None
        return cls(
            collector,
            jaeger,
            _program(_COLLECTORS, "otelcol-", environ) if collector else None,
            _program(_JAEGERS, "jaeger-", environ) if jaeger else None,
        )

    def missing(self) -> list[str]:
        """What is asked for and not here, as a person is told."""
        how = "on PATH, nor built by `make interop-tools`"
        lines = []
        if self.wants_jaeger and self.jaeger is None:
            lines.append(f"no Jaeger: `jaeger` is not {how}; the viewer answers Jaeger's clients at /jaeger")
        if self.wants_collector and self.collector is None:
            instead = "Jaeger" if self.jaeger else "the viewer"
            lines.append(f"no Collector: `otelcol-contrib` is not {how}; gateways export to {instead} directly")
        return lines

    def plan(self, directory: Path, environ: Mapping[str, str], viewer: str, token: str) -> "Plan":
        """What to start, in this order, and what gateways need so that their spans go there."""
        parts: list[Part] = []
        sends = {"OTEL_EXPORTER_OTLP_ENDPOINT": viewer, "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer {token}"}
        upstream = ("to-viewer.yaml", {"VIEWER_URL": viewer, "VIEWER_INGEST_TOKEN": token})
        if self.jaeger is not None:
            query, otlp = free_port(), free_port()
            config = directory / "jaeger.yaml"
            ports = {"host": LOOPBACK, "query": query, "query_grpc": free_port(), "otlp": otlp}
            config.write_text(_JAEGER_CONFIG.format(traces=_JAEGER_TRACES, **ports), encoding="utf-8")
            jaeger_address = f"http://{LOOPBACK}:{query}"
            # It would trace itself, and send that to whatever listens on OTLP's usual port.
            quiet = {**environ, "OTEL_TRACES_SAMPLER": "always_off"}
            command = [str(self.jaeger), "--config", str(config)]
            services = f"{jaeger_address}/api/services"
            parts.append(Part("jaeger", command, quiet, lambda: answers(services), jaeger_address))
            sends = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{otlp}"}
            upstream = ("to-jaeger.yaml", {"JAEGER_OTLP_URL": sends["OTEL_EXPORTER_OTLP_ENDPOINT"]})
        if self.collector is not None:
            http, health = free_port(), free_port()
            overlay, where = upstream
            variables = {
                "COLLECTOR_HTTP_PORT": str(http),
                "COLLECTOR_GRPC_PORT": str(free_port()),
                "COLLECTOR_HEALTH_PORT": str(health),
                "COLLECTOR_TELEMETRY_PORT": str(free_port()),
                "COLLECTOR_QUEUE_DIR": str(directory / "collector-queue"),
            }
            folder = _config_folder()
            command = [str(self.collector), *(f"--config={folder / name}" for name in (_AGENT, overlay))]
            ready = f"http://{LOOPBACK}:{health}/"
            receives = f"http://{LOOPBACK}:{http}"
            settings = {**environ, **variables, **where}
            parts.append(Part("collector", command, settings, lambda: answers(ready), receives))
            sends = {"OTEL_EXPORTER_OTLP_ENDPOINT": receives}
        return Plan(parts, {**sends, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be started, and the settings of gateways that send there."""

    parts: list[Part]
    gateway: dict[str, str]


def _config_folder() -> Path:
    """The Collector's files of this checkout, or those that came with the installed wheel."""
    checkout = Path(__file__).resolve().parents[3] / "collector_config"
    if (checkout / _AGENT).exists():
        return checkout
    for file in files("spanflow") or []:
        if file.parts[-2:] == ("collector_config", _AGENT):
            return Path(str(file.locate())).resolve().parent
    raise Problem("this installation has no files for a Collector. `spanflow up` without --collector runs the rest.")


def _program(names: tuple[str, ...], prefix: str, environ: Mapping[str, str]) -> Path | None:
    on_path = next(filter(None, (shutil.which(name, path=environ.get("PATH")) for name in names)), None)
    if on_path is not None:
        return Path(on_path)
    home = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".cache")
    built = (Path(home) / "spanflow" / "tools").glob(f"{prefix}*")
    return max((path for path in built if path.is_file()), key=lambda path: path.stat().st_mtime, default=None)
