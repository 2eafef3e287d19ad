"""A real Prometheus that scrapes one target."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.collector import healthy
from tests.support.poll import eventually
from tests.support.ports import free_port

_CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: spanflow
    scrape_native_histograms: {native}
    authorization: {{credentials: "{token}"}}
    static_configs: [{{targets: ["{target}"]}}]
"""


@dataclass(frozen=True)
class RunningPrometheus:
    origin: str

    def ask(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series of an instant query."""
        answer: Any = httpx.get(f"{self.origin}/api/v1/query", params={"query": promql}, timeout=10).json()
        assert answer["status"] == "success", answer
        return [(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]


@contextmanager
def running_prometheus(
    program: Path, folder: Path, target: str, token: str, *, native: bool = True
) -> Iterator[RunningPrometheus]:
    folder.mkdir(parents=True, exist_ok=True)
    config, log, port = folder / "prometheus.yml", folder / "prometheus.log", free_port()
    config.write_text(_CONFIG.format(native=str(native).lower(), token=token, target=target), encoding="utf-8")
    command = [str(program), "--config.file", str(config), "--storage.tsdb.path", str(folder / "data")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--web.listen-address", f"127.0.0.1:{port}"], stdout=output, stderr=output, cwd=folder
        )
    try:
        origin = f"http://127.0.0.1:{port}"
        eventually(lambda: healthy(process, f"{origin}/-/ready", log), within=30)
        yield RunningPrometheus(origin)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)
