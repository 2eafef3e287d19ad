"""How long each kind of step usually takes: by the statistics of the last 24 hours, and where these know nothing, by
the newest stored flows.

Computed by Postgres periodically and cached in this process: no reader waits for it.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.statistics.histogram import Buckets, StepPercentiles, percentiles
from spanflow.viewer_api.statistics.periods import aligned, parts_of
from spanflow.viewer_api.statistics.stored import typical_durations
from spanflow.viewer_api.store.database import Database

log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 300.0
_RETRY_SECONDS: Final = 15.0
_SAMPLE: Final = 1000
#: Fewer say nothing about what is usual.
_LEAST: Final = 20
_MAX_STEPS: Final = 5000
_MAX_PAST_STEPS: Final = 1000
_SHARES: Final = (0.5, 0.75, 0.9, 0.95, 0.99)
#: A step is compared with those of its kind in the time before.
_COMPARED_WITH: Final = timedelta(hours=24)
#: Flows with more spans would be most of the work, and are not usual.
_MAX_SPANS: Final = 500
# What failed or was refused may have been quick; only what went well tells how long it takes.
_USUAL: Final = r"""
WITH recent AS MATERIALIZED (
    SELECT flow_data FROM {s}.interaction_flows WHERE span_count <= $2
    ORDER BY start_key DESC, flow_id DESC LIMIT $1
), steps AS (
    SELECT coalesce(event ->> 'event_type', 'span') || ':' || coalesce(event ->> 'name', '') AS step,
           (event ->> 'end_ns')::numeric - (event ->> 'start_ns')::numeric AS took
    FROM recent, jsonb_array_elements(
        CASE WHEN jsonb_typeof(flow_data -> 'events') = 'array' THEN flow_data -> 'events' ELSE '[]' END
    ) AS event
    WHERE event ->> 'phase' = 'end' AND coalesce(event ->> 'outcome', 'ok') = 'ok'
      -- A step that a tracker reported as a moment says nothing of how long it took.
      AND NOT (event ->> 'end_ns' = event ->> 'start_ns' AND coalesce(event -> 'attributes' ? 'flow.reported', false))
      AND event ->> 'end_ns' ~ '^[0-9]{1,19}$' AND event ->> 'start_ns' ~ '^[0-9]{1,19}$'
)
SELECT step, percentile_disc(0.95) WITHIN GROUP (ORDER BY took)::bigint AS p95_ns
FROM steps WHERE took >= 0 GROUP BY step HAVING count(*) >= $3 ORDER BY count(*) DESC, step LIMIT $4
"""


class UsualTimes:
    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock
        self._p95_ns: Mapping[str, int] = {}
        #: Which share of the steps of a kind took no longer.
        self.percentile = StepPercentiles({})

    def p95_ns(self) -> Mapping[str, int]:
        """In nanoseconds by `step_key`, as of the last refresh."""
        return self._p95_ns

    def percentiles_ns(self, step: str) -> Mapping[str, int] | None:
        """Durations that so many of a hundred steps of the kind stay below or reach, in nanoseconds; None where the
        statistics of the last 24 hours know too few."""
        durations = self.percentile.durations.get(step)
        if durations is None:
            return None
        values = percentiles(durations, _SHARES)
        return {
            f"{share * 100:g}": round(duration)
            for share, duration in zip(_SHARES, values, strict=True)
            if duration is not None
        }

    async def durations_before(self, moment: datetime) -> Mapping[str, Buckets]:
        """How long steps of each kind took in the 24 hours before, by `step_key`; of the last ones as of the last
        refresh."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        if moment > now - _COMPARED_WITH:
            return self.percentile.durations
        return await self._durations(moment, now, _MAX_PAST_STEPS)

    async def _durations(self, moment: datetime, now: datetime, most: int) -> dict[str, Buckets]:
        parts = parts_of(*aligned(moment - _COMPARED_WITH, moment, now))
        return await typical_durations(self._database, parts, _LEAST, most)

    async def refresh(self) -> None:
        rows = await self._database.fetch(_USUAL, _SAMPLE, _MAX_SPANS, _LEAST, _MAX_STEPS)
        now = datetime.fromtimestamp(self._clock(), UTC)
        durations = await self._durations(now, now, _MAX_STEPS)
        self.percentile = StepPercentiles(durations)
        counted = {step: _p95(buckets) for step, buckets in durations.items()}
        self._p95_ns = {row["step"]: row["p95_ns"] for row in rows} | counted

    async def run(self) -> None:
        """Until cancelled. What was usual a moment ago stays so while Postgres is away."""
        while True:
            try:
                await self.refresh()
            except Problem as why:
                log.debug("How long steps usually take cannot be asked: %s", why.code)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                await asyncio.sleep(_EVERY_SECONDS)


def _p95(durations: Buckets) -> int:
    return round(percentiles(durations, (0.95,))[0] or 0)
