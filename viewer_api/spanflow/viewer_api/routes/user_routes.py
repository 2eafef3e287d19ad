"""People: finding them, and what there is to know about one of them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right, allowed
from spanflow.viewer_api.conversations.activity_documents import conversation_document
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.query_values import check_range, checked_id, parsed_time
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.legacy import shapes
from spanflow.viewer_api.legacy.prefix import is_legacy
from spanflow.viewer_api.monitoring.own_access import known_watch
from spanflow.viewer_api.monitoring.watch_documents import watch_documents
from spanflow.viewer_api.routes.known_parameters import only_known_parameters
from spanflow.viewer_api.store.conversations import ConversationFilters, ConversationStore
from spanflow.viewer_api.store.own_totals import own_totals
from spanflow.viewer_api.store.person import Person
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS
from spanflow.viewer_api.store.user_totals import UserTotals
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/api/v1", tags=["users"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
MAX_PEOPLE = 1000
#: Without a time range so much of the past is added up.
_USUAL_RANGE = timedelta(days=30)
_RECENT = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Said in the header of an answer that could not be given in full.
DEGRADED_HEADER = "X-Spanflow-Degraded"


@router.get("/monitoring/users")
async def users(
    request: Request,
    principal: MayRead,
    q: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """People by any part of their id, e-mail address or name, those who were here last first.

    Without `q` all users, for dashboards that fill a list of their own.
    """
    viewer = viewer_of(request)
    await viewer.record_access(request, "users_searched", searched={"q": q})
    most = limit or (50 if q.strip() else MAX_PEOPLE)
    people = await viewer.users.search(q, min(most, MAX_PEOPLE), principal.visible)
    shown_as = shapes.person if is_legacy(request) else Person.shown
    response = json_response({"users": [shown_as(person) for person in people]})
    if viewer.users.view_problem is not None:
        response.headers[DEGRADED_HEADER] = "users_view"
    return response


@router.get("/users/{user_id}", dependencies=[Depends(only_known_parameters)])
async def user(
    request: Request,
    principal: MayRead,
    user_id: str,
    since: Annotated[str | None, Query(max_length=64)] = None,
    until: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """One person: who they are, what runs now, what the flows of a time range add up to, and what was last.

    The range is the last 30 days unless it is said; a flow counts in it when it began there.
    """
    viewer, user_id = viewer_of(request), checked_id(user_id)
    await viewer.must_see(request, "user_read", user_id)
    end = parsed_time(until, "until", end=True) or datetime.fromtimestamp(viewer.clock(), UTC)
    begin = parsed_time(since, "since") or max(end, _EPOCH + _USUAL_RANGE) - _USUAL_RANGE
    check_range(begin, end, viewer.settings.viewer_max_range_days)
    await viewer.record_access(request, "user_read", user_id=user_id)
    store, conversations = UserTotals(viewer.database), ConversationStore(viewer.database)
    people, seen = await viewer.users.names_of([user_id]), await viewer.users.seen(user_id)
    reader = flow_reader(viewer, principal)
    flows = await reader.past(await store.recent_flows(user_id, _RECENT))
    talks = await conversations.page(ConversationFilters(user_ids=(user_id,)), None, _RECENT)
    talks = await own_totals(viewer.database, talks, principal.visible)
    running, watch = await _running(viewer, user_id), known_watch(principal, viewer.watching, user_id)
    if not (people or seen or flows or talks or running or watch):
        raise Problem(404, "user_not_found", "No user with this id has been seen.")
    person = people.get(user_id) or Person(user_id)
    answer: dict[str, Any] = {
        "user_id": shown_id(user_id),
        **person.names(),
        "team": person.team,
        "first_seen": seen[0] if seen else None,
        "last_seen": seen[1] if seen else None,
        "running_flows": running,
        "since": begin,
        "until": end,
        "totals": await store.totals(user_id, begin, end),
        "recent_flows": [reader.withheld.summary(row) for row in flows],
        "recent_sessions": [
            {**dict(row), "session_id": shown_id(row["session_id"])}
            for row in await store.recent_sessions(user_id, _RECENT)
        ],
        "recent_conversations": [conversation_document(reader.withheld.conversation(row), people) for row in talks],
    }
    if allowed(principal, Right.MONITOR):
        # Who is watched need not know it.
        shown = await watch_documents(viewer.users, [watch], viewer.clock()) if watch else [None]
        answer["watch"] = shown[0]
    return json_response(answer)


async def _running(viewer: Viewer, user_id: str) -> int | None:
    """How many of their flows run; None while Redis does not say."""
    try:
        return len(await viewer.redis_flows.open_of_user(user_id))
    except REDIS_ERRORS:
        return None
