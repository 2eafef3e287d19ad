"""What a run is made of: each suite measures all its cases once per round, in turn."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Final

from benchmarks import http_load
from benchmarks.children import run, run_job
from benchmarks.http_load import Collecting
from benchmarks.variants import VARIANTS, Servers

#: By case, what one round has measured.
Measured = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Effort:
    """How long one round takes."""

    #: Requests per burst.
    requests: int = 3000
    #: Seconds of load on a server.
    seconds: float = 3.0
    #: Python's garbage collector in servers under load.
    collecting: Collecting = Collecting()
    #: Flows per case of the archive.
    flows: int = 1000
    #: Flows in the database whose reading is measured.
    past_flows: int = 100_000


def request(servers: Servers, effort: Effort) -> Measured:
    job = {"servers": asdict(servers), "requests": effort.requests}
    return {name: run_job("benchmarks.request_cost", {"variant": name, **job}) for name in VARIANTS}


def http(servers: Servers, effort: Effort) -> Measured:
    return {name: http_load.full_load(name, servers, effort.seconds, effort.collecting) for name in http_load.FULL_LOAD}


def model(servers: Servers, effort: Effort) -> Measured:
    return {
        name: http_load.with_a_model(name, servers, effort.seconds, effort.collecting)
        for name in http_load.WITH_A_MODEL
    }


def mirror(servers: Servers, effort: Effort) -> Measured:
    return {"mirror": run_job("benchmarks.mirror_capacity", asdict(servers))}


def archive(servers: Servers, effort: Effort) -> Measured:
    job = {"dsn": servers.postgres_dsn, "flows": effort.flows, "rounds": 1}
    return {"archive": run_job("benchmarks.archive_capacity", job)}


def history(servers: Servers, effort: Effort) -> Measured:
    _fill(servers.history_dsn, effort.past_flows)
    found = run_job("benchmarks.history_reads", {"dsn": servers.history_dsn, "rounds": 1})
    return {"history": found["rounds"][0]}


@cache
def _fill(dsn: str, flows: int) -> None:
    run_job("benchmarks.history_flows", {"dsn": dsn, "flows": flows}, timeout=300)


def live(servers: Servers, effort: Effort) -> Measured:
    return {"live": run_job("benchmarks.live_latency", asdict(servers))}


def fanout(servers: Servers, effort: Effort) -> Measured:
    return {"fanout": run_job("benchmarks.live_fanout", asdict(servers))}


def trees(servers: Servers, effort: Effort) -> Measured:
    return {"trees": run_job("benchmarks.large_trees", asdict(servers), timeout=300)}


def ingest(servers: Servers, effort: Effort) -> Measured:
    return {"ingest": run_job("benchmarks.ingest_capacity", asdict(servers))}


def budget(servers: Servers, effort: Effort) -> Measured:
    measured: Measured = run("benchmarks.event_budget", "3")
    return measured


def encoder(servers: Servers, effort: Effort) -> Measured:
    measured: Measured = run("benchmarks.encoder_cost", "3")["kinds"]
    return measured


SUITES: Final[dict[str, Callable[[Servers, Effort], Measured]]] = {
    "request": request,
    "http": http,
    "model": model,
    "mirror": mirror,
    "archive": archive,
    "history": history,
    "live": live,
    "fanout": fanout,
    "trees": trees,
    "ingest": ingest,
    "budget": budget,
    "encoder": encoder,
}

#: What takes long and is steady is not measured in every round.
FIRST_ROUNDS_ONLY: Final = {"history": 3, "live": 3, "fanout": 3, "trees": 1}

Results = dict[str, dict[str, list[dict[str, Any]]]]


def add(results: Results, suite: str, measured: Measured) -> None:
    """Keep what a round has measured."""
    for case, values in measured.items():
        results.setdefault(suite, {}).setdefault(case, []).append(dict(values))
