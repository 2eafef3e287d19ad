"""People: finding them, and what there is to know about one of them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.responses import json_response
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(prefix="/api/v1", tags=["users"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
MAX_PEOPLE = 1000
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

    Without `q` everybody, as dashboards ask that fill a list of their own.
    """
    viewer = viewer_of(request)
    await viewer.look(request, "users_searched")
    most = limit or (50 if q.strip() else MAX_PEOPLE)
    found = await viewer.users.search(q, min(most, MAX_PEOPLE), principal.visible)
    response = json_response({"users": [person.shown() for person in found]})
    if viewer.users.view_problem is not None:
        response.headers[DEGRADED_HEADER] = "users_view"
    return response
