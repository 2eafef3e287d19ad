"""Two flows beside each other."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.viewer_api.analysis.comparison import compare
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.flow_tree import tree_of
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.routes.one_flow import read_flow
from spanflow.viewer_api.viewer import Needs, checked_id, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]


@router.get("/flows/compare")
async def compared_flows(
    request: Request,
    principal: MayRead,
    a: Annotated[str, Query(description="Id of the flow that the other one is measured against.")],
    b: Annotated[str, Query(description="Id of the other flow.")],
) -> Response:
    """Two flows, running or past, step by step.

    Differences are positive where `b` took longer. A call that several processes tell of is one step, and five or more
    equal steps in a row are compared as a whole.
    """
    a, b = checked_id(a), checked_id(b)
    # Two large flows take as much of the interpreter as a large tree does.
    async with viewer_of(request).large_trees.place():
        one = await read_flow(request, principal, a, "flow_compared")
        other = await read_flow(request, principal, b, "flow_compared")
        return await asyncio.to_thread(lambda: json_response(compare(tree_of(*one), tree_of(*other))))
