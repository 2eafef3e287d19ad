"""One conversation: what was said in it, and the flows that were its turns, stored or still running."""

import asyncio
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from spanflow.span_processors import names
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.conversations.activity_documents import activity_document
from spanflow.viewer_api.conversations.activity_order import in_order
from spanflow.viewer_api.conversations.tool_pairs import paired
from spanflow.viewer_api.flows.flow_reader import FlowReader, flow_reader
from spanflow.viewer_api.flows.summaries import live_summary
from spanflow.viewer_api.store.conversations import MAX_OUTLINE, ConversationStore
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.viewer import Viewer

#: The place of an activity in its conversation.
Place = tuple[int, datetime, str]


@dataclass(frozen=True, slots=True)
class Outline:
    """The activities of a conversation in their order, a call and its response as one."""

    rows: Sequence[Row]
    #: Ids of calls → ids of their responses.
    responses: Mapping[str, str]
    #: There are more activities than are read.
    truncated: bool

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Outline":
        kept = in_order(rows[:MAX_OUTLINE])
        pairs = paired(kept)
        answered = set(pairs.values())
        return cls([row for row in kept if row["activity_id"] not in answered], pairs, len(rows) > MAX_OUTLINE)

    def after(self, place: Place | None) -> int:
        """The index of the first activity behind a place."""
        if place is None:
            return 0
        # The place may stand in another order by now, but its activity does not go.
        ids = (index for index, row in enumerate(self.rows) if row["activity_id"] == place[2])
        index = next(ids, None)
        return bisect_right(self.rows, place, key=place_of) if index is None else index + 1

    def first_of(self, wanted: str) -> int:
        """The index of an activity (or of the call that it answers), or of the first one of a flow; 0 if neither."""
        call = next((call for call, response in self.responses.items() if response == wanted), wanted)
        return next((index for index, row in enumerate(self.rows) if call in (row["activity_id"], row["flow_id"])), 0)


@dataclass(frozen=True, slots=True)
class ConversationTurns:
    summaries: list[dict[str, Any]]
    #: The last stored one of a full page.
    end: tuple[datetime, str] | None


def _took(call: Row, response: Row) -> float:
    """As the gateway measured it, or else the time between the two."""
    if response["duration_ms"] is not None:
        return float(response["duration_ms"])
    apart: timedelta = response["created_at"] - call["created_at"]
    return max(0.0, round(apart.total_seconds() * 1000, 3))


def place_of(row: Row) -> Place:
    return row["sequence_num"], row["created_at"], row["activity_id"]


def conversation_reader(viewer: Viewer, principal: Principal) -> "ConversationReader":
    """Reads what `principal` may see."""
    store = ConversationStore(viewer.database)
    return ConversationReader(store, flow_reader(viewer, principal), principal.visible)


class ConversationReader:
    """Reads only what the users in `visible` did; None stands for all users."""

    def __init__(self, store: ConversationStore, flows: FlowReader, visible: Collection[str] | None) -> None:
        self._store = store
        self._flows = flows
        self._visible = visible

    async def head(self, conversation_id: str) -> Row | None:
        row = await self._store.one(conversation_id, self._visible)
        return None if row is None else self._flows.withheld.conversation(row)

    async def outline(self, conversation_id: str) -> Outline:
        rows = await self._store.outline(conversation_id, self._visible)
        return await asyncio.to_thread(Outline.of, rows)

    async def outline_of_flow(self, flow_id: str) -> Outline:
        rows = await self._store.outline_of_flow(flow_id, self._visible)
        return await asyncio.to_thread(Outline.of, rows)

    async def items(self, outline: Outline, first: int, limit: int) -> list[dict[str, Any]]:
        """Activities with their contents, each call with its response."""
        page = [row["activity_id"] for row in outline.rows[first : first + limit]]
        answers = [outline.responses[call] for call in page if call in outline.responses]
        activities = await self._store.activities([*page, *answers])
        rows = {activity_id: self._flows.withheld.activity(row) for activity_id, row in activities.items()}
        return [self._item(activity_id, outline, rows) for activity_id in page if activity_id in rows]

    def _item(self, activity_id: str, outline: Outline, rows: Mapping[str, Row]) -> dict[str, Any]:
        item = {**activity_document(rows[activity_id]), "source": rows[activity_id]["source"]}
        if item["activity_type"] == names.MCP_TOOL_CALL:
            response = rows.get(outline.responses.get(activity_id, ""))
            item["response"] = activity_document(response) if response is not None else None
            item["duration_ms"] = _took(rows[activity_id], response) if response is not None else None
        return item

    async def turns(self, conversation_id: str, after: tuple[datetime, str] | None, limit: int) -> ConversationTurns:
        """The flows of a conversation in the order they began. What still runs stands on the last page."""
        running = await self._flows.running_of_conversation(conversation_id)
        rows = await self._store.turns(conversation_id, self._visible, after, limit + 1)
        more, rows = len(rows) > limit, rows[:limit]
        live = {} if more else {flow.flow_id: live_summary(flow) for flow in running}
        seen = await self._flows.past(rows)
        stored = [self._flows.withheld.summary(row) for row in seen if row["flow_id"] not in live]
        summaries = stored + list(live.values())
        summaries.sort(key=lambda turn: (turn["started_at"] is None, turn["started_at"], turn["flow_id"]))
        return ConversationTurns(summaries, (rows[-1]["start_key"], rows[-1]["flow_id"]) if more else None)
