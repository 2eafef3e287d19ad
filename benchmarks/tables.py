"""The tables of a run, a function per suite."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.report import Rounds, median_of, overhead_ratio, ratio_to, ratio_within, table
from benchmarks.targets import verdicts
from benchmarks.variants import NONE, REFERENCE
from benchmarks.workload import CHECKPOINTS

_EVENTS_PER_REQUEST: Final = 2 * (CHECKPOINTS + 1)


def tables(results: Mapping[str, Rounds]) -> str:
    """Every suite that ran, and how the targets were met, in Markdown."""
    parts = [_TABLES[suite](rounds) for suite, rounds in results.items()]
    parts.append(table(["target", "measured", "wanted", "met"], verdicts(results)))
    return "\n\n".join(parts) + "\n"


def _request(results: Rounds) -> str:
    heads = "paced us,burst us,burst p99 us,CPU us,paced /c,burst /c,p99 /c,CPU /c,lost".split(",")
    rows = [
        [
            name,
            median_of(rounds, "paced_us"),
            median_of(rounds, "burst_us"),
            median_of(rounds, "burst_p99_us"),
            median_of(rounds, "cpu_us"),
            overhead_ratio(results, name, REFERENCE, NONE, "paced_us"),
            overhead_ratio(results, name, REFERENCE, NONE, "burst_us"),
            ratio_to(results[REFERENCE], rounds, "burst_p99_us"),
            ratio_to(results[REFERENCE], rounds, "cpu_us"),
            median_of(rounds, "lost"),
        ]
        for name, rounds in results.items()
    ]
    return table(["a request's coroutine", *heads], rows)


def _http(results: Rounds) -> str:
    heads = "a server under full load,req/s,/a,/c,p50 ms,p99 ms,lost,in Redis s,in Postgres s,client busy".split(",")
    rows = [
        [
            name,
            median_of(rounds, "per_s"),
            ratio_to(results[NONE], rounds, "per_s"),
            ratio_to(results[REFERENCE], rounds, "per_s"),
            median_of(rounds, "p50_ms"),
            median_of(rounds, "p99_ms"),
            median_of(rounds, "lost"),
            median_of(rounds, "redis_s"),
            median_of(rounds, "postgres_s"),
            median_of(rounds, "busy"),
        ]
        for name, rounds in results.items()
    ]
    return table(heads, rows)


def _model(results: Rounds) -> str:
    heads = ["a server that waits 20 ms for a model", "req/s", "p50 ms", "p99 ms", "p50 /a"]
    rows = [
        [
            name,
            median_of(rounds, "per_s"),
            median_of(rounds, "p50_ms"),
            median_of(rounds, "p99_ms"),
            ratio_to(results[NONE], rounds, "p50_ms"),
        ]
        for name, rounds in results.items()
    ]
    return table(heads, rows)


def _mirror(results: Rounds) -> str:
    rounds = results["mirror"]
    limit = "redis-benchmark -c 1 -P 100" if rounds[0]["limit_is_redis_benchmark"] else "a bare socket, 100 at a time"
    rows: list[list[Any]] = [
        [f"the limit: {limit}", median_of(rounds, "limit_per_s"), 1.0],
        *(
            [name, median_of(rounds, key), ratio_within(rounds, key, "limit_per_s")]
            for name, key in (
                ("a bare socket, 100 at a time", "bare_socket_per_s"),
                ("ready events", "ready_per_s"),
                ("ready events, with expiry, indexes and bells", "watched_per_s"),
                ("the whole path from spans", "from_spans_per_s"),
            )
        ),
    ]
    size = median_of(rounds, "redis_bytes_per_request")
    return table(["the mirror", "events/s", "of the limit"], rows) + f"\n\nRedis bytes per request: {size:,.0f}"


def _archive(results: Rounds) -> str:
    rounds = results["archive"]
    rows = [
        [name, median_of(rounds, key), ratio_within(rounds, key, "raw_copy_per_s")]
        for name, key in (
            ("the limit: raw COPY, same table", "raw_copy_per_s"),
            ("idempotent insert of ready rows", "rows_ready_per_s"),
            ("the whole path from encoded parts", "from_parts_per_s"),
        )
    ]
    facts = (
        "client_cpu_us_per_flow",
        "server_cpu_us_per_flow",
        "without_triggers_cpu_us_per_flow",
        "postgres_bytes_per_flow",
        "json_bytes_per_flow",
    )
    more = ", ".join(f"{key.replace('_', ' ')} {median_of(rounds, key):,.0f}" for key in facts)
    return table(["the archive", "flows/s", "of the limit"], rows) + f"\n\n{more}"


def _history(results: Rounds) -> str:
    rounds = results["history"]
    rows = [
        [name, median_of(rounds, f"{kind}_{key}_us"), ratio_within(rounds, f"{kind}_{key}_us", f"{kind}_select_1_us")]
        for kind, about in (("statement", "the bare statement"), ("store", "as the viewer does it"))
        for name, key in (
            (f"SELECT 1, {about}", "select_1"),
            (f"a flow by its id, {about}", "flow_by_id"),
            (f"a user's last 50, {about}", "last_50"),
        )
    ]
    return table(["reading the past", "us", "of SELECT 1"], rows)


def _live(results: Rounds) -> str:
    rounds = results["live"]
    rows = [
        [name, median_of(rounds, f"{key}_p50_ms"), median_of(rounds, f"{key}_p99_ms")]
        for name, key in (
            ("the floor: Redis alone, 2,000 messages a second", "floor"),
            ("a watched user, 100 events a second", "watched_100"),
            ("a watched user, 2,000 events a second", "watched_2000"),
            ("the same, the gateway's garbage collector set for it", "collecting_2000"),
            ("somebody who is not watched, 100 events a second", "unwatched"),
        )
    ]
    first = f"The slowest event of a gateway's first request: {median_of(rounds, 'first_ms'):,.0f} ms"
    return table(["from a span's start to a live client", "p50 ms", "p99 ms"], rows) + f"\n\n{first}"


def _fanout(results: Rounds) -> str:
    rounds = results["fanout"]
    floor = median_of(rounds, "floor_per_s")
    rows: list[list[Any]] = [
        ["the floor: a bare server, a frame per event", floor, 1.0],
        ["a backlog", median_of(rounds, "backlog_per_s"), median_of(rounds, "backlog_of_floor")],
        [
            "a backlog, beside clients that do not read",
            median_of(rounds, "beside_slow_per_s"),
            ratio_within(rounds, "beside_slow_per_s", "floor_per_s"),
        ],
    ]
    cpu = ", ".join(
        f"{name} {median_of(rounds, key):,.1f} us"
        for name, key in (("CPU per event and client, one by one", "single_cpu_us"), ("the floor", "floor_cpu_us"))
    )
    return table(["500 clients of one user", "events/s", "of the floor"], rows) + f"\n\n{cpu}"


def _trees(results: Rounds) -> str:
    rounds = results["trees"]
    rows = [
        [name, median_of(rounds, f"alone_{key}"), median_of(rounds, f"beside_{key}")]
        for name, key in (
            ("a tree of 900 spans, p50 ms", "small_p50_ms"),
            ("a tree of 900 spans, p95 ms", "small_p95_ms"),
            ("health, p50 ms", "health_p50_ms"),
            ("health, p95 ms", "health_p95_ms"),
        )
    ]
    facts = (
        ("one tree of 20,000 spans", "one_s", "s"),
        ("the first, which starts the worker", "first_s", "s"),
        ("the last of six at once", "six_last_s", "s"),
        ("viewer and worker at most", "memory_most_mb", "MB"),
    )
    more = ", ".join(f"{name}: {median_of(rounds, key):,.1f} {unit}" for name, key, unit in facts)
    return table(["six large trees", "without them", "meanwhile"], rows) + f"\n\n{more}"


def _budget(results: Rounds) -> str:
    """The least of all rounds: what the work takes when nothing gets in its way."""
    python, native = results["python"], results["native"]
    rows: list[list[Any]] = []
    for step in python[0]:
        least, with_core = (min(measured[step] for measured in rounds) for rounds in (python, native))
        rows.append([step, least, with_core, least * _EVENTS_PER_REQUEST, with_core * _EVENTS_PER_REQUEST])
    heads = ["where the CPU goes", "us per event", "with the native core", "us per request", "with the native core"]
    return table(heads, rows)


def _ingest(results: Rounds) -> str:
    rounds = results["ingest"]
    rows: list[list[Any]] = [
        [name, median_of(rounds, key), ratio_within(rounds, key, "decoding_per_s")]
        for name, key in (
            ("decoding alone", "decoding_per_s"),
            ("until they are encoded", "encoded_per_s"),
            ("until they are in Redis and PostgreSQL", "stored_per_s"),
        )
    ]
    used: list[list[Any]] = [
        [name, median_of(rounds, f"{kind}decoding_cpu_us"), median_of(rounds, f"{kind}encoding_cpu_us")]
        + [ratio_within(rounds, f"{kind}decoding_cpu_us", f"{kind}encoding_cpu_us")]
        for name, kind in (("attributes that came before", ""), ("attributes that no other span has", "unique_"))
    ]
    by_clock = table(["received spans, by the clock", "per second", "of decoding alone"], rows)
    by_cpu = table(["a received span, by CPU", "us decoding", "us with encoding", "decoding / both"], used)
    return "\n\n".join((by_clock, by_cpu))


def _encoder(results: Rounds) -> str:
    rows = [
        [
            kind,
            median_of(rounds, "python_us"),
            median_of(rounds, "native_us"),
            ratio_within(rounds, "native_us", "python_us"),
        ]
        for kind, rounds in results.items()
    ]
    return table(["a span as events", "Python us", "native core us", "native / Python"], rows)


_TABLES: Final[dict[str, Callable[[Rounds], str]]] = {
    "request": _request,
    "http": _http,
    "model": _model,
    "mirror": _mirror,
    "archive": _archive,
    "history": _history,
    "live": _live,
    "fanout": _fanout,
    "trees": _trees,
    "ingest": _ingest,
    "budget": _budget,
    "encoder": _encoder,
}
