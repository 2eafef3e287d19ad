"""One flow, span by span."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.flow_tree import Form, tree_of, written_tree
from spanflow.viewer_api.http.query_values import checked_flow_id
from spanflow.viewer_api.http.responses import raw_json_response
from spanflow.viewer_api.routes.large_answers import in_worker
from spanflow.viewer_api.routes.one_flow import read_flow, read_packed
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
#: Trees with more spans (or entries in Redis) are made one at a time, in a process of its own: each takes a second of
#: an interpreter and some hundred megabytes, and concurrent requests would wait as long.
LARGE_SPANS: Final = 1000
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]


@router.get("/flows/{flow_id}/tree")
async def flow_tree(request: Request, principal: MayRead, flow_id: str) -> Response:
    """One flow as a tree of its spans, with states, times and sums.

    `critical_path` names the spans without which the flow would have been shorter.
    """
    return await _shown(request, principal, flow_id, "nested")


@router.get("/flows/{flow_id}/flat")
async def flat_flow(request: Request, principal: MayRead, flow_id: str) -> Response:
    """The spans of one flow as a flat list in reading order. Each says its depth."""
    return await _shown(request, principal, flow_id, "flat")


async def _shown(request: Request, principal: Principal, flow_id: str, form: Form) -> Response:
    viewer, flow_id = viewer_of(request), checked_flow_id(flow_id)
    percentile = viewer.usual.percentile
    if not await is_large(viewer, principal, flow_id):
        flow, outlook = await read_flow(request, principal, flow_id)
        return raw_json_response(await asyncio.to_thread(lambda: tree_of(flow, outlook, percentile).json(form)))
    async with viewer.large_trees.place():
        packed, outlook = await read_packed(request, principal, flow_id)
        # Nothing but these decides what a tree looks like.
        return raw_json_response(await in_worker(viewer, written_tree, packed, outlook, percentile, form))


async def is_large(viewer: Viewer, principal: Principal, flow_id: str) -> bool:
    """Also of a flow that is not stored yet, or only in part. What they may not see is like what is not there: not
    large, so that a missing flow is reported without waiting for the place of large trees."""
    stored = (await viewer.flows.states([flow_id], principal.visible)).get(flow_id)
    if stored is not None and (stored["span_count"] or 0) > LARGE_SPANS:
        return True
    try:
        if not await viewer.redis_flows.visible_among([flow_id], principal.visible):
            return False
        return await viewer.redis_flows.length(flow_id) > LARGE_SPANS
    except REDIS_ERRORS:
        return False
