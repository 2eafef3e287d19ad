"""Flows of users who are watched without contents: pages show of them what live sockets show, and no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from spanflow.span_processors.event.metadata import Metadata
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.flows.shared_flow import without_contents
from spanflow.viewer_api.flows.summaries import stored_summary
from spanflow.viewer_api.monitoring.watching import Watching
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS, RedisFlows

#: Columns of a flow's summary that hold content.
_WORDS = ("denied_reason", "error_message")


@dataclass(frozen=True, slots=True)
class Withheld:
    """For one request. A user's own flows are never withheld: they would learn that they are watched."""

    watching: Watching
    metadata: Metadata
    principal: Principal

    def of(self, user_id: str | None) -> bool:
        """Whether of this user's running flows only metadata may be seen."""
        return not self._own(user_id) and self.watching.withholds(user_id)

    def of_past(self, user_id: str | None) -> bool:
        """The same of what is stored of them."""
        return not self._own(user_id) and self.watching.past_is_withheld(user_id)

    def running(self, flow: Flow) -> Flow:
        """A flow that is not over yet, as it may be seen."""
        return without_contents(flow, self.metadata) if self.of(flow.user_id) else flow

    def stored(self, flow: Flow) -> Flow:
        """A flow that is over, as it may be seen."""
        return without_contents(flow, self.metadata) if self.of_past(flow.user_id) else flow

    def summary(self, row: Row) -> dict[str, Any]:
        """A stored flow in a list."""
        shown = stored_summary(row)
        return {**shown, **dict.fromkeys(_WORDS)} if self.of_past(row["user_id"]) else shown

    def activity(self, row: Row) -> Row:
        """An activity: who, what and when, but not what was said."""
        if not self.of_past(row["user_id"]):
            return row
        data = orjson.loads(row["activity_data"])
        kept = self.metadata.words(data) if isinstance(data, dict) else {}
        return {**dict(row), "activity_data": orjson.dumps(kept)}

    def conversation(self, row: Row) -> Row:
        """A conversation without its title, which is what was said first."""
        return {**dict(row), "title": None} if self.of_past(row["user_id"]) else row

    def silent(self) -> frozenset[str] | None:
        """Whose texts must not be searched, because a match reveals what is in them; None: no user's
        may be."""
        without = self.watching.watched_without_contents()
        return None if without is None else without.difference([self.principal.user_id])

    def _own(self, user_id: str | None) -> bool:
        return user_id is not None and user_id == self.principal.user_id

    def applies_to_any(self) -> bool:
        """Whether there may be such users at all."""
        return self.watching.withholds_any()

    async def past(self, rows: Sequence[Row], redis: RedisFlows) -> list[Row]:
        """Stored rows without those of flows that still run and are kept to metadata.

        A part of such a flow may be stored already: another process was done with it, or it was idle for long. Its
        summary has words of its own, and a search that finds it tells what is in it.
        """
        withheld = [row["flow_id"] for row in rows if self.of(row["user_id"])]
        if not withheld:
            return list(rows)
        try:
            running = await redis.open_among(withheld)
        except REDIS_ERRORS:
            # Without Redis, what is stored counts as the past.
            return list(rows)
        return [row for row in rows if row["flow_id"] not in running]
