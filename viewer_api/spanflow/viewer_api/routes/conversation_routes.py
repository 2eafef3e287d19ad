"""Conversations: the list, and one of them as it was said and as it was done."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.span_processors.tree.costs import total
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.conversations.activity_documents import conversation_document, seconds_between
from spanflow.viewer_api.conversations.conversation_query import conversation_query
from spanflow.viewer_api.conversations.conversation_reader import (
    ConversationReader,
    ConversationTurns,
    Outline,
    conversation_reader,
    place_of,
)
from spanflow.viewer_api.flows.flow_reader import flow_reader, withheld_from
from spanflow.viewer_api.http.paging import cursor_of, place_cursor, read_cursor, read_place
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.query_values import checked_flow_id, checked_id
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.store.conversations import ConversationStore
from spanflow.viewer_api.store.counts import counted
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.own_totals import own_totals
from spanflow.viewer_api.store.person import names_in
from spanflow.viewer_api.viewer import Needs, Viewer, principal_of, viewer_of

router = APIRouter(prefix="/api/v1", tags=["conversations"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
Limit = Annotated[int, Query(ge=1)]
Cursor = Annotated[str | None, Query(max_length=1024, description="The value of `next` from the page before.")]
Texts = Annotated[list[str] | None, Query(max_length=50)]
Number = Annotated[int | None, Query(ge=0, le=2**53)]
MAX_ROWS = 500
MAX_ITEMS = 1000
MAX_TURNS = 500
_NOTHING = {"count": 0, "first_activity_id": None, "first_sequence_num": None}


def _reader(request: Request) -> ConversationReader:
    return conversation_reader(viewer_of(request), principal_of(request))


Reader = Annotated[ConversationReader, Depends(_reader)]


@router.get("/conversations")
async def conversations(
    request: Request,
    principal: MayRead,
    user_id: Texts = None,
    user: Annotated[str | None, Query(max_length=200, description="Part of an e-mail address or a name.")] = None,
    since: Annotated[str | None, Query(max_length=64)] = None,
    until: Annotated[str | None, Query(max_length=64)] = None,
    mcp_server: Texts = None,
    tool: Texts = None,
    q: Annotated[str, Query(max_length=200, description="Words of the first message, in any language.")] = "",
    min_tool_calls: Number = None,
    min_tokens: Number = None,
    count: Annotated[str, Query(pattern="^(none|estimated|exact)$")] = "none",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Conversations with their totals, the one that began last first.

    A conversation counts when any moment of it lies in the time range, however long before it began.
    """
    viewer, limit, visible = viewer_of(request), min(limit, MAX_ROWS), principal.visible
    query = conversation_query(request.query_params, visible)
    filters, after = query.filters, query.place(cursor)
    for each in filters.user_ids or ():
        await viewer.must_see(request, "conversations_listed", each)
    await viewer.record_access(
        request, "conversations_listed", user_ids=filters.user_ids or (), searched=query.searched
    )
    withheld = withheld_from(viewer, principal)
    users = await viewer.users.meant(filters.user_ids, query.person, None, visible)
    filters = replace(filters, user_ids=users, silent=withheld.silent())
    store = ConversationStore(viewer.database)
    rows = await store.page(filters, after, limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    people = await viewer.users.names_of(row["user_id"] for row in rows)
    answer: dict[str, Any] = {
        "conversations": [
            conversation_document(withheld.conversation(row), people)
            for row in await own_totals(viewer.database, rows, visible)
        ],
        "next": query.cursor_after(rows[-1]) if more else None,
    }
    return json_response(answer | await counted(store, filters, query.listing.counting))


@router.get("/conversations/{conversation_id}")
async def conversation(
    request: Request,
    principal: MayRead,
    reader: Reader,
    conversation_id: str,
    at: Annotated[str | None, Query(max_length=128, description="Begin with this activity, or with this flow.")] = None,
    cursor: Cursor = None,
    limit: Limit = 200,
    turns_cursor: Annotated[
        str | None, Query(max_length=1024, description="The value of `turns_next` from the page before.")
    ] = None,
    turns_limit: Limit = 200,
) -> Response:
    """One conversation: what was said, a tool call together with its response, and the flows that were its turns."""
    viewer, conversation_id = viewer_of(request), checked_id(conversation_id)
    after, turns_after = read_place(cursor), read_cursor(turns_cursor)
    head = await reader.head(conversation_id)
    turns = await reader.turns(conversation_id, turns_after, min(turns_limit, MAX_TURNS))
    if head is None and not turns.summaries:
        await viewer.missed(request, "conversation_read", conversation_id)
        raise Problem(404, "conversation_not_found", "There is no conversation with this id.")
    user_id = head["user_id"] if head is not None else _first_owner(turns.summaries)
    outline = await reader.outline(conversation_id)
    first = outline.first_of(at) if at and after is None else outline.after(after)
    limit = min(limit, MAX_ITEMS)
    items = await reader.items(outline, first, limit)
    users = [user_id, *(_owner(each) for each in (*turns.summaries, *items))]
    await viewer.record_access_to(request, "conversation_read", users, target=conversation_id)
    rest = len(outline.rows) > first + limit
    activities_of = _told_by_flow(outline)
    return json_response(
        {
            **await _head(viewer, conversation_id, user_id, head, turns),
            "open": any(turn["open"] for turn in turns.summaries),
            "turns": [{**turn, "activities": activities_of.get(turn["flow_id"], _NOTHING)} for turn in turns.summaries],
            "turns_next": cursor_of(*turns.end) if turns.end is not None else None,
            "activities": items,
            "position": first,
            "next": place_cursor(*place_of(outline.rows[first + limit - 1])) if rest else None,
            "truncated": outline.truncated,
        }
    )


@router.get("/flows/{flow_id}/activities")
async def activities_of_flow(request: Request, principal: MayRead, reader: Reader, flow_id: str) -> Response:
    """What was said in one flow: the way from a flow and its spans (`node_id`) to the conversation."""
    viewer, flow_id = viewer_of(request), checked_flow_id(flow_id)
    outline = await reader.outline_of_flow(flow_id)
    items = await reader.items(outline, 0, MAX_ITEMS)
    if items:
        owner = _first_owner(items)
        conversation_id = items[0]["conversation_id"]
    else:
        flow = await flow_reader(viewer, principal).one(flow_id)
        if flow is None:
            await viewer.missed(request, "flow_read", flow_id)
            raise Problem(404, "flow_not_found", "There is no flow with this id.")
        owner, conversation_id = flow.user_id, shown_id(flow.conversation_id)
    await viewer.record_access(request, "flow_read", user_id=owner, target=flow_id)
    return json_response({"flow_id": flow_id, "conversation_id": conversation_id, "activities": items})


async def _head(
    viewer: Viewer, conversation_id: str, user_id: str | None, head: Row | None, turns: ConversationTurns
) -> dict[str, Any]:
    """Its totals. Of a conversation of which nothing was recorded but its flows, what these say."""
    people = await viewer.users.names_of([user_id])
    if head is not None:
        return conversation_document(head, people)
    starts = [turn["started_at"] for turn in turns.summaries if turn["started_at"] is not None]
    ends = [turn["completed_at"] for turn in turns.summaries if turn["completed_at"] is not None]
    first, last = min(starts, default=None), max([*starts, *ends], default=None)
    return {
        "conversation_id": shown_id(conversation_id),
        "user_id": shown_id(user_id),
        **names_in(people, user_id),
        "session_id": next((turn["session_id"] for turn in turns.summaries if turn["session_id"] is not None), None),
        "title": None,
        "started_at": first,
        "ended_at": last,
        "duration_seconds": seconds_between(first, last) if first is not None and last is not None else None,
        "total_activities": 0,
        "tool_calls": 0,
        "total_tokens": sum(turn["tokens_input"] + turn["tokens_output"] for turn in turns.summaries),
        "estimated_cost": total(turn["cost"] for turn in turns.summaries),
        "mcp_servers": sorted({server for turn in turns.summaries for server in turn["mcp_servers"]}),
    }


def _told_by_flow(outline: Outline) -> Mapping[str, dict[str, Any]]:
    """Which activities belong to each turn."""
    by_flow: dict[str, dict[str, Any]] = {}
    for row in outline.rows:
        of_flow = by_flow.setdefault(
            row["flow_id"],
            {"count": 0, "first_activity_id": row["activity_id"], "first_sequence_num": row["sequence_num"]},
        )
        of_flow["count"] += 2 if row["activity_id"] in outline.responses else 1
    return by_flow


def _first_owner(shown: Sequence[Mapping[str, Any]]) -> str | None:
    return next((owner for each in shown if (owner := _owner(each)) is not None), None)


def _owner(shown: Mapping[str, Any]) -> str | None:
    """Whose a turn or an activity is; what is shown may have a number there."""
    return None if shown["user_id"] is None else str(shown["user_id"])
