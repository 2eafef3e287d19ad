"""What we want, and whether a run shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import median_of, overhead_ratio, ratio_to
from benchmarks.variants import EVERYTHING, MIRROR, NONE, REFERENCE

Suite = Mapping[str, Sequence[Mapping[str, float]]]


def verdicts(results: Mapping[str, Suite]) -> list[list[Any]]:
    """A row per target of the suites that ran: name, measured, wanted, met."""
    rows: list[list[Any]] = []

    def at_most(name: str, measured: float, limit: float) -> None:
        rows.append([name, measured, f"<= {limit:g}", "yes" if measured <= limit else "NO"])

    def at_least(name: str, measured: float, limit: float) -> None:
        rows.append([name, measured, f">= {limit:g}", "yes" if measured >= limit else "NO"])

    if request := results.get("request"):
        at_most("T1 overhead, mirror, paced / c", overhead_ratio(request, MIRROR, REFERENCE, NONE, "paced_us"), 1.15)
        at_most("T1 overhead, mirror, burst / c", overhead_ratio(request, MIRROR, REFERENCE, NONE, "burst_us"), 1.3)
        at_most("T2 CPU, everything / c", ratio_to(request[REFERENCE], request[EVERYTHING], "cpu_us"), 2.0)
        plainly = next(name for name in request if name.startswith("b "))
        at_most("T3 overhead / the seeds' design", overhead_ratio(request, MIRROR, plainly, NONE, "burst_us"), 1 / 8)
        at_most("T12 burst p99, mirror / c", ratio_to(request[REFERENCE], request[MIRROR], "burst_p99_us"), 4.0)
    if http := results.get("http"):
        at_least("T4 req/s, everything / c", ratio_to(http[REFERENCE], http[EVERYTHING], "per_s"), 0.7)
        at_most("T5 events lost under full load", median_of(http[EVERYTHING], "lost"), 0)
        at_most("T5 seconds until drained", median_of(http[EVERYTHING], "drained_s"), 1.0)
    if mirror := results.get("mirror"):
        rounds = mirror["mirror"]
        ready = [{"ratio": one["ready_per_s"] / one["limit_per_s"]} for one in rounds]
        spans = [{"ratio": one["from_spans_per_s"] / one["limit_per_s"]} for one in rounds]
        at_least("T6 ready events / limit", median_of(ready, "ratio"), 0.9)
        at_least("T6 from spans / limit", median_of(spans, "ratio"), 0.45)
        at_most("Redis bytes per request", median_of(rounds, "redis_bytes_per_request"), 12 * 1024)
    return rows
