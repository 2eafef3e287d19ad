"""How long a span takes from its start in a gateway to a client of the live socket: gateway, Redis, viewer and client
are four processes. Alone: `python -m benchmarks.live_latency [rounds]`; else with a job, like the other modules."""

import asyncio
import subprocess
import sys
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson
import redis
import redis.asyncio
import websockets

from benchmarks.live_viewer import BEARER, running_viewer
from benchmarks.report import median_of
from benchmarks.variants import Servers

_SECONDS: Final = 3.0
_USER: Final = "7"
#: Who is not watched has no bell: the viewer looks at the streams so often.
_TICK_MS: Final = 1000.0


@dataclass(frozen=True)
class Delays:
    p50_ms: float
    p99_ms: float
    events: int

    @classmethod
    def of(cls, delays_ns: list[int]) -> "Delays":
        ordered = sorted(delays_ns)
        return cls(ordered[len(ordered) // 2] / 1e6, ordered[len(ordered) * 99 // 100] / 1e6, len(ordered))


async def through_the_viewer(servers: Servers, address: str, user_id: str, events_per_s: int) -> Delays:
    """Each start and end, from the gateway's clock to a client's. Under load a short span is one event, its end."""
    delays: list[int] = []
    seen = 0
    job = {"redis_url": servers.redis_url, "user_id": user_id, "events_per_s": events_per_s, "seconds": _SECONDS}
    gateway = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.live_gateway", orjson.dumps(job).decode()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert gateway.stdin is not None and gateway.stdout is not None
    await gateway.stdout.readline()
    async with websockets.connect(
        f"ws://{address}/api/v1/live", additional_headers=BEARER, compression=None, max_size=None
    ) as socket:
        await socket.send(orjson.dumps({"type": "subscribe", "user_id": user_id, "reason": "benchmark"}).decode())
        while orjson.loads(await socket.recv())["type"] != "events":
            pass
        gateway.stdin.write(b"\n")
        last_words = asyncio.create_task(gateway.stdout.readline())
        made: int | None = None
        while made is None or seen < made:
            try:
                async with asyncio.timeout(5 if made else 0.2):
                    message = orjson.loads(await socket.recv(decode=False))
            except TimeoutError:
                message = {}
                if made is not None:
                    break
            now = time.time_ns()
            if message.get("type") == "ping":
                await socket.send('{"type":"pong"}')
            for event in message.get("events", ()):
                ended = event["phase"] == "end"
                seen += ended
                delays.append(now - int(event["end_ns" if ended else "start_ns"]))
            if made is None and last_words.done():
                made = int(orjson.loads(last_words.result())["spans"])
        await gateway.wait()
    assert made is not None and seen >= made, f"{seen} of {made} spans arrived"
    return Delays.of(delays)


async def through_redis_alone(servers: Servers, events_per_s: int) -> Delays:
    """The floor: one message from a process to another by way of Redis, at the same pace."""
    delays: list[int] = []
    number = int(events_per_s * _SECONDS / 3)
    client: Any = redis.asyncio.Redis.from_url(servers.redis_url)
    async with client, client.pubsub() as channel:
        await channel.subscribe("benchmark")
        sender = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.live_latency"),
            orjson.dumps({"send": servers.redis_url, "number": number, "pause": 1 / events_per_s}).decode(),
        )
        async with aclosing(channel.listen()) as messages:
            async for message in messages:
                if message["type"] == "message":
                    delays.append(time.time_ns() - int(message["data"]))
                    if len(delays) == number:
                        break
        await sender.wait()
    return Delays.of(delays)


def send_times(url: str, number: int, pause: float) -> None:
    client: Any = redis.Redis.from_url(url)
    due = time.perf_counter() + 0.2
    for _ in range(number):
        due += pause
        if (wait := due - time.perf_counter()) > 0:
            time.sleep(wait)
        client.publish("benchmark", time.time_ns())
    client.close()


async def measure(servers: Servers) -> dict[str, float]:
    client: Any = redis.Redis.from_url(servers.redis_url)
    client.flushall()
    client.close()
    with running_viewer(servers, _USER) as viewer:
        floor = await through_redis_alone(servers, 2000)
        slowly = await through_the_viewer(servers, viewer.address, _USER, 100)
        quickly = await through_the_viewer(servers, viewer.address, _USER, 2000)
        unwatched = await through_the_viewer(servers, viewer.address, "8", 100)
    return {
        "floor_p50_ms": floor.p50_ms,
        "floor_p99_ms": floor.p99_ms,
        "watched_100_p50_ms": slowly.p50_ms,
        "watched_100_p99_ms": slowly.p99_ms,
        "watched_2000_p50_ms": quickly.p50_ms,
        "watched_2000_p99_ms": quickly.p99_ms,
        "watched_2000_events": quickly.events,
        "unwatched_p50_ms": unwatched.p50_ms,
        "unwatched_p99_ms": unwatched.p99_ms,
        "unwatched_interval_ms": _TICK_MS,
    }


def live_latency_round(servers: Servers) -> dict[str, float]:
    return asyncio.run(measure(servers))


def main() -> None:
    job = orjson.loads(sys.argv[1]) if len(sys.argv) > 1 else 3
    if isinstance(job, int):
        from benchmarks.servers import running_servers

        with running_servers() as servers:
            rounds = [_in_process(servers) for _ in range(job)]
        result: Any = {"rounds": rounds, "median": {key: median_of(rounds, key) for key in rounds[0]}}
    elif "send" in job:
        send_times(job["send"], job["number"], job["pause"])
        return
    else:
        result = live_latency_round(Servers(**job))
    sys.stdout.write(orjson.dumps(result).decode() + "\n")


def _in_process(servers: Servers) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.live_latency", orjson.dumps(asdict(servers)).decode()]
    result: dict[str, float] = orjson.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return result


if __name__ == "__main__":
    main()
