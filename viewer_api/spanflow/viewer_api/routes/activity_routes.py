"""Conversations and what people saw in them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.span_processors.tree.costs import shown_cost
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.conversations.activity_documents import activity_document, conversation_document
from spanflow.viewer_api.conversations.activity_order import in_order
from spanflow.viewer_api.flows.flow_reader import withheld_from
from spanflow.viewer_api.http.paging import cursor_of, read_cursor
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.query_values import checked_id, filter_text, parsed_time
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.legacy import shapes
from spanflow.viewer_api.legacy.prefix import is_legacy
from spanflow.viewer_api.store.activities import Period
from spanflow.viewer_api.store.conversations import ConversationStore
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.person import Person
from spanflow.viewer_api.viewer import Needs, Viewer, principal_of, viewer_of

router = APIRouter(prefix="/api/v1/activities", tags=["activities"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
Limit = Annotated[int, Query(ge=1)]
Text = Annotated[str | None, Query(max_length=128)]
MAX_ROWS = 500
MAX_ACTIVITIES = 10_000


@router.get("/conversations")
async def conversations(
    request: Request,
    principal: MayRead,
    user_id: Text = None,
    date_from: Text = None,
    date_to: Text = None,
    mcp_server: Text = None,
    limit: Limit = 50,
) -> Response:
    """Conversations that have a part in the period, the latest first."""
    viewer = viewer_of(request)
    user = checked_id(user_id) if user_id else None
    server = filter_text(mcp_server)
    await viewer.must_see(request, "conversations_listed", user)
    searched = {"date_from": date_from, "date_to": date_to, "mcp_server": server}
    await viewer.record_access(request, "conversations_listed", user_id=user, searched=searched)
    rows = await ConversationStore(viewer.database).last_ended(
        user, _period(date_from, date_to), server, min(limit, MAX_ROWS), principal.visible
    )
    people = await viewer.users.names_of(row["user_id"] for row in rows)
    withheld = withheld_from(viewer, principal)
    shown = [_conversation(withheld.conversation(row), people) for row in rows]
    if is_legacy(request):
        return json_response(await _legacy_list(viewer, principal, rows, shown))
    return json_response({"conversations": shown})


@router.get("/conversation/{conversation_id}")
async def conversation(request: Request, principal: MayRead, conversation_id: str) -> Response:
    """One conversation with all its activities in order."""
    viewer = viewer_of(request)
    conversation_id = checked_id(conversation_id)
    row = await ConversationStore(viewer.database).one(conversation_id, principal.visible)
    if row is None:
        await viewer.missed(request, "conversation_read", conversation_id)
        if is_legacy(request):
            return json_response(shapes.conversation_not_found(conversation_id))
        raise Problem(404, "conversation_not_found", "There is no conversation with this id.")
    activities = in_order(await viewer.activities.of_conversation(conversation_id, MAX_ACTIVITIES, principal.visible))
    users = [row["user_id"], *(activity["user_id"] for activity in activities)]
    await viewer.record_access_to(request, "conversation_read", users, target=conversation_id)
    row = withheld_from(viewer, principal).conversation(row)
    summary = _conversation(row, await viewer.users.names_of([row["user_id"]]))
    del summary["first_message"]
    shown = [_activity(request, activity) for activity in activities]
    if is_legacy(request):
        summary = shapes.whole_conversation(summary, shown_cost(row["cost"]))
    else:
        summary["estimated_cost"] = shown_cost(row["cost"])
    return json_response({**summary, "activities": shown})


@router.get("/user/{user_id}")
async def activities_of_user(
    request: Request,
    principal: MayRead,
    user_id: str,
    date_from: Text = None,
    date_to: Text = None,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Limit = 100,
) -> Response:
    """A user's activities, newest first."""
    viewer = viewer_of(request)
    user_id = checked_id(user_id)
    limit = min(limit, MAX_ROWS)
    await viewer.must_see(request, "activities_read", user_id)
    await viewer.record_access(request, "activities_read", user_id=user_id)
    rows = await viewer.activities.of_user(user_id, _period(date_from, date_to), read_cursor(cursor), limit)
    more = cursor_of(rows[-1]["created_at"], rows[-1]["activity_id"]) if len(rows) == limit else None
    return json_response(
        {"user_id": shown_id(user_id), "activities": [_activity(request, row) for row in rows], "next": more}
    )


@router.get("/{activity_id}/details")
async def activity(request: Request, principal: MayRead, activity_id: str) -> Response:
    """One activity, with all that was recorded of it."""
    viewer = viewer_of(request)
    activity_id = checked_id(activity_id)
    row = await viewer.activities.one(activity_id, principal.visible)
    if row is None:
        await viewer.missed(request, "activity_read", activity_id)
        raise Problem(404, "activity_not_found", "There is no activity with this id.")
    await viewer.record_access(request, "activity_read", user_id=row["user_id"], target=row["activity_id"])
    return json_response(_activity(request, row))


def _activity(request: Request, row: Row) -> dict[str, Any]:
    row = withheld_from(viewer_of(request), principal_of(request)).activity(row)
    document = activity_document(row)
    return shapes.activity(document, row) if is_legacy(request) else document


async def _legacy_list(
    viewer: Viewer, principal: Principal, rows: Sequence[Row], found: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The one that began last first."""
    ids = [row["conversation_id"] for row in rows]
    times = await ConversationStore(viewer.database).average_times(ids, principal.visible)
    shown = [
        shapes.conversation(document, times.get(row["conversation_id"]))
        for row, document in zip(rows, found, strict=True)
    ]
    shown.sort(key=lambda document: document["started_at"], reverse=True)
    return {"conversations": shown, "total": len(shown)}


def _period(date_from: str | None, date_to: str | None) -> Period:
    return Period(parsed_time(date_from, "date_from"), parsed_time(date_to, "date_to", end=True))


def _conversation(row: Row, people: Mapping[str, Person]) -> dict[str, Any]:
    """As existing dashboards read it."""
    shown = conversation_document(row, people)
    first_message = shown.pop("title")
    del shown["session_id"], shown["estimated_cost"]
    return {**shown, "first_message": first_message}
