"""The Collector's files as it merges them, and a Collector that runs with them."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from tests.support.checkout import ROOT
from tests.support.poll import eventually
from tests.support.ports import free_port

FOLDER: Final = ROOT / "collector_config"
BASES: Final = ("agent", "gateway")
OVERLAYS: Final = (
    "agent-secured",
    "agent-balanced",
    "gateway-secured",
    "to-jaeger",
    "to-tempo",
    "to-clickhouse",
    "to-viewer",
)


def merged(*files: Path) -> dict[str, Any]:
    """As `--config` several times: objects are merged, everything else is replaced."""
    document: dict[str, Any] = {}
    for file in files:
        _merge(document, yaml.safe_load(file.read_text(encoding="utf-8")))
    return document


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


class RunningCollector:
    """A Collector that answers."""

    def __init__(self, process: "subprocess.Popen[bytes]", environment: dict[str, str]) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{environment['COLLECTOR_HTTP_PORT']}"
        self.traces = f"{self.url}/v1/traces"
        self.grpc_port = environment["COLLECTOR_GRPC_PORT"]
        self.metrics = f"http://127.0.0.1:{environment['COLLECTOR_METRICS_PORT']}/metrics"
        self.telemetry = f"http://127.0.0.1:{environment['COLLECTOR_TELEMETRY_PORT']}/metrics"
        self.environment = environment

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def configs(*names: str) -> list[str]:
    return [f"--config={FOLDER / name}.yaml" for name in names]


@contextmanager
def running_collector(
    program: Path, names: tuple[str, ...], folder: Path, **environ: str
) -> Iterator[RunningCollector]:
    """A Collector with these files; `environ` has its variables, ports are chosen."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = ("GRPC", "HTTP", "HEALTH", "METRICS", "TELEMETRY")
    environment = {
        "COLLECTOR_QUEUE_DIR": str(folder / "queue"),
        **{f"COLLECTOR_{port}_PORT": str(free_port()) for port in ports},
        **environ,
    }
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([program, *configs(*names)], stdout=log, stderr=log, env=environment)
    try:
        health = f"http://127.0.0.1:{environment['COLLECTOR_HEALTH_PORT']}/"
        eventually(lambda: healthy(process, health, folder / "log"), within=60)
        yield RunningCollector(process, environment)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)


def healthy(process: "subprocess.Popen[bytes]", address: str, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(address).is_success
    except httpx.TransportError:
        return False
