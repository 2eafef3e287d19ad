"""Six trees of 20,000 spans at once, and what they cost others: `python -m benchmarks.large_trees <job>`.

Others ask for a small tree and for the viewer's health, alone and while the large ones are made. Memory is that of the
viewer and its worker together, at its highest.
"""

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from benchmarks.cpu_time import cpu_seconds
from benchmarks.live_viewer import BEARER, OTHER_BEARER, running_viewer
from benchmarks.variants import Servers
from tests.support.archives import archives_in
from tests.support.flow_parts import part, span

SPANS: Final = 20_000
LARGE: Final = 6
_SMALL: Final = 900
_ALONE_SECONDS: Final = 3.0


def measured(servers: Servers) -> dict[str, float]:
    _store(servers)
    with (
        running_viewer(servers) as viewer,
        httpx.Client(base_url=f"http://{viewer.address}", headers=BEARER, timeout=120) as http,
        httpx.Client(base_url=f"http://{viewer.address}", headers=OTHER_BEARER, timeout=120) as other,
    ):

        def tree(number: int, by: httpx.Client = http) -> float:
            return _seconds(by, f"/api/v1/flows/{number:032x}/tree")

        def small() -> float:
            return tree(_SMALL, other)

        def health() -> float:
            return _seconds(other, "/healthz")

        small()
        until = time.monotonic() + _ALONE_SECONDS
        alone = _asked(lambda: time.monotonic() > until, small=small, health=health)
        before = _memory_mb(viewer.pid)
        first = tree(1)
        busy = cpu_seconds(viewer.pid, *_children(viewer.pid))
        one = tree(2)
        busy = cpu_seconds(viewer.pid, *_children(viewer.pid)) - busy
        done = threading.Event()
        most = 0.0
        with ThreadPoolExecutor(LARGE + 2) as pool:
            beside = pool.submit(_asked, done.is_set, small=small, health=health)
            large = [pool.submit(tree, number) for number in range(1, LARGE + 1)]
            while not all(each.done() for each in large):
                most = max(most, _memory_mb(viewer.pid))
                time.sleep(0.05)
            done.set()
            times = sorted(each.result() for each in large)
            others = beside.result()
    return {
        "first_s": first,
        "one_s": one,
        "one_cpu_s": busy,
        "six_median_s": statistics.median(times),
        "six_last_s": times[-1],
        "memory_before_mb": before,
        "memory_most_mb": most,
        **{f"alone_{name}": value for name, value in alone.items()},
        **{f"beside_{name}": value for name, value in others.items()},
    }


def _seconds(http: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    http.get(path).raise_for_status()
    return time.perf_counter() - began


def _asked(ended: Callable[[], bool], **questions: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of each question, asked in turn until the end."""
    took: dict[str, list[float]] = {name: [] for name in questions}
    while not ended() or not all(took.values()):
        for name, question in questions.items():
            took[name].append(question() * 1000)
    found = {}
    for name, times in took.items():
        times.sort()
        found[f"{name}_p50_ms"] = times[len(times) // 2]
        found[f"{name}_p95_ms"] = times[len(times) * 95 // 100]
    return found


def _store(servers: Servers) -> None:
    more: dict[str, Any] = {"kind": "internal", "attributes": {"http.request.method": "GET", "note": "x" * 80}}
    with tempfile.TemporaryDirectory() as folder, archives_in(servers.postgres_dsn, Path(folder)) as archives:
        archive = archives.make()
        for flow in [*range(1, LARGE + 1), _SMALL]:
            count = SPANS if flow <= LARGE else _SMALL
            below = [span(number, number // 4 + 1 if number > 4 else 1, **more) for number in range(2, count + 1)]
            spans = [span(1), *below]
            archive.deliver([part(flow, spans)], time.monotonic() + 120)


def _memory_mb(pid: int) -> float:
    """The resident memory of a process and its children."""
    found = 0.0
    for each in [pid, *_children(pid)]:
        try:
            status = Path(f"/proc/{each}/status").read_text()
        except OSError:
            continue
        found += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024
    return found


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(measured(Servers(**orjson.loads(sys.argv[1])))).decode() + "\n")
