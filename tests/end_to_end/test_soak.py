"""Minutes of mixed traffic while servers are absent, silent, slow and refusing: nothing grows, nothing is missing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.asker import COMMAND, USER, Asker, environment
from tests.support.gateway_process import gateway_process
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer
from tests.support.refusing import postgres_refuses, redis_refuses

SECONDS = 60
MB = 1 << 20


@dataclass(frozen=True)
class Size:
    """What a process holds, as its kernel sees it."""

    memory: int
    threads: int
    files: int

    @classmethod
    def of(cls, pid: int) -> "Size":
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines)
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return cls(int(values["VmRSS"].split()[0]) * 1024, int(values["Threads"]), files)


def mixed(asker: Asker, url: str, seconds: float) -> float:
    """One request after the other: answered, failed, and left by a client who did not wait."""
    end = time.monotonic() + seconds
    longest = 0.0
    while time.monotonic() < end:
        longest = max(longest, asker.asks(10))
        asker.fails()
        with httpx.Client(base_url=url, headers={"X-User-Id": USER}) as other:
            assert other.get("/nothing-here").status_code == 404
        asker.failed += 1
    return longest


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="sizes are read from /proc")
def test_a_gateway_neither_grows_nor_loses_a_flow_while_its_servers_come_and_go(
    redis_server: RedisServer, postgres_dsn: str, tmp_path: Path, proxy: Callable[[str], TcpProxy]
) -> None:
    line, redis_line = proxy(postgres_dsn), proxy(redis_server.url)
    settings = environment(redis_line.url, line.url, tmp_path / "gateway", SPANFLOW_POSTGRES_TIMEOUT="1")
    with gateway_process(COMMAND, tmp_path / "log", settings) as gateway, Asker(gateway.url) as asker:
        mixed(asker, gateway.url, SECONDS / 6)
        eventually(asker.settled, within=20)
        first = Size.of(gateway.pid)
        longest = 0.0
        for trouble, again in (
            (redis_server.stop, redis_server.start),
            (line.cut, line.restore),
            (redis_server.kill, redis_server.start),
            (line.half_open, line.restore),
            (lambda: line.delay(0.2), line.restore),
            (lambda: redis_line.delay(0.2), redis_line.restore),
            (lambda: postgres_refuses(postgres_dsn, True), lambda: postgres_refuses(postgres_dsn, False)),
            (lambda: redis_refuses(redis_server.url, True), lambda: redis_refuses(redis_server.url, False)),
        ):
            trouble()
            longest = max(longest, mixed(asker, gateway.url, SECONDS / 12))
            again()
            longest = max(longest, mixed(asker, gateway.url, SECONDS / 8))
        eventually(asker.settled, within=30)
        last = Size.of(gateway.pid)
        assert longest < 1.0
        assert last.memory < first.memory + 60 * MB
        assert last.threads <= first.threads + 1
        assert last.files <= first.files + 3
        stages = asker.counts()["stages"]
        assert all(stage["dropped"] == {} for stage in stages.values())
        assert stages["postgres"]["delivered"] == len(asker.flows) + asker.failed
        assert asker.all_in(postgres_dsn)
