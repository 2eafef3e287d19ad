"""`make bench-gateways`: what a request to a real LiteLLM proxy costs with and without Spanflow, and what memory.

Both run the same proxy before the same stand-in for a model, in turn; eight clients ask as fast as they are answered.
Every figure that counts is a ratio within a round. Whatever was asked must have been stored, once.
"""

import argparse
import http.client
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil  # type: ignore[import-untyped]
import pytest

from benchmarks.servers import running_servers
from tests.support.gateway_process import GatewayProcess
from tests.support.litellm_proxy import (
    ANN,
    AS_INSTALLED,
    FIRST_CALLBACK,
    OPENINFERENCE,
    SECOND_CALLBACK,
    Callback,
    asking,
    litellm_proxy,
)
from tests.support.model_server import model_server
from tests.support.poll import eventually
from tests.support.query import value


@dataclass(frozen=True)
class Way:
    """How LiteLLM makes its spans, how it is started, and whether its clients leave in the middle of their answers."""

    callback: Callback
    arguments: tuple[str, ...] = ()
    clients_leave: bool = False


WAYS = {
    "as installed": Way(AS_INSTALLED),
    "openinference": Way(OPENINFERENCE),
    "first callback": Way(FIRST_CALLBACK),
    "second callback": Way(SECOND_CALLBACK),
    "second callback, two workers": Way(SECOND_CALLBACK, ("--run_gunicorn", "--num_workers", "2")),
    "second callback, clients leave": Way(SECOND_CALLBACK, clients_leave=True),
}
_CLIENTS = 8
#: The first callback leaves a span of each request open. Its flow is complete a minute after the answer.
_STORED_WITHIN = 180
_WARM_UP = 100
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Measured:
    """One proxy under load."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """Of the proxy's processes, per request."""
    warm_mb: float
    """Its memory when the load begins, and when it is over."""
    end_mb: float

    @property
    def grown_mb(self) -> float:
        return self.end_mb - self.warm_mb


class Load:
    """A number of requests, spread over clients that each keep one connection."""

    def __init__(self, gateway: GatewayProcess, count: int, clients_leave: bool) -> None:
        self._address = urlsplit(gateway.url).netloc
        self._clients_leave = clients_leave
        self._left = count
        self._lock = threading.Lock()
        self._failed: list[BaseException] = []
        self.times: list[float] = []

    def run(self) -> float:
        """Seconds that it took."""
        clients = [threading.Thread(target=self._client) for _ in range(_CLIENTS)]
        begun = time.perf_counter()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        if self._failed:
            raise self._failed[0]
        return time.perf_counter() - begun

    def _client(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        body = orjson.dumps(asking("hello", stream=True) if self._clients_leave else asking("hello"))
        headers = {"authorization": f"Bearer {ANN}", "content-type": "application/json"}
        try:
            while self._one_more():
                begun = time.perf_counter()
                connection.request("POST", "/v1/chat/completions", body, headers)
                answer = connection.getresponse()
                said = answer.read(1 if self._clients_leave else None)
                self.times.append(time.perf_counter() - begun)
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status}: {said[:200]!r}")
                if self._clients_leave:
                    answer.close()
                    connection.close()
        except BaseException as why:
            self._failed.append(why)
        finally:
            connection.close()

    def _one_more(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0


def measure(gateway: GatewayProcess, requests: int, clients_leave: bool) -> Measured:
    Load(gateway, _WARM_UP, clients_leave).run()
    before, cpu = _memory(gateway), _cpu(gateway)
    load = Load(gateway, requests, clients_leave)
    seconds = load.run()
    times = sorted(load.times)
    return Measured(
        per_s=requests / seconds,
        p50_ms=median(times) * 1000,
        p99_ms=times[int(len(times) * 0.99)] * 1000,
        cpu_ms=(_cpu(gateway) - cpu) / requests * 1000,
        warm_mb=before,
        end_mb=_memory(gateway),
    )


def _processes(gateway: GatewayProcess) -> list[psutil.Process]:
    leader = psutil.Process(gateway.pid)
    return [leader, *leader.children(recursive=True)]


def _memory(gateway: GatewayProcess) -> float:
    return float(sum(process.memory_info().rss for process in _processes(gateway))) / _MEGABYTE


def _cpu(gateway: GatewayProcess) -> float:
    times = [process.cpu_times() for process in _processes(gateway)]
    return float(sum(spent.user + spent.system for spent in times))


def compare(
    folder: Path, provider: str, servers: Mapping[str, str], way: Way, requests: int
) -> tuple[Measured, Measured]:
    """Without, then with Spanflow."""
    same: dict[str, Any] = {"provider": provider, "arguments": way.arguments}
    with litellm_proxy(folder / "bare", way.callback, command=(), **same) as gateway:
        bare = measure(gateway, requests, way.clients_leave)
    asked = _stored(servers) + requests + _WARM_UP
    with litellm_proxy(folder / "traced", way.callback, servers, **same) as gateway:
        traced = measure(gateway, requests, way.clients_leave)
        eventually(lambda: _stored(servers) >= asked, within=_STORED_WITHIN)
    if _stored(servers) != asked:
        raise RuntimeError(f"{_stored(servers) - asked} flows too many are stored")
    return bare, traced


def _stored(servers: Mapping[str, str]) -> int:
    statement = "SELECT count(*) FROM omni2.interaction_flows WHERE name = 'POST /v1/chat/completions'"
    return int(value(servers["SPANFLOW_POSTGRES_DSN"], statement))


def table(results: Mapping[str, list[tuple[Measured, Measured]]], requests: int) -> str:
    lines = [
        "| LiteLLM's spans | requests/s | p50 | p99 | CPU | p50 without, with ms "
        f"| memory after {requests} requests, without, with MB | grown meanwhile, without, with MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way, rounds in results.items():

        def ratio(name: str, rounds: list[tuple[Measured, Measured]] = rounds) -> str:
            return f"{median(getattr(traced, name) / getattr(bare, name) for bare, traced in rounds):.2f}"

        def both(name: str, rounds: list[tuple[Measured, Measured]] = rounds) -> str:
            bare, traced = (median(getattr(pair[side], name) for pair in rounds) for side in (0, 1))
            return f"{bare:.1f}, {traced:.1f}"

        ratios = " | ".join(ratio(name) for name in ("per_s", "p50_ms", "p99_ms", "cpu_ms"))
        lines.append(f"| {way} | {ratios} | {both('p50_ms')} | {both('end_mb')} | {both('grown_mb')} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateways", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=2000, help="per proxy and round")
    parser.add_argument("--only", choices=list(WAYS), action="append", help="one way to make spans (repeatable)")
    options = parser.parse_args()
    results: dict[str, list[tuple[Measured, Measured]]] = {}
    folder = Path(tempfile.mkdtemp(prefix="spanflow-bench-gateways-"))
    try:
        with running_servers() as real, model_server() as provider:
            servers = {"SPANFLOW_REDIS_URL": real.redis_url, "SPANFLOW_POSTGRES_DSN": real.postgres_dsn}
            for number in range(1, options.rounds + 1):
                for way in options.only or WAYS:
                    sys.stderr.write(f"{time.strftime('%H:%M:%S')} round {number} of {options.rounds}: {way}\n")
                    own = folder / f"{number} {way}"
                    own.mkdir()
                    pair = compare(own, provider, servers, WAYS[way], options.requests)
                    results.setdefault(way, []).append(pair)
                    sys.stderr.write(f"  without {pair[0]}\n  with    {pair[1]}\n")
    except pytest.skip.Exception as why:
        sys.exit(f"LiteLLM cannot be measured here: {why}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{_CLIENTS} clients, {options.rounds} rounds; ratios are with Spanflow to without\n\n")
    sys.stdout.write(table(results, options.requests))


if __name__ == "__main__":
    main()
