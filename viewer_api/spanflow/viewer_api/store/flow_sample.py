"""Some of the flows that match, spread over their time: enough to say how often something is among them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.flow_filters import Conditions, Filters, split_conditions
from spanflow.viewer_api.store.flow_search import FlowSearch
from spanflow.viewer_api.store.flow_statements import IN_ORDER, SUMMARY, Order
from spanflow.viewer_api.store.time_windows import time_windows_of

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
        newest = await self._search.page(filters, Order.NEWEST, None, most)
        if len(newest.rows) < most:
            return Sample(newest.rows, newest.end is None)
        top = newest.rows[0]["start_key"]
        oldest = (await self._database.fetch(_OLDEST))[0]["oldest"]
        bottom = oldest if filters.since is None else max(oldest, filters.since)
        moments = [top - (top - bottom) * (place / _PLACES) for place in range(_PLACES)]
        spread = await self._spread(filters, moments, most // _PLACES)
        # Where matches are few and far between, the parts have the same flows.
        rows = {row["flow_id"]: row for row in spread or newest.rows}
        return Sample(list(rows.values()), complete=False)

    async def _spread(self, filters: Filters, moments: list[datetime], each: int) -> list[Row]:
        """The next flows before each moment; none if that takes too long."""
        split = split_conditions(filters)
        placed = Conditions(split.values)
        (within,) = [window for window in time_windows_of(filters) if not window.outliers_only]
        within.add_to(placed)
        places = placed.value(moments, "timestamptz[]")
        conditions = " AND ".join([*split.all, *placed.parts, "start_key <= place.moment"])
        text = (
            f"SELECT flow.* FROM unnest({places}) AS place (moment) CROSS JOIN LATERAL ("
            f"SELECT {SUMMARY} FROM {{s}}.interaction_flows WHERE {conditions} "
            f"ORDER BY start_key DESC, flow_id DESC LIMIT {int(each)}) AS flow"
        )
        try:
            return await self._database.fetch(text, *placed.values, within=_SPREADING, options=IN_ORDER)
        except Problem as why:
            if why.code != "query_timeout":
                raise
            return []
