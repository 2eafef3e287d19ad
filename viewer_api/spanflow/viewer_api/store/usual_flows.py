"""The flows that one flow is compared with to say what is usual: the newest of its kind before it that went well."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from spanflow.span_processors import names
from spanflow.viewer_api.store.database import Database, Row, as_array

#: How far back they may lie, how many flows are looked through, and how many are taken.
WITHIN: Final = timedelta(days=7)
_LOOKED_THROUGH: Final = 20_000
MAX_FLOWS: Final = 100
#: Flows with more spans would be most of the work.
_MAX_SPANS: Final = 5_000
_KIND: Final = "SELECT name, source, coalesce(started_at, start_key) AS began FROM {s}.flow_by_id($1)"
_PLACES: Final = f"""
SELECT flow_id, start_key, user_id FROM (
    SELECT flow_id, start_key, user_id, name, source, outcome, span_count FROM {{s}}.interaction_flows
    WHERE start_key < $3 AND start_key >= $4 AND flow_id <> $5 AND {{visible}}
    ORDER BY start_key DESC, flow_id DESC LIMIT {_LOOKED_THROUGH}
) AS before
WHERE name = $1 AND source IS NOT DISTINCT FROM $2 AND outcome = '{names.OUTCOME_OK}' AND span_count <= {_MAX_SPANS}
ORDER BY start_key DESC, flow_id DESC LIMIT {MAX_FLOWS}
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
        values = [kind.name, kind.source, kind.began, kind.began - WITHIN, flow_id]
        if visible is None:
            return await self._database.fetch(_PLACES.replace("{visible}", "true"), *values)
        text = _PLACES.replace("{visible}", "user_id = ANY($6::text[])")
        return await self._database.fetch(text, *values, as_array(visible))
