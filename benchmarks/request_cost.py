"""What a request's coroutine pays, and the process as a whole: one variant, in a process of its own.

Run as `python -m benchmarks.request_cost '{"variant": …, "servers": {…}, …}'`; prints one JSON object.
"""

import asyncio
import gc
import statistics
import sys
import time
from typing import Any

import orjson
import uvloop

from benchmarks.variants import VARIANTS, Servers, Variant

_PACE = 0.002


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def paced(variant: Variant, number: int) -> list[float]:
    """A request about every two milliseconds, as a gateway with something to do beside."""
    times = []
    for index in range(number):
        start = time.perf_counter()
        await variant.request(index)
        times.append((time.perf_counter() - start) * 1e6)
        await asyncio.sleep(_PACE)
    return times


async def burst(variant: Variant, number: int) -> list[float]:
    """Requests back to back."""
    times = []
    for index in range(number):
        start = time.perf_counter()
        await variant.request(index)
        times.append((time.perf_counter() - start) * 1e6)
    return times


async def measure(variant: Variant, requests: int) -> dict[str, Any]:
    await burst(variant, 200)
    variant.flush()
    gc.collect()
    slow = await paced(variant, requests // 5)
    variant.flush()
    cpu = time.process_time()
    fast = await burst(variant, requests)
    variant.flush()
    cpu = time.process_time() - cpu
    counts = variant.counts()
    return {
        "paced_us": statistics.median(slow),
        "paced_p99_us": quantile(slow, 0.99),
        "burst_us": statistics.median(fast),
        "burst_mean_us": statistics.fmean(fast),
        "burst_p99_us": quantile(fast, 0.99),
        "cpu_us": cpu / requests * 1e6,
        "lost": counts.intake.lost + sum(sink.lost for sink in counts.sinks.values()) if counts else 0,
    }


def main() -> None:
    job = orjson.loads(sys.argv[1])
    variant = VARIANTS[job["variant"]](Servers(**job["servers"]))
    result = uvloop.run(measure(variant, job["requests"]))
    variant.close()
    sys.stdout.write(orjson.dumps(result).decode() + "\n")


if __name__ == "__main__":
    main()
