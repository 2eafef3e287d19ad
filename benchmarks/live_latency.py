"""How long a span takes from its start in a gateway to a client of the live socket: gateway, Redis, viewer and client
are four processes. Alone: `python -m benchmarks.live_latency [rounds]`; else with a job, like the other modules."""

import asyncio
import gc
import subprocess
import sys
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson
import redis
import redis.asyncio
import uvloop

from benchmarks.live_gateway import STEPS
from benchmarks.live_listener import listening
from benchmarks.live_viewer import TOKEN, running_viewer
from benchmarks.report import median_of
from benchmarks.variants import Servers
from spanflow.span_processors.settings import Settings
from tests.support.poll import eventually_async

_SECONDS: Final = 3.0
#: One for each measurement, so that none receives another's flows.
_WATCHED: Final = ("7", "8", "9")
_NOT_WATCHED: Final = "10"
#: Who is not watched has no bell: the viewer looks at the streams so often.
_TICK_MS: Final = 1000.0
#: What an operator sets in a gateway whose slowest requests matter.
_COLLECTING: Final = {"gc_freeze": True, "gc_threshold": 50_000}


@dataclass(frozen=True)
class Delays:
    p50_ms: float
    p99_ms: float
    events: int
    #: The slowest event of the process's first request.
    first_ms: float = 0.0

    @classmethod
    def of(cls, delays_ns: list[int], first_ns: int = 0) -> "Delays":
        ordered = sorted(delays_ns)
        median, late = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        return cls(median / 1e6, late / 1e6, len(ordered), first_ns / 1e6)


async def through_the_viewer(
    servers: Servers,
    address: str,
    user_id: str,
    events_per_s: int,
    settings: dict[str, Any] | None = None,
    whole_ms: float = 0.0,
) -> Delays:
    """Each start and end, from the gateway's clock to a client's. Under load a short span is one event, its end.

    With `whole_ms`, of a time that is a multiple of it: else what waits for a tick would wait longer or shorter by the
    chance of when the last one comes.
    """
    job = {"redis_url": servers.redis_url, "user_id": user_id, "events_per_s": events_per_s, "seconds": _SECONDS}
    job["settings"] = settings or {}
    async with listening(address, TOKEN, user_id) as listener:
        gateway = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.live_gateway", orjson.dumps(job).decode()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert gateway.stdin is not None and gateway.stdout is not None
        await gateway.stdout.readline()
        await eventually_async(lambda: listener.ended() == STEPS + 1, within=10)
        # This process's own work is no part of the latency.
        gc.collect()
        gc.disable()
        begun = time.time_ns()
        gateway.stdin.write(b"\n")
        spans = STEPS + 1 + int(orjson.loads(await gateway.stdout.readline())["spans"])
        await eventually_async(lambda: listener.ended() >= spans, within=10)
        gc.enable()
        await gateway.wait()
    heard = listener.heard()
    last = begun + int(_SECONDS * 1000 // whole_ms - 1) * int(whole_ms * 1e6) if whole_ms else sys.maxsize
    first = max(one.delay_ns for one in heard if one.made_ns < begun)
    return Delays.of([one.delay_ns for one in heard if begun <= one.made_ns < last], first)


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
        gc.collect()
        gc.disable()
        async with aclosing(channel.listen()) as messages:
            async for message in messages:
                if message["type"] == "message":
                    delays.append(time.time_ns() - int(message["data"]))
                    if len(delays) == number:
                        break
        gc.enable()
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
    with running_viewer(servers, *_WATCHED) as viewer:
        floor = await through_redis_alone(servers, 2000)
        slowly = await through_the_viewer(servers, viewer.address, _WATCHED[0], 100)
        quickly = await through_the_viewer(servers, viewer.address, _WATCHED[1], 2000)
        collecting = await through_the_viewer(servers, viewer.address, _WATCHED[2], 2000, _COLLECTING)
        unwatched = await through_the_viewer(servers, viewer.address, _NOT_WATCHED, 100, whole_ms=_TICK_MS)
    found = {
        "floor": floor,
        "watched_100": slowly,
        "watched_2000": quickly,
        "collecting_2000": collecting,
        "unwatched": unwatched,
    }
    return {
        **{f"{name}_p50_ms": delays.p50_ms for name, delays in found.items()},
        **{f"{name}_p99_ms": delays.p99_ms for name, delays in found.items()},
        "first_ms": slowly.first_ms,
        "watched_2000_events": quickly.events,
        "unwatched_interval_ms": _TICK_MS,
        "unwatched_collected_ms": Settings().batch_interval * 1000,
    }


def live_latency_round(servers: Servers) -> dict[str, float]:
    return uvloop.run(measure(servers))


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
