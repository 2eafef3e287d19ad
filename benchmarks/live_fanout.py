"""How many watchers of one user a viewer process serves, compared with a bare server that does nothing but write the
same bytes. Alone: `python -m benchmarks.live_fanout [rounds]`; else with a job, like the other modules."""

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson
import redis

from benchmarks.live_viewer import TOKEN, running_viewer
from benchmarks.report import median_of
from benchmarks.variants import Servers
from spanflow.span_processors import names
from tests.support.live_watchers import Watcher, until_all_have, watching

_WATCHERS: Final = 500
_BACKLOG: Final = 5000
_SINGLE: Final = 100
_FLOOR: Final = 200
_PACE: Final = 0.04
_USER: Final = "7"


def event(flow_id: str, number: int) -> bytes:
    """About as large as what a gateway writes."""
    return orjson.dumps(
        {
            "v": 1,
            "phase": "start",
            "flow_id": flow_id,
            "node_id": f"{number:016x}",
            "parent_id": None,
            "event_type": "tool_call",
            "name": "tools/call list_snapshots",
            "kind": "client",
            "start_ns": str(time.time_ns()),
            "status": "unset",
            "attributes": {"user.id": _USER, "flow.session_id": "s-1", "flow.data.tool": "list_snapshots"},
            "process": "benchmark",
            "scope": "benchmark",
        }
    )


class Writer:
    """Writes events as a gateway's mirror does."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url)
        self._flow_id = ""
        self._written = 0

    def next_flow(self) -> None:
        """What comes from now on belongs to another flow; the one before is complete."""
        if self._flow_id:
            self._client.zrem(names.OPEN_FLOWS, self._flow_id)
        self._flow_id = os.urandom(16).hex()

    def write(self, number: int) -> None:
        """So many events in one round trip, and one bell."""
        flow_id = self._flow_id
        pipe = self._client.pipeline(transaction=False)
        for _ in range(number):
            pipe.xadd(names.flow_stream(flow_id), {names.STREAM_FIELD: event(flow_id, self._written)})
            self._written += 1
        pipe.zadd(names.OPEN_FLOWS, {flow_id: time.time()})
        pipe.zadd(names.user_flows(_USER), {flow_id: time.time()})
        pipe.publish(names.flow_bell(_USER), flow_id)
        pipe.execute()

    def close(self) -> None:
        self._client.close()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def serve_bare(port: int) -> None:
    """The floor: for a line `n` it writes `n` frames, one by one, to every connection."""
    others: set[asyncio.StreamWriter] = set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        others.add(writer)
        while line := await reader.readline():
            others.discard(writer)
            for index in range(int(line)):
                body = event("f" * 32, index)
                frame = bytes((0x81, 126)) + len(body).to_bytes(2, "big") + body
                for other in others:
                    other.write(frame)
                await asyncio.gather(*(other.drain() for other in others))
        others.discard(writer)

    server = await asyncio.start_server(client, "127.0.0.1", port, backlog=1000)
    async with server:
        await server.serve_forever()


async def floor() -> dict[str, float]:
    from tests.support.poll import eventually_async
    from tests.support.ports import accepts, free_port

    port = free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.live_fanout", orjson.dumps({"bare": port}).decode()
    )
    loop = asyncio.get_running_loop()
    watchers: list[Watcher] = []
    try:
        await eventually_async(lambda: accepts(port), within=15)
        for _ in range(_WATCHERS):
            watchers.append((await loop.create_connection(Watcher, "127.0.0.1", port))[1])
        _, control = await asyncio.open_connection("127.0.0.1", port)
        before, begun = cpu_seconds(server.pid), time.perf_counter()
        control.write(b"%d\n" % _FLOOR)
        await until_all_have(watchers, _FLOOR)
        taken, cpu = time.perf_counter() - begun, cpu_seconds(server.pid) - before
        control.close()
    finally:
        for watcher in watchers:
            watcher.transport.abort()
        server.terminate()
        await server.wait()
    deliveries = _FLOOR * _WATCHERS
    return {"floor_per_s": deliveries / taken, "floor_cpu_us": cpu / deliveries * 1e6}


async def through_the_viewer(servers: Servers, address: str, pid: int) -> dict[str, float]:
    writer = Writer(servers.redis_url)
    async with watching(address, _WATCHERS, TOKEN, _USER) as watchers:
        alone = await backlog(writer, watchers)
        async with watching(address, 5, TOKEN, _USER, reads=False):
            await asyncio.sleep(0.5)
            beside_slow = await backlog(writer, watchers)
        alone += await backlog(writer, watchers)
        writer.next_flow()
        writer.write(1)
        await asyncio.sleep(1)
        before, had = cpu_seconds(pid), watchers[0].events
        for _ in range(_SINGLE):
            writer.write(1)
            await asyncio.sleep(_PACE)
        await until_all_have(watchers, had + _SINGLE)
        cpu = cpu_seconds(pid) - before
    writer.close()
    return {
        "backlog_per_s": _BACKLOG * _WATCHERS / alone * 2,
        "single_cpu_us": cpu / (_SINGLE * _WATCHERS) * 1e6,
        "beside_slow_per_s": _BACKLOG * _WATCHERS / beside_slow,
    }


async def backlog(writer: Writer, watchers: list[Watcher]) -> float:
    """Seconds until every client has received the burst."""
    had = watchers[0].events
    writer.next_flow()
    writer.write(1)
    await until_all_have(watchers, had + 1)
    begun = time.perf_counter()
    writer.write(_BACKLOG)
    await until_all_have(watchers, had + 1 + _BACKLOG)
    return time.perf_counter() - begun


async def measure(servers: Servers) -> dict[str, float]:
    client: Any = redis.Redis.from_url(servers.redis_url)
    client.flushall()
    client.close()
    found = await floor()
    with running_viewer(servers, _USER) as viewer:
        found |= await through_the_viewer(servers, viewer.address, viewer.pid)
    return {
        **found,
        "watchers": _WATCHERS,
        "backlog_of_floor": found["backlog_per_s"] / found["floor_per_s"],
        "single_of_floor": found["floor_cpu_us"] / found["single_cpu_us"],
        "beside_slow_of_backlog": found["beside_slow_per_s"] / found["backlog_per_s"],
    }


def live_fanout_round(servers: Servers) -> dict[str, float]:
    return asyncio.run(measure(servers))


def main() -> None:
    job = orjson.loads(sys.argv[1]) if len(sys.argv) > 1 else 3
    if isinstance(job, int):
        from benchmarks.servers import running_servers

        with running_servers() as servers:
            rounds = [_in_process(servers) for _ in range(job)]
        result: Any = {"rounds": rounds, "median": {key: median_of(rounds, key) for key in rounds[0]}}
    elif "bare" in job:
        asyncio.run(serve_bare(job["bare"]))
        return
    else:
        result = live_fanout_round(Servers(**job))
    sys.stdout.write(orjson.dumps(result).decode() + "\n")


def _in_process(servers: Servers) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.live_fanout", orjson.dumps(asdict(servers)).decode()]
    result: dict[str, float] = orjson.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return result


if __name__ == "__main__":
    main()
