"""`make bench-analysis`: how long analysis takes over weeks of flows, against the smallest question to the same server.

A PostgreSQL and a viewer of their own: statistics of 30 days, the funnel, the differences of two sets of flows, an
export over HTTP with the viewer's memory, and the comparison of two flows of 10,000 spans. Prints each number beside
what is wanted.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import psutil  # type: ignore[import-untyped]

from benchmarks.million_flows import filled
from benchmarks.report import table
from benchmarks.targets import Verdicts
from spanflow.span_processors.archive.postgres import make_pool
from spanflow.span_processors.settings import Settings
from spanflow.viewer_api.statistics.answers import Question, funnel_answer, steps_answer
from spanflow.viewer_api.statistics.counting import Counting
from spanflow.viewer_api.statistics.links import Links
from spanflow.viewer_api.statistics.periods import HOUR, floored
from spanflow.viewer_api.statistics.stored import StoredStatistics
from spanflow.viewer_api.store.database import Database
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.spanflow_command import running

_DAYS: Final = 30
_READS: Final = 60
_SPANS: Final = 10_000
_TOKEN: Final = "a-token-for-benchmarks-0123456789"
_EXPORTED: Final = 400 * 1024 * 1024


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analysis", description=__doc__)
    parser.add_argument("--flows", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    found = Verdicts()
    with filled(options.flows, 1000, 1000) as dsn, tempfile.TemporaryDirectory(prefix="spanflow-bench-") as folder:
        path = Path(folder)
        # The servers may run as another user.
        path.chmod(0o755)
        counted = asyncio.run(_statistics(dsn, found))
        with archives_in(dsn, path / "archive") as archives:
            deliver(archives.make(), *(_large(number) for number in (1, 2)), within=120)
        with _viewer(dsn, path) as (http, process):
            _over_http(http, process, found)
    sys.stdout.write(table(["what", "measured", "wanted", "met"], found.rows) + "\n")
    sys.stdout.write(f"{options.flows:,} flows; those of {_DAYS} days were counted in {counted:.0f} s.\n")


async def _statistics(dsn: str, found: Verdicts) -> float:
    settings = Settings(postgres_dsn=dsn)
    until = floored(datetime.now(UTC) - timedelta(weeks=2), HOUR)
    since = until - timedelta(days=_DAYS)
    async with make_pool(settings, "benchmark", command_timeout=600) as pool:
        database = Database(pool, settings.schema, 600)
        await database.execute(
            "INSERT INTO {s}.changed_periods (start, seconds) "
            "SELECT hour, 3600 FROM generate_series($1::timestamptz, $2::timestamptz, '1 hour') AS hour",
            since,
            until,
        )
        began = time.perf_counter()
        await Counting(database).run(datetime.now(UTC))
        counted = time.perf_counter() - began
        await database.execute("ANALYZE {s}.step_statistics; ANALYZE {s}.flow_statistics")
        source = StoredStatistics(database, since, until)
        links = Links((), since, until)
        cases: dict[str, Callable[[], Awaitable[Any]]] = {
            "select": lambda: database.fetch("SELECT 1"),
            "tools": lambda: steps_answer(source, links, Question("tool", "p95_ms", 50, None)),
            "funnel": lambda: funnel_answer(source, links),
        }
        took: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(_READS):
            for name, case in cases.items():
                start = time.perf_counter()
                await case()
                took[name].append(time.perf_counter() - start)
    middle = {name: statistics.median(each) for name, each in took.items()}
    found.at_most(f"{_DAYS} days of p95 per tool / SELECT 1", round(middle["tools"] / middle["select"], 1), 20)
    found.at_most("funnel / SELECT 1", round(middle["funnel"] / middle["select"], 1), 50)
    return counted


def _over_http(http: httpx.Client, process: psutil.Process, found: Verdicts) -> None:
    took = []
    for _ in range(3):
        start = time.perf_counter()
        http.get("/api/v1/flows/differences", params={"a.min_duration_ms": 20_000}).raise_for_status()
        took.append(time.perf_counter() - start)
    found.at_most("differences of slow flows and the rest, s", round(statistics.median(took), 2), 2.0)
    took = []
    for _ in range(3):
        start = time.perf_counter()
        http.get("/api/v1/flows/compare", params={"a": f"{1:032x}", "b": f"{2:032x}"}).raise_for_status()
        took.append(time.perf_counter() - start)
    found.at_most(f"compare of two flows of {_SPANS:,} spans, s", round(statistics.median(took), 2), 1.0)
    most, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            most[0] = max(most[0], process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    size, start = 0, time.perf_counter()
    with http.stream("GET", "/api/v1/export", params={"format": "jsonl"}) as response:
        for piece in response.iter_raw():
            size += len(piece)
            if size > _EXPORTED:
                break
    seconds = time.perf_counter() - start
    over.set()
    watching.join()
    found.at_least("export over HTTP, MB/s", round(size / seconds / 1e6, 1), 20)
    found.at_most("the viewer's memory meanwhile, MB", round(most[0] / 1e6), 200)


@contextmanager
def _viewer(dsn: str, folder: Path) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    (folder / "redis").mkdir()
    redis, port = RedisServer(folder / "redis").start(), free_port()
    settings = {
        "SPANFLOW_REDIS_URL": redis.url,
        "SPANFLOW_POSTGRES_DSN": dsn,
        "SPANFLOW_VIEWER_TOKEN": _TOKEN,
        "SPANFLOW_DATA_DIR": str(folder / "viewer"),
    }
    try:
        with running("serve", "--port", str(port), settings=settings) as command:
            command.wait_for("Application startup complete")
            headers = {"Authorization": f"Bearer {_TOKEN}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as http:
                yield http, psutil.Process(command.process.pid)
    finally:
        redis.stop()


def _large(number: int) -> Any:
    """A flow of many spans in groups of ten; every tenth differs between the two."""
    start = time.time_ns() - 3_600_000 * MS
    spans = [span(number * 100_000, start_ns=start, end_ns=start + 60_000 * MS, name="root")]
    for place in range(1, _SPANS):
        parent = number * 100_000 + (place // 10 if place >= 10 else 0)
        took = (1 + place % 7 + (number if place % 10 == 0 else 0)) * MS
        begin = start + place * 5 * MS
        spans.append(
            span(
                number * 100_000 + place,
                parent,
                start_ns=begin,
                end_ns=begin + took,
                event_type="tool_call",
                name=f"tools/call {place % 23}",
                attributes={"flow.data.tool": f"tool_{place % 23}", "flow.data.n": place},
            )
        )
    return part(number, spans)


if __name__ == "__main__":
    main()
