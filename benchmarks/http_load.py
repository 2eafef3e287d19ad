"""Throughput of a whole server under full load, and whether everything arrived; and a server that waits for a model."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from benchmarks.children import ChildFailed, ending, run, shown
from benchmarks.variants import DOCUMENTED, EVERYTHING, MIRROR, NONE, OTLP, PLAINLY, REFERENCE, Servers
from spanflow.span_processors.settings import Settings
from tests.support.poll import eventually
from tests.support.ports import accepts, free_port

#: What a gateway would really run, and what it is compared with.
FULL_LOAD = (NONE, PLAINLY, REFERENCE, OTLP, MIRROR, EVERYTHING, DOCUMENTED)
WITH_A_MODEL = (NONE, REFERENCE, EVERYTHING, DOCUMENTED)
_CONNECTIONS = 16
_WAITING_CONNECTIONS = 8
_LOOK_EVERY = 0.05
_PATIENCE = 30.0


@dataclass(frozen=True)
class Collecting:
    """How a server's garbage collector is set: as `SPANFLOW_GC_THRESHOLD` and `SPANFLOW_GC_FREEZE` do it."""

    threshold: int = 0
    freeze: bool = False


def full_load(variant: str, servers: Servers, seconds: float, collecting: Collecting) -> dict[str, Any]:
    """As many requests as the server can answer; afterwards, how long until everything has arrived."""
    with _server(variant, servers, collecting) as port:
        _load(port, 0.5, "/ask", _CONNECTIONS)
        result = _load(port, seconds, "/ask", _CONNECTIONS)
        result.update(_drained(port))
        return result


def with_a_model(variant: str, servers: Servers, seconds: float, collecting: Collecting) -> dict[str, Any]:
    """Requests that wait 20 ms for an upstream, as a gateway's do."""
    with _server(variant, servers, collecting) as port:
        _load(port, 0.5, "/wait", _WAITING_CONNECTIONS)
        return _load(port, seconds, "/wait", _WAITING_CONNECTIONS)


@contextmanager
def _server(variant: str, servers: Servers, collecting: Collecting) -> Iterator[int]:
    port = free_port()
    job = {"variant": variant, "servers": asdict(servers), "port": port}
    job |= {"gc": collecting.threshold, "freeze": collecting.freeze}
    command = [sys.executable, "-m", "benchmarks.http_app", orjson.dumps(job).decode()]
    server = subprocess.Popen(command)

    def came_up() -> bool:
        code = server.poll()
        if code is not None:
            raise ChildFailed(f"{shown(command)}: ended with {ending(code)}")
        return accepts(port)

    try:
        eventually(came_up, within=20)
        yield port
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _load(port: int, seconds: float, path: str, connections: int) -> dict[str, Any]:
    arguments = (str(port), str(seconds), path, str(connections))
    result: dict[str, Any] = run("benchmarks.load_client", *arguments, timeout=seconds + 30)
    return result


def _drained(port: int) -> dict[str, float]:
    """Seconds after the load until nothing waits for Redis any more, and nothing for Postgres.

    A flow that has ended is held back for the grace, in case more of it comes: that is wanted, and not counted.
    """
    begun = time.monotonic()
    reached: dict[str, float] = {}
    while True:
        counts = _counts(port)
        passed = time.monotonic() - begun
        for place in ("to_redis", "to_postgres"):
            if not counts[place]:
                reached.setdefault(place, passed)
        if len(reached) == 2:
            break
        if passed > _PATIENCE:
            reached = {"to_redis": _PATIENCE, "to_postgres": _PATIENCE, **reached}
            break
        time.sleep(_LOOK_EVERY)
    stored = max(0.0, reached["to_postgres"] - Settings().flow_grace)
    return {"lost": counts["lost"], "redis_s": reached["to_redis"], "postgres_s": stored}


def _counts(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts", timeout=10) as answer:
        counts: dict[str, int] = orjson.loads(answer.read())
        return counts
