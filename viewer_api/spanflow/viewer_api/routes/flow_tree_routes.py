"""One flow, span by span."""

import asyncio
import logging
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.flows.flow_tree import Form, tree_of, written_tree
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.query_values import checked_id
from spanflow.viewer_api.http.responses import raw_json_response
from spanflow.viewer_api.http.worker_process import WorkerFailed
from spanflow.viewer_api.routes.one_flow import SETTLED, read_flow
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

log = logging.getLogger(__name__)

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
    viewer, flow_id = viewer_of(request), checked_id(flow_id)
    percentile = viewer.usual.percentile
    if not await is_large(viewer, principal, flow_id):
        flow, outlook = await read_flow(request, principal, flow_id)
        return raw_json_response(await asyncio.to_thread(lambda: tree_of(flow, outlook, percentile).json(form)))
    async with viewer.large_trees.place():
        packed = await flow_reader(viewer, principal).settled(flow_id)
        if packed is not None:
            await viewer.record_access(request, "flow_read", user_id=packed.flow.user_id, target=flow_id)
            outlook = SETTLED
        else:
            flow, outlook = await read_flow(request, principal, flow_id)
            packed = await asyncio.to_thread(PackedFlow.of, flow)
        # Nothing but these decides what a tree looks like.
        source = (packed, outlook, percentile, form)
        try:
            made = await viewer.large_trees.shared(source, lambda: viewer.worker.run(written_tree, *source))
        except WorkerFailed as why:
            log.warning("The tree of flow %s could not be made: %s", flow_id, why)
            raise Problem(503, "tree_not_made", "This large tree could not be made. Ask again.") from None
        return raw_json_response(made)


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
