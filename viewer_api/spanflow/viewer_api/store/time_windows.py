"""Where in the list of all flows a search has to look.

Lists are ordered by `start_key`, which is fixed when a flow is first stored; a time range speaks of when the flow
really began and ended. The two are minutes apart at most, but for a few outliers, which have an index of their own. So
a range is three windows of keys: outliers above, everything in the middle, outliers below.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from spanflow.viewer_api.store.flow_filters import ENDED, Conditions, Filters

#: The two bounds of the index `interaction_flows_outliers`, and its condition in its own words.
DRIFT: Final = timedelta(minutes=5)
LONG: Final = timedelta(hours=1)
_OUTLIER: Final = (
    "(start_key - started_at > interval '5 minutes' OR started_at - start_key > interval '5 minutes'"
    f" OR {ENDED} - started_at > interval '1 hour')"
)


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Keys from `low` on and below `high`; None is open."""

    low: datetime | None = None
    high: datetime | None = None
    outliers_only: bool = False

    def below(self, key: datetime) -> bool:
        """Whether anything of it can lie at or below this key."""
        return self.low is None or self.low <= key

    def cut(self, low: datetime | None, high: datetime | None) -> "TimeWindow":
        return replace(self, low=low, high=high)

    def add_to(self, conditions: Conditions) -> None:
        if self.low is not None:
            conditions.add(f"start_key >= {conditions.value(self.low, 'timestamptz')}")
        if self.high is not None:
            conditions.add(f"start_key < {conditions.value(self.high, 'timestamptz')}")
        if self.outliers_only:
            conditions.add(_OUTLIER)


def time_windows_of(filters: Filters) -> list[TimeWindow]:
    """Newest first; together they hold every flow that lies in the range, and none twice."""
    since, until = filters.since, filters.until
    lows = [None if since is None else since - LONG, filters.started_since]
    highs = [until, filters.started_until]
    low = max((moment - DRIFT for moment in lows if moment is not None), default=None)
    high = min((moment + DRIFT for moment in highs if moment is not None), default=None)
    windows = [TimeWindow(low, high)]
    if high is not None:
        windows.insert(0, TimeWindow(high, None, outliers_only=True))
    if low is not None:
        windows.append(TimeWindow(None, low, outliers_only=True))
    return windows
