"""How long steps take, as histograms for Prometheus: what the statistics of the last hour have gained since this viewer
started. Each viewer reads the same, so one of them is enough to look at."""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.operations.metrics import PREFIX
from spanflow.viewer_api.operations.protobuf_exposition import NativeHistogramFamily
from spanflow.viewer_api.statistics.histogram import Buckets, added, unpacked
from spanflow.viewer_api.store.database import Database

log = logging.getLogger(__name__)

#: Longer flows than this are not in it: a step counts in the minute in which its flow began.
WINDOW: Final = timedelta(hours=1)
#: Kinds of steps; those that come later are one.
MAX_SERIES: Final = 200
OTHER: Final = "(other)"
#: From a millisecond to four and a half minutes, for formats without native histograms.
_BOUNDS: Final = tuple(range(16 * 20, 16 * 39, 16 * 2))
_LABELS: Final = ("event_type", "mcp_server", "tool")
_ROWS: Final = """
SELECT start, event_type, mcp_server, tool, sum(total_ns)::text AS total_ns, sum(buckets)::text AS buckets
FROM {s}.step_statistics WHERE seconds = 60 AND start >= $1 GROUP BY start, event_type, mcp_server, tool
"""

Series = tuple[str, ...]


class StepHistograms(Collector):
    """Grows only, as Prometheus wants it: what a minute has lost, such as by an erasure, stays counted here."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        #: What each minute had of each series when it was read last; None: nothing was read yet.
        self._read: dict[tuple[datetime, Series], tuple[Buckets, int]] | None = None
        self._buckets: dict[Series, Buckets] = {}
        self._totals: dict[Series, int] = {}

    async def run(self) -> None:
        """Add what is new."""
        since = datetime.fromtimestamp(self._clock(), UTC) - WINDOW
        try:
            rows = await self._database.fetch(_ROWS, since)
        except Problem as why:
            log.debug("Durations of steps cannot be read now: %s", why.code)
            return
        read = {_key(row): (unpacked(row["buckets"]), int(row["total_ns"])) for row in rows}
        if self._read is not None:
            for key, (buckets, total) in read.items():
                known, known_total = self._read.get(key, ({}, 0))
                gained = {at: count - known.get(at, 0) for at, count in buckets.items() if count > known.get(at, 0)}
                if gained:
                    self._add(key[1], gained, max(0, total - known_total))
        self._read = read

    def _add(self, series: Series, gained: Mapping[int, int], total: int) -> None:
        if series not in self._buckets and len(self._buckets) >= MAX_SERIES:
            series = (OTHER,) * len(_LABELS)
        self._buckets[series] = added((self._buckets.get(series, {}), gained))
        self._totals[series] = self._totals.get(series, 0) + total

    def collect(self) -> Iterable[Metric]:
        family = NativeHistogramFamily(
            f"{PREFIX}_step_duration_nanoseconds",
            "Steps of flows that have ended since this viewer started, by how long they took.",
            _LABELS,
        )
        for series, buckets in sorted(self._buckets.items()):
            labels = dict(zip(_LABELS, series, strict=True))
            family.add_native(labels, buckets, float(self._totals[series]), _BOUNDS)
        return [family]


def _key(row: Any) -> tuple[datetime, Series]:
    return row["start"], tuple(row[label] for label in _LABELS)
