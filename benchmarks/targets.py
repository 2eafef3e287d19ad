"""What we want, and whether a run shows it."""

from collections.abc import Mapping
from typing import Any

from benchmarks.report import Rounds, median_of, overhead_ratio, ratio_to, ratio_within
from benchmarks.variants import DOCUMENTED, MIRROR, NONE, OTLP, PLAINLY, REFERENCE


class Verdicts:
    """Rows of name, measured, wanted, met."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []

    def at_most(self, name: str, measured: float, limit: float) -> None:
        self.rows.append([name, measured, f"<= {limit:g}", "yes" if measured <= limit else "NO"])

    def at_least(self, name: str, measured: float, limit: float) -> None:
        self.rows.append([name, measured, f">= {limit:g}", "yes" if measured >= limit else "NO"])


def verdicts(results: Mapping[str, Rounds]) -> list[list[Any]]:
    """A row per target of the suites that ran."""
    found = Verdicts()
    if request := results.get("request"):
        _request(found, request)
    if http := results.get("http"):
        documented = http[DOCUMENTED]
        found.at_least("T4 req/s, as documented / c", ratio_to(http[REFERENCE], documented, "per_s"), 0.7)
        found.at_most("T5 events lost under full load, worst round", max(one["lost"] for one in documented), 0)
        found.at_most("T5 seconds until all is in Redis", median_of(documented, "redis_s"), 1.0)
        found.at_most("T5 seconds until all is in Postgres", median_of(documented, "postgres_s"), 1.0)
    if model := results.get("model"):
        found.at_most(
            "T4 p50 beside a model, as documented / a", ratio_to(model[NONE], model[DOCUMENTED], "p50_ms"), 1.08
        )
    if mirror := results.get("mirror"):
        rounds = mirror["mirror"]
        found.at_least("T6 ready events / limit", ratio_within(rounds, "ready_per_s", "limit_per_s"), 0.9)
        found.at_least("T6 from spans / limit", ratio_within(rounds, "from_spans_per_s", "limit_per_s"), 0.45)
        found.at_least("T7 with expiry and bells / limit", ratio_within(rounds, "watched_per_s", "limit_per_s"), 0.6)
        found.at_most("Redis bytes per request", median_of(rounds, "redis_bytes_per_request"), 12 * 1024)
    if archive := results.get("archive"):
        rounds = archive["archive"]
        found.at_least("T8 ready rows / raw COPY", ratio_within(rounds, "rows_ready_per_s", "raw_copy_per_s"), 0.6)
        found.at_least("T8 from parts / raw COPY", ratio_within(rounds, "from_parts_per_s", "raw_copy_per_s"), 0.6)
        triggers = ratio_within(rounds, "server_cpu_us_per_flow", "without_triggers_cpu_us_per_flow")
        found.at_most("T8 CPU of the server, with the table's triggers / without", triggers, 1.05)
    if history := results.get("history"):
        rounds = history["history"]
        by_id = ratio_within(rounds, "store_flow_by_id_us", "store_select_1_us")
        found.at_most("T9 flow by id / SELECT 1", by_id, 1.5)
        last = ratio_within(rounds, "store_last_50_us", "store_select_1_us")
        found.at_most("T9 last 50 of a user / SELECT 1", last, 3.0)
    if live := results.get("live"):
        rounds = live["live"]
        # For an unwatched user the gateway batches events first, then the viewer polls so often.
        interval, collected = rounds[0]["unwatched_interval_ms"], rounds[0]["unwatched_collected_ms"]
        found.at_most("T10 watched, 2,000 events/s, p50 ms", median_of(rounds, "watched_2000_p50_ms"), 1.5)
        found.at_most("T10 watched, 2,000 events/s, p99 ms", median_of(rounds, "watched_2000_p99_ms"), 3.0)
        found.at_most("T10 ... with the collector set", median_of(rounds, "collecting_2000_p99_ms"), 3.0)
        found.at_most("T10 not watched, p50 ms", median_of(rounds, "unwatched_p50_ms"), interval / 2 + collected + 1)
        found.at_most("T10 not watched, p99 ms", median_of(rounds, "unwatched_p99_ms"), interval + collected + 3)
    if fanout := results.get("fanout"):
        rounds = fanout["fanout"]
        found.at_least("T11 backlog of 500 watchers / floor", median_of(rounds, "backlog_of_floor"), 10.0)
        found.at_least("T11 one by one, CPU, floor / viewer", median_of(rounds, "single_of_floor"), 0.6)
        found.at_least("T11 beside clients that do not read", median_of(rounds, "beside_slow_of_backlog"), 0.6)
    if trees := results.get("trees"):
        rounds = trees["trees"]
        found.at_most("T13 one tree of 20,000 spans, s", median_of(rounds, "one_s"), 2.0)
        # What it would take on a machine that does nothing else.
        found.at_most("T13 ... s of CPU, viewer and worker", median_of(rounds, "one_cpu_s"), 2.0)
        for name, key in (("a small tree", "small_p50_ms"), ("health", "health_p50_ms")):
            ratio = ratio_within(rounds, f"beside_{key}", f"alone_{key}")
            found.at_most(f"T13 {name} beside six of them, p50 / alone", ratio, 2.0)
        found.at_most("T13 viewer and worker, MB", median_of(rounds, "memory_most_mb"), 400)
    if ingest := results.get("ingest"):
        rounds = ingest["ingest"]
        found.at_least(
            "T14 received spans, by the clock: encoded / decoded alone", median_of(rounds, "encoded_of_decoding"), 0.5
        )
        by_cpu = ratio_within(rounds, "decoding_cpu_us", "encoding_cpu_us")
        found.at_least("T14 ... by CPU: decoding alone / with encoding, without Redis and Postgres", by_cpu, 0.5)
        found.at_least("T14 received spans per second, encoded", median_of(rounds, "encoded_per_s"), 20_000)
    return found.rows


def _request(found: Verdicts, request: Rounds) -> None:
    reference = request[REFERENCE]
    judged = ((MIRROR, "mirror of bare spans"), (DOCUMENTED, "as documented"))
    for name, what in judged:
        for pace, limit in (("paced", 1.15), ("burst", 1.3)):
            overhead = overhead_ratio(request, name, REFERENCE, NONE, f"{pace}_us")
            found.at_most(f"T1 overhead, {what}, {pace} / c", overhead, limit)
    found.at_most("T2 CPU, mirror of bare spans / c", ratio_to(reference, request[MIRROR], "cpu_us"), 1.6)
    found.at_most("T2 CPU, as documented / c", ratio_to(reference, request[DOCUMENTED], "cpu_us"), 2.0)
    for name, what in judged:
        overhead = overhead_ratio(request, name, PLAINLY, NONE, "burst_us")
        found.at_most(f"T3 overhead, {what} / a plain design", overhead, 1 / 8)
    for name, what in judged:
        found.at_most(f"T12 burst p99, {what} / c", ratio_to(reference, request[name], "burst_p99_us"), 4.0)
        found.at_most(f"T12 burst p99, {what} / OTLP", ratio_to(request[OTLP], request[name], "burst_p99_us"), 1.0)
