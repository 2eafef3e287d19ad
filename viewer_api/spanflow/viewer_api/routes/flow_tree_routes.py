"""One flow, span by span."""

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanflow.span_processors.tree.tree import NS_PER_S, Outlook
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.flows.flow_tree import FlowTree, open_processes, tree_of
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.responses import raw_json_response
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS
from spanflow.viewer_api.viewer import Needs, Viewer, checked_id, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]


@router.get("/flows/{flow_id}/tree")
async def flow_tree(request: Request, principal: MayRead, flow_id: str) -> Response:
    """One flow as a tree of its spans, with states, times and sums.

    `critical_path` names the spans without which the flow would have been shorter.
    """
    return await _shown(request, principal, flow_id, FlowTree.nested_json)


@router.get("/flows/{flow_id}/flat")
async def flat_flow(request: Request, principal: MayRead, flow_id: str) -> Response:
    """The spans of one flow as a flat list in reading order. Each says its depth."""
    return await _shown(request, principal, flow_id, FlowTree.flat_json)


async def _shown(request: Request, principal: Principal, flow_id: str, write: Callable[[FlowTree], bytes]) -> Response:
    viewer, flow_id = viewer_of(request), checked_id(flow_id)
    flow = await flow_reader(viewer, principal).one(flow_id)
    if flow is None:
        await viewer.missed(request, "flow_read", flow_id)
        raise Problem(404, "flow_not_found", "There is no flow with this id.")
    await viewer.record_access(request, "flow_read", user_id=flow.user_id, target=flow_id)
    outlook = await _outlook(viewer, flow)
    return raw_json_response(await asyncio.to_thread(lambda: write(tree_of(flow, outlook))))


async def _outlook(viewer: Viewer, flow: Flow) -> Outlook:
    """What is known about open spans: the time, and which of their processes live."""
    if not flow.open:
        # What has not ended by then never will.
        return Outlook(alive=frozenset())
    now_ns = int(viewer.clock() * NS_PER_S)
    alive: set[str] | None
    try:
        alive = await viewer.redis_flows.alive(open_processes(flow))
    except REDIS_ERRORS:
        alive = None
    return Outlook(now_ns=now_ns, alive=alive, usual_p95_ns=viewer.hub.surroundings.usual_p95_ns())
