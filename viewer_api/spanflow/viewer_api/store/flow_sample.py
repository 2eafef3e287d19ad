"""Some of the flows that match, spread over their time: enough to say how often something is among them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.flow_search import FlowSearch
from spanflow.viewer_api.store.search_plan import IN_ORDER, SearchPlan

MAX_SAMPLE: Final = 5_000
#: Places in time from which flows are read.
_PLACES: Final = 25
#: Seconds that the first look, and its first statement, may take, and what is read from all places.
_PATIENCE: Final = 3.0
_FIRST_TRY: Final = 1.0
_SPREADING: Final = 3.0
_OLDEST: Final = "SELECT min(start_key) AS oldest FROM {s}.interaction_flows"


@dataclass(frozen=True, slots=True)
class Sample:
    rows: list[Row]
    #: These are all.
    complete: bool


class FlowSampler:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._search = FlowSearch(database, first_try=_FIRST_TRY, patience=_PATIENCE)

    async def sample(self, filters: Filters, most: int = MAX_SAMPLE) -> Sample:
        """All flows that match if they are few. Of many, as many from each part of their time, and the newest only as
        far as there is no time for that."""
        plan = SearchPlan.of(filters)
        newest = await self._search.page(plan, None, most)
        if len(newest.rows) < most:
            return Sample(newest.rows, newest.end is None)
        top = newest.rows[0]["start_key"]
        oldest = (await self._database.fetch(_OLDEST))[0]["oldest"]
        bottom = oldest if filters.since is None else max(oldest, filters.since)
        moments = [top - (top - bottom) * (place / _PLACES) for place in range(_PLACES)]
        spread = await self._spread(plan, moments, most // _PLACES)
        # Where matches are few and far between, the parts have the same flows.
        rows = {row["flow_id"]: row for row in spread or newest.rows}
        return Sample(list(rows.values()), complete=False)

    async def _spread(self, plan: SearchPlan, moments: list[datetime], each: int) -> list[Row]:
        """The next flows before each moment; none if that takes too long."""
        text, values = plan.spread(moments, each)
        try:
            return await self._database.fetch(text, *values, within=_SPREADING, options=IN_ORDER)
        except Problem as why:
            if why.code != "query_timeout":
                raise
            return []
