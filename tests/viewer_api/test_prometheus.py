"""Durations of steps as a real Prometheus reads them: `make interop-tools` builds one."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.support.go_tools import prometheus
from tests.support.poll import eventually
from tests.support.prometheus_server import RunningPrometheus, running_prometheus
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeViewer
from tests.viewer_api.test_statistics_counting import count_all

pytestmark = pytest.mark.long

NAME = "spanflow_viewer_step_duration_nanoseconds"
TOOK_MS = {"search": [1, 10, 11, 250, 251, 252, 90_000], "list": [5, 6, 7]}


def stored(dsn: str, folder: Path, now: datetime) -> None:
    """Flows of ten minutes ago, each with one call."""
    began = int(now.timestamp()) * 1_000_000_000 - 600_000 * MS
    with archives_in(dsn, folder) as archives:
        calls = [(tool, ms) for tool, durations in TOOK_MS.items() for ms in durations]
        parts = []
        for number, (tool, ms) in enumerate(calls, start=1):
            call = span(1, start_ns=began, end_ns=began + ms * MS, event_type="tool_call")
            call["attributes"] = {"flow.data.tool": tool, "flow.data.mcp": "qa_mcp"}
            parts.append(part(number, [call]))
        assert deliver(archives.make(), *parts).delivered == len(calls)
    count_all(dsn, now)


def by_tool(server: RunningPrometheus, promql: str) -> dict[str, float]:
    return {labels["tool"]: value for labels, value in server.ask(promql) if labels.get("tool") in TOOK_MS}


@pytest.fixture
def measured(make_viewer: MakeViewer, postgres_dsn: str, tmp_path: Path) -> RunningViewer:
    """With steps that were counted after it had started."""
    viewer = make_viewer()
    eventually(lambda: NAME in viewer.http.get("/metrics").text, within=60)
    stored(postgres_dsn, tmp_path / "archive", datetime.now(UTC).replace(second=0, microsecond=0))
    return viewer


def test_native_histograms_are_exact_and_their_percentiles_within_the_stated_error(
    measured: RunningViewer, tmp_path: Path
) -> None:
    target = measured.origin.removeprefix("http://")
    with running_prometheus(prometheus(), tmp_path / "prometheus", target, TOKEN) as server:
        exact = {tool: float(len(durations)) for tool, durations in TOOK_MS.items()}
        eventually(lambda: by_tool(server, f"histogram_count({NAME})") == exact, within=90)
        sums = by_tool(server, f"histogram_sum({NAME})")
        assert sums == {tool: sum(durations) * MS for tool, durations in TOOK_MS.items()}
        for share, expected in ((0.5, 250), (0.9, 90_000), (0.95, 90_000)):
            (found,) = by_tool(server, f'histogram_quantile({share}, {NAME}{{tool="search"}})').values()
            # One bucket is 2 ** (1 / 16) wide, and Prometheus guesses where in it the value lies.
            assert found == pytest.approx(expected * MS, rel=0.045), share
        below = by_tool(server, f"histogram_fraction(0, {2**24}, {NAME})")
        within = Counter(tool for tool, durations in TOOK_MS.items() for ms in durations if ms * MS <= 2**24)
        assert below == pytest.approx({tool: within[tool] / len(TOOK_MS[tool]) for tool in TOOK_MS})
        merged = server.ask(f'histogram_count(sum({NAME}{{event_type="tool_call"}}))')
        assert [value for _, value in merged] == [float(sum(exact.values()))]


def test_without_native_histograms_a_classic_one_has_the_same_counts(measured: RunningViewer, tmp_path: Path) -> None:
    target = measured.origin.removeprefix("http://")
    with running_prometheus(prometheus(), tmp_path / "prometheus", target, TOKEN, native=False) as server:
        exact = {tool: float(len(durations)) for tool, durations in TOOK_MS.items()}
        eventually(lambda: by_tool(server, f"{NAME}_count") == exact, within=90)
        assert by_tool(server, f'{NAME}_bucket{{le="+Inf"}}') == exact
        assert server.ask(f"histogram_count({NAME})") == []
