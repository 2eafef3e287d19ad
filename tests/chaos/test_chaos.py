"""Faults × loads against a real gateway process, with exact accounting at the end. `make chaos` runs all of it.

Every line that is printed names the seed: `make chaos SEED=…` repeats the pairs of that run.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from spanflow.migrations.run import upgrade
from spanflow.span_processors.redis.mirror import INDEX_LENGTH
from tests.chaos.faults import FAULTS, Fault, Stack
from tests.support.asker import COMMAND, USER, Asker, environment
from tests.support.gateway_process import gateway_process
from tests.support.mirrored import ended_names, flows_of
from tests.support.poll import eventually
from tests.support.postgres_server import PostgresServer
from tests.support.proxy import TcpProxy
from tests.support.query import query
from tests.support.redis_server import RedisServer
from tests.support.redis_topologies import redis_with_sentinels

#: Whoever waited for a server would wait for longer than this.
QUICK = 2.0
EVENTS_OF_A_REQUEST = 8
WHOLE = {"GET /ask", "auth_check", "llm_thinking", "tool_call"}
SEED = int(os.environ.get("CHAOS_SEED") or random.randrange(10**6))
PAIRS = int(os.environ.get("CHAOS_PAIRS") or 40)
#: Seconds that a fault lasts at least: longer than the gateway's patience with Postgres.
LASTING = 3.0
#: What `make test-long` runs of it.
SAMPLE = {"Redis is silent", "Redis is flushed", "Postgres is slow", "Postgres crashes"}


@dataclass(frozen=True)
class Load:
    name: str
    #: Requests at the same time, each client's number of requests in one go, and how often that is repeated.
    clients: int
    requests: int
    times: int

    def run(self, url: str, asker: Asker) -> float:
        """The longest time that an answer took."""
        longest = 0.0
        for _ in range(self.times):
            if self.clients == 1:
                longest = max(longest, asker.asks(self.requests))
                continue
            with ThreadPoolExecutor(self.clients) as pool:
                for took, flows in pool.map(lambda _: _several(url, self.requests), range(self.clients)):
                    longest = max(longest, took)
                    asker.flows += flows
        return longest


def _several(url: str, requests: int) -> tuple[float, list[str]]:
    with Asker(url) as asker:
        return asker.asks(requests), asker.flows


LOADS = (Load("one after the other", 1, 40, 1), Load("many at once", 8, 25, 1))


@pytest.fixture
def stack(
    new_server_directory: Callable[[], Path], proxy: Callable[[str], TcpProxy], tmp_path: Path
) -> Iterator[Stack]:
    redis_server = RedisServer(new_server_directory()).start()
    postgres = PostgresServer(new_server_directory()).start()
    upgrade(postgres.dsn())
    made = Stack(redis_server, postgres, proxy(redis_server.url), proxy(postgres.dsn()), tmp_path / "gateway")
    yield made
    made.held.close()
    redis_server.kill()
    postgres.kill()


def chaos(stack: Stack, log: Path, faults: tuple[Fault, ...], load: Load) -> str:
    """One run; what it was, for people."""
    settings = environment(
        f"{stack.redis_line.url}?protocol=3", stack.postgres_line.url, stack.data_dir, SPANFLOW_POSTGRES_TIMEOUT="2"
    )
    with gateway_process(COMMAND, log, settings) as gateway, Asker(gateway.url) as asker:
        asker.asks(5)
        longest = load.run(gateway.url, asker)
        for fault in faults:
            fault.begin(stack)
            until = time.monotonic() + LASTING
            while time.monotonic() < until:
                longest = max(longest, load.run(gateway.url, asker))
        for fault in reversed(faults):
            fault.end(stack)
            longest = max(longest, load.run(gateway.url, asker))
        begun = time.monotonic()
        eventually(asker.settled, within=60)
        took = time.monotonic() - begun
        dsn = stack.postgres.dsn()
        eventually(lambda: asker.all_in(dsn), within=10)
        stages = asker.counts()["stages"]
        assert (stages["intake"]["dropped"], stages["postgres"]["dropped"]) == ({}, {})
        assert set(stages["mirror"]["dropped"]) <= {reason for fault in faults for reason in fault.drops}
        assert stages["intake"]["accepted"] == EVENTS_OF_A_REQUEST * len(asker.flows)
        assert stages["postgres"]["accepted"] == stages["postgres"]["delivered"] == len(asker.flows)
        assert longest < QUICK, "no request waits for a server"
        if not any(fault.empties_redis for fault in faults):
            mirrored = flows_of(stack.redis.url, USER)
            # Trimmed once a minute.
            assert len(mirrored) >= min(len(asker.flows), INDEX_LENGTH)
            assert set(mirrored) <= set(asker.flows)
            assert all(set(ended_names(events)) == WHOLE for events in mirrored.values())
        number = len(asker.flows)
    assert "Traceback" not in gateway.said
    names = " and ".join(fault.name for fault in faults)
    return f"{names}, {load.name}: {number} flows, none lost, all stored {took:.1f} s after its end"


@pytest.mark.parametrize("load", [pytest.param(load, id=load.name) for load in LOADS])
@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, id=fault.name, marks=pytest.mark.long if fault.name in SAMPLE else []) for fault in FAULTS],
)
@pytest.mark.chaos
def test_one_fault_loses_nothing(
    fault: Fault, load: Load, stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = chaos(stack, tmp_path / "log", (fault,), load)
    with capsys.disabled():
        print(f"\n{said}")  # noqa: T201


@pytest.mark.parametrize("load", [pytest.param(load, id=load.name) for load in LOADS])
@pytest.mark.long
@pytest.mark.chaos
def test_a_failover_of_redis_loses_no_flow(
    load: Load, new_server_directory: Callable[[], Path], postgres_dsn: str, tmp_path: Path
) -> None:
    """A real one: the master is killed under load, and Sentinels make its replica the master."""
    with redis_with_sentinels(new_server_directory) as (master, replica, ports):
        url = "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in ports) + "/flows"
        settings = environment(url, postgres_dsn, tmp_path / "gateway")
        with gateway_process(COMMAND, tmp_path / "log", settings) as gateway, Asker(gateway.url) as asker:
            longest = load.run(gateway.url, asker)
            eventually(asker.settled, within=30)
            before = len(asker.flows)
            master.kill()
            until = time.monotonic() + LASTING
            while time.monotonic() < until:
                longest = max(longest, load.run(gateway.url, asker))
            eventually(lambda: _is_master(replica), within=30)
            longest = max(longest, load.run(gateway.url, asker))
            eventually(asker.settled, within=60)
            eventually(lambda: asker.all_in(postgres_dsn), within=10)
            stages = asker.counts()["stages"]
            assert [stage["dropped"] for stage in stages.values()] == [{}, {}, {}]
            assert stages["intake"]["accepted"] == EVENTS_OF_A_REQUEST * len(asker.flows)
            assert longest < QUICK, "no request waits for a server"
            mirrored = flows_of(replica.url, USER)
            # Those of the moment of the failover may have begun on the one and ended on the other.
            whole = [flow for flow in asker.flows[before:] if set(ended_names(mirrored.get(flow, []))) == WHOLE]
            assert len(whole) >= len(asker.flows[before:]) - 2 * load.clients or len(asker.flows) > INDEX_LENGTH
        assert "Traceback" not in gateway.said


def _is_master(server: RedisServer) -> bool:
    client: Any = redis.Redis.from_url(server.url)
    try:
        return bool(client.info("replication")["role"] == "master")
    finally:
        client.close()


@pytest.mark.long
@pytest.mark.chaos
def test_a_reloading_server_loses_no_flow(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """`uvicorn --reload`: each change of a file ends the process in the middle of its traffic and starts another."""
    watched = tmp_path / "sources"
    watched.mkdir()
    (watched / "changed.py").write_text("")
    command = [*COMMAND, "--reload", "--reload-dir", str(watched)]
    settings = environment(redis_url, postgres_dsn, tmp_path / "gateway")
    answered: list[str] = []

    def ask_until(count: int, at_once: int) -> None:
        """So many more answers, of whichever process; a connection that is refused is tried again."""
        goal = len(answered) + count

        def one(_: int) -> str | None:
            try:
                answer = httpx.get(f"{gateway.url}/ask", headers={"X-User-Id": USER}, timeout=10)
            except httpx.TransportError:
                return None
            return answer.json()["flow"] if answer.status_code == 200 else None

        with ThreadPoolExecutor(at_once) as pool:
            while len(answered) < goal:
                answered.extend(flow for flow in pool.map(one, range(at_once)) if flow)

    with gateway_process(command, tmp_path / "log", settings) as gateway:
        for turn in range(4):
            ask_until(40, at_once=4)
            (watched / "changed.py").write_text(f"turn = {turn}\n")
            ask_until(40, at_once=4)
        eventually(lambda: gateway.said.count("Reloading...") >= 3, within=30)
    # The last one has ended in good order.
    rows = query(postgres_dsn, "SELECT flow_id, span_count, complete FROM omni2.interaction_flows")
    stored = {row["flow_id"]: row for row in rows}
    assert len(stored) == len(rows)
    missing = [flow for flow in answered if flow not in stored]
    assert missing == []
    assert all(stored[flow]["complete"] and stored[flow]["span_count"] == 4 for flow in answered)


def pairs() -> Iterator[tuple[Fault, Fault]]:
    """Two faults that strike different things, in any order."""
    dice = random.Random(SEED)
    while True:
        first, second = dice.sample(FAULTS, 2)
        if first.at != second.at:
            yield first, second


@pytest.mark.parametrize("number", range(PAIRS))
@pytest.mark.chaos
def test_two_faults_at_once_lose_nothing(
    number: int, stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = pairs()
    faults = [next(made) for _ in range(number + 1)][-1]
    with capsys.disabled():
        print(f"\nseed {SEED}, pair {number}: {faults[0].name}, then {faults[1].name}")  # noqa: T201
    said = chaos(stack, tmp_path / "log", faults, LOADS[number % len(LOADS)])
    with capsys.disabled():
        print(said)  # noqa: T201
