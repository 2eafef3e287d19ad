"""Throughput of a whole server under full load, and whether anything was lost on the way."""

import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict
from typing import Any

import orjson

from benchmarks.variants import Servers
from tests.support.poll import eventually
from tests.support.ports import accepts, free_port


def http_round(variant: str, servers: Servers, seconds: float) -> dict[str, Any]:
    port = free_port()
    job = orjson.dumps({"variant": variant, "servers": asdict(servers), "port": port}).decode()
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.http_app", job])
    try:
        eventually(lambda: accepts(port), within=20)
        _load(port, 0.5)
        result = _load(port, seconds)
        begun = time.monotonic()
        # Whatever was still waiting when the load ended should be gone in a second.
        eventually(lambda: _counts(port)["waiting"] == 0, within=30)
        result["drained_s"] = time.monotonic() - begun
        result["lost"] = _counts(port)["lost"]
        return result
    finally:
        server.terminate()
        server.wait(timeout=20)


def _load(port: int, seconds: float) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load_client", str(port), str(seconds)],
        capture_output=True,
        check=True,
        timeout=seconds + 30,
    )
    result: dict[str, Any] = orjson.loads(done.stdout)
    return result


def _counts(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts", timeout=5) as answer:
        counts: dict[str, Any] = orjson.loads(answer.read())
        return counts
