"""First words of what was asked in flows and what was answered, for the rows of a list that are in view."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.flows.previews import previews_of
from spanflow.viewer_api.http.problems import invalid_request
from spanflow.viewer_api.http.query_values import checked_flow_id
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.routes.known_parameters import only_known_parameters
from spanflow.viewer_api.store.flow_previews import FlowPreviewStore
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
MAX_FLOWS = 50


@router.get("/flows/previews", dependencies=[Depends(only_known_parameters)])
async def previews(
    request: Request,
    principal: MayRead,
    flow_id: Annotated[list[str] | None, Query(description=f"Up to {MAX_FLOWS} flows.")] = None,
) -> Response:
    """The first words of what was asked in each of these flows, and of the last answer.

    A flow that is not there, or may not be seen, is missing in the answer. `question` and `answer` are null when
    nothing of the kind was recorded, and while their user is watched without contents.
    """
    viewer = viewer_of(request)
    wanted = list(dict.fromkeys(checked_flow_id(each) for each in flow_id or () if each))
    if len(wanted) > MAX_FLOWS:
        raise invalid_request(f"flow_id: at most {MAX_FLOWS} flows.")
    store = FlowPreviewStore(viewer.database, principal.visible)
    by_id = await previews_of(wanted, store, flow_reader(viewer, principal))
    missing = next((each for each in wanted if each not in by_id), None)
    if missing is not None:
        await viewer.missed(request, "flows_previewed", missing)
    if by_id:
        owners = dict.fromkeys(each.user_id for each in by_id.values() if each.user_id is not None)
        await viewer.record_access(request, "flows_previewed", user_ids=owners)
    shown: list[dict[str, Any]] = [
        {"flow_id": each, "question": by_id[each].question, "answer": by_id[each].answer}
        for each in wanted
        if each in by_id
    ]
    return json_response({"previews": shown})
