"""How many events a second the mirror brings into Redis, against the quickest client we can think of.

The limit is what `redis-benchmark -c 1 -P 100` does for the same XADD. Where that program is missing it is a bare
socket that writes one hundred ready-made commands and reads one hundred answers; the report says which it was.
"""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import hiredis
import orjson
import redis
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.variants import Servers
from benchmarks.workload import CHECKPOINTS, traced
from spanflow.instrumentation.quick.quick_provider import quicken
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.redis.mirror import Mirror
from spanflow.span_processors.redis.mirror_items import START, MirrorItem, Notification, StreamEntry
from spanflow.span_processors.redis.redis_link import link_to
from spanflow.span_processors.redis.stream_state import StreamState
from spanflow.span_processors.settings import Settings

_STREAMS = 1000
_EVENT = b'{"v":1,"x":"%b"}' % (b"x" * 312)
_PIPELINE = 100
_EVENTS_PER_FLOW = 22
#: Requests whose spans are piled up before they are drained: about as many events as wait at full load.
_PORTION = 200
_MESSAGE = b'{"type":"flow_event","x":"%b"}' % (b"x" * 220)


def redis_benchmark(url: str, number: int) -> float | None:
    """Events per second of `redis-benchmark` over one connection, None where there is none."""
    program = shutil.which("redis-benchmark")
    if program is None:
        return None
    key = "flow:{" + "0" * 20 + "__rand_int__}"
    options = ["-p", str(urlsplit(url).port), "-c", "1", "-P", str(_PIPELINE), "-r", str(_STREAMS), "-n", str(number)]
    command = ["XADD", key, "MAXLEN", "~", "10000", "*", "e", _EVENT.decode()]
    done = subprocess.run([program, *options, "--csv", *command], capture_output=True, text=True, timeout=60)
    if done.returncode:
        sys.stderr.write(f"redis-benchmark: {done.stdout}{done.stderr}")
        return None
    # The command in quotes, which may hold commas, and seven numbers after it: requests per second is the first.
    return float(done.stdout.strip().splitlines()[-1].rsplit('","', 7)[1])


def bare_socket(url: str, number: int) -> float:
    """Events per second of ready-made pipelines over one connection: the limit."""
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    line = socket.create_connection((parts.hostname, parts.port))
    reader = hiredis.Reader()
    states = [StreamState(f"{index:032x}", 10_000) for index in range(_STREAMS)]
    commands = [b"%b$%d\r\n%b\r\n" % (state.command(), len(_EVENT), _EVENT) for state in states]
    batches = [b"".join(commands[start : start + _PIPELINE]) for start in range(0, _STREAMS, _PIPELINE)]
    begun = time.perf_counter()
    for index in range(number // _PIPELINE):
        line.sendall(batches[index % len(batches)])
        answers = 0
        while answers < _PIPELINE:
            reader.feed(line.recv(65536))
            while reader.gets() is not False:
                answers += 1
    taken = time.perf_counter() - begun
    line.close()
    return number / taken


def mirror_of_ready_events(url: str, number: int) -> float:
    """Events per second of the mirror, without encoding."""
    settings = Settings(redis_url=url)
    mirror = Mirror(link_to(settings), settings, instance_id=lambda: "benchmark", process=lambda: b"{}")
    states = [StreamState(f"{index + _STREAMS:032x}", 10_000) for index in range(_STREAMS)]
    batch = [StreamEntry(state, START, 1, _EVENT) for state in states]
    mirror.deliver(batch, time.monotonic() + 10)
    begun = time.perf_counter()
    for _ in range(number // _STREAMS):
        receipt = mirror.deliver(batch, time.monotonic() + 10)
        assert receipt.delivered == _STREAMS
    taken = time.perf_counter() - begun
    mirror.close(time.monotonic() + 1)
    return number / taken


def mirror_of_watched_users(url: str, number: int) -> float:
    """The same with all that goes beside the events of real flows: each has its expiry and its index entries, and one
    in ten belongs to a watched user, so that it rings, with a message for each of ten checkpoints."""
    settings = Settings(redis_url=url)
    mirror = Mirror(link_to(settings), settings, instance_id=lambda: "benchmark", process=lambda: b"{}")
    mirror.deliver([StreamEntry(StreamState(f"{0:032x}", 10_000), START, 1, _EVENT)], time.monotonic() + 10)
    batches: list[list[MirrorItem]] = [[]]
    flows = number // _EVENTS_PER_FLOW
    for flow in range(flows):
        stream = StreamState(f"{flow + 10 * _STREAMS:032x}", 10_000)
        stream.started_s = float(flow)
        stream.users = (f"{flow % 100}", f"s{flow % 500}", None)
        batches[-1] += [StreamEntry(stream, START, 1, _EVENT)] * _EVENTS_PER_FLOW
        if flow % 10 == 0:
            batches[-1].append(Notification(f"{flow % 100}", stream.flow_id, (_MESSAGE,) * CHECKPOINTS))
        if len(batches[-1]) >= _STREAMS:
            batches.append([])
    begun = time.perf_counter()
    for batch in batches:
        receipt = mirror.deliver(batch, time.monotonic() + 10)
        assert receipt.delivered == len(batch)
    taken = time.perf_counter() - begun
    mirror.close(time.monotonic() + 1)
    return flows * _EVENTS_PER_FLOW / taken


def whole_path_from_spans(url: str, requests: int) -> float:
    """Events per second from ended spans in the queue to Redis, with nothing else running in the process."""
    pipeline = build_pipeline(Settings(redis_url=url, archive_enabled=False))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    quicken(provider)  # as in a gateway that was started under Spanflow
    request = traced(provider.get_tracer("benchmark"))
    held: Any = pipeline
    made: list[Any] = []

    def keep(span_id: int, entry: Any) -> bool:
        made.append(entry)
        return True

    async def serve(first: int) -> None:
        for number in range(first, first + _PORTION):
            await request(number)

    # The spans are made and put into the queue before the encoder hears of them: making them is not measured.
    held._append_start = held._append_end = keep
    taken = 0.0
    for first in range(0, requests, _PORTION):
        asyncio.run(serve(first))
        begun = time.perf_counter()
        held._intake._entries.extend(made)
        made.clear()
        assert pipeline.force_flush(120)
        taken += time.perf_counter() - begun
    counts = pipeline.counters
    assert counts.intake.lost == 0 and counts.sinks["mirror"].lost == 0
    pipeline.shutdown(5)
    return counts.intake.accepted / taken


def bytes_per_request(url: str) -> float:
    """Redis memory that one request with ten checkpoints takes, everything included."""
    client: Any = redis.Redis.from_url(url)
    client.flushall()
    before = client.info("memory")["used_memory"]
    pipeline = build_pipeline(Settings(redis_url=url, archive_enabled=False))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    request = traced(provider.get_tracer("benchmark"))
    number = 500

    async def serve() -> None:
        for index in range(number):
            await request(index)

    asyncio.run(serve())
    pipeline.force_flush(30)
    used = client.info("memory")["used_memory"] - before
    pipeline.shutdown(5)
    client.close()
    return float(used) / number


def mirror_round(servers: Servers) -> dict[str, float]:
    client = redis.Redis.from_url(servers.redis_url)
    client.flushall()
    bare = bare_socket(servers.redis_url, 100_000)
    client.flushall()
    program = redis_benchmark(servers.redis_url, 200_000)
    client.flushall()
    ready = mirror_of_ready_events(servers.redis_url, 100_000)
    client.flushall()
    watched = mirror_of_watched_users(servers.redis_url, 100_000)
    client.flushall()
    spans = whole_path_from_spans(servers.redis_url, 2000)
    client.close()
    return {
        "limit_per_s": bare if program is None else program,
        "limit_is_redis_benchmark": program is not None,
        "bare_socket_per_s": bare,
        "ready_per_s": ready,
        "watched_per_s": watched,
        "from_spans_per_s": spans,
        "redis_bytes_per_request": bytes_per_request(servers.redis_url),
    }


def main() -> None:
    result = mirror_round(Servers(**orjson.loads(sys.argv[1])))
    sys.stdout.write(orjson.dumps(result).decode() + "\n")


if __name__ == "__main__":
    main()
