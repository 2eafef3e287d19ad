"""A real Jaeger that keeps traces in memory."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.collector import healthy
from tests.support.poll import eventually
from tests.support.ports import free_port

#: It would trace itself, and send that to any receiver on OTLP's usual port.
_QUIET: Final = {"OTEL_TRACES_SAMPLER": "always_off"}


@dataclass(frozen=True)
class RunningJaeger:
    """Its addresses."""

    query: str
    otlp: str


@contextmanager
def running_jaeger(program: Path, folder: Path) -> Iterator[RunningJaeger]:
    folder.mkdir(parents=True, exist_ok=True)
    ports = {name: free_port() for name in ("otlp_grpc", "otlp_http", "query", "query_grpc", "health")}
    config = folder / "jaeger.yaml"
    config.write_text(_CONFIG.format(**ports), encoding="utf-8")
    log = folder / "jaeger.log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, "--config", config], stdout=output, stderr=output, env=_QUIET)
    try:
        query = f"http://127.0.0.1:{ports['query']}"
        eventually(lambda: healthy(process, f"{query}/api/services", log), within=30)
        yield RunningJaeger(query, f"http://127.0.0.1:{ports['otlp_http']}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)


_CONFIG: Final = """
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
      memory: {{memory: {{max_traces: 100000}}}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{otlp_grpc}"}}
      http: {{endpoint: "127.0.0.1:{otlp_http}"}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""
