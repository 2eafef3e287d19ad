"""The flows that one flow is compared with to say what is usual: the newest of its kind before it that went well."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from spanflow.span_processors import names
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.search_plan import SearchPlan

#: How far back they may lie, how many flows are looked through, and how many are taken.
WITHIN: Final = timedelta(days=7)
_LOOKED_THROUGH: Final = 20_000
MAX_FLOWS: Final = 100
#: Flows with more spans would be most of the work.
_MAX_SPANS: Final = 5_000
_KIND: Final = "SELECT name, source, coalesce(started_at, start_key) AS began FROM {s}.flow_by_id($1)"
_COLUMNS: Final = "flow_id, start_key, started_at, user_id, name, source, outcome, span_count"
_PLACES: Final = f"""
SELECT flow_id, start_key, user_id FROM ({{before}}) AS before
WHERE name = ${{name}} AND source IS NOT DISTINCT FROM ${{source}} AND flow_id <> ${{flow_id}}
  AND outcome = '{names.OUTCOME_OK}' AND span_count <= {_MAX_SPANS}
ORDER BY started_at DESC, flow_id DESC LIMIT {MAX_FLOWS}
"""


@dataclass(frozen=True, slots=True)
class FlowKind:
    """Flows of one name and source are of one kind."""

    name: str | None
    source: str | None
    #: When the flow began that is compared.
    began: datetime


class UsualFlows:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def kind_of(self, flow_id: str) -> FlowKind | None:
        """As it is stored; None if it is not."""
        row = await self._database.fetchrow(_KIND, flow_id)
        return None if row is None or row["name"] is None else FlowKind(row["name"], row["source"], row["began"])

    async def places(self, flow_id: str, kind: FlowKind, visible: Collection[str] | None) -> list[Row]:
        """Their keys, ids and users; of users in `visible` only, None for all. A flow without a name has no kind."""
        if kind.name is None:
            return []
        filters = Filters(
            started_since=kind.began - WITHIN,
            started_until=kind.began,
            visible=None if visible is None else frozenset(visible),
        )
        before, values = SearchPlan.of(filters).newest(_COLUMNS, _LOOKED_THROUGH)
        place = len(values)
        text = _PLACES.format(before=before, name=place + 1, source=place + 2, flow_id=place + 3)
        return await self._database.fetch(text, *values, kind.name, kind.source, flow_id)
