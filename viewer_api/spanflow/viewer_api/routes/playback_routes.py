"""The past, played again."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.analysis.playback import written_playback
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_query import flow_query
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.http.problems import Problem, invalid_request
from spanflow.viewer_api.http.query_values import checked_id, whole_flow_id
from spanflow.viewer_api.http.responses import raw_json_response
from spanflow.viewer_api.routes.flow_selection import selected
from spanflow.viewer_api.routes.known_parameters import only_known_parameters
from spanflow.viewer_api.routes.large_answers import answer_of
from spanflow.viewer_api.routes.one_flow import read_packed
from spanflow.viewer_api.store.search_plan import SearchPlan
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
Id = Annotated[str | None, Query()]
#: Flows, and bytes of documents, that are played at once.
MAX_FLOWS: Final = 200
_MAX_BYTES: Final = 32 * 1024 * 1024
_MAX_MESSAGES: Final = 5_000


@router.get(
    "/playback",
    dependencies=[Depends(only_known_parameters)],
    responses={409: {"description": "A further page of what has changed meanwhile."}},
)
async def playback(
    request: Request,
    principal: MayRead,
    flow_id: Id = None,
    conversation_id: Id = None,
    user_id: Id = None,
    since: Id = None,
    until: Id = None,
    first: Annotated[int, Query(ge=0, description="The number of the first message: `next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1)] = 1000,
    recording: Annotated[
        str | None, Query(description="`recording` of the first page; 409 if its messages are others by now.")
    ] = None,
) -> Response:
    """A flow, a conversation, or what one user did in a time range, as the messages that the live socket sends.

    Each has its moment in milliseconds after the first one; the client plays them. What still runs is played as far as
    it is known, of a flow; of users and conversations, what is stored is played.
    """
    given = {"flow_id": flow_id, "conversation_id": conversation_id, "user_id": user_id}
    named = [(name, checked_id(value)) for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise invalid_request("Name one flow_id, conversation_id or user_id.")
    ((name, value),) = named
    if name == "flow_id":
        value = whole_flow_id(value)
        if since is not None or until is not None:
            raise invalid_request("since, until: a flow is played as a whole.")
        packed, _ = await read_packed(request, principal, value, "playback_read")
        flows = [packed]
    else:
        times = [(key, text) for key, text in (("since", since), ("until", until)) if text is not None]
        flows = await _flows(request, principal, QueryParams([(name, value), *times]))
    topic: dict[str, Any] = {name: shown_id(value)} if name != "flow_id" else {"flow_id": value}
    most = min(limit, _MAX_MESSAGES)

    arguments = (topic, first, most, recording)
    written = await answer_of(viewer_of(request), written_playback, flows, *arguments)
    if not written:
        raise Problem(409, "playback_changed", "What is played has changed meanwhile: begin with the first page again.")
    return raw_json_response(written)


async def _flows(request: Request, principal: Principal, asked: QueryParams) -> list[PackedFlow]:
    viewer = viewer_of(request)
    filters = await selected(request, "playback_read", flow_query(asked, principal))
    page = await viewer.flows.search.page(SearchPlan.of(filters), None, MAX_FLOWS + 1)
    if len(page.rows) > MAX_FLOWS or page.searched_until is not None:
        raise invalid_request(f"since, until: there are more than {MAX_FLOWS} flows; ask for a shorter time.")
    reader = flow_reader(viewer, principal)
    rows = await reader.past(page.rows)
    places = [(row["start_key"], row["flow_id"]) for row in reversed(rows)]
    stored = await viewer.flows.whole(places, _MAX_BYTES) if places else []
    if len(stored) < len(places):
        raise invalid_request("since, until: these flows are too large to be played together; ask for a shorter time.")
    return await reader.packed_past(stored)
