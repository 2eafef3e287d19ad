"""One flow, span by span."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

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
#: Of trees with more spans one at a time is made: each takes a second of the interpreter and some hundred megabytes,
#: and others that ask meanwhile would wait as long.
LARGE_SPANS: Final = 1000
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
    stored = (await viewer.flows.states([flow_id], principal.visible)).get(flow_id)
    if stored is not None and (stored["span_count"] or 0) > LARGE_SPANS:
        async with viewer.large_trees.place():
            flow, outlook = await _read(request, principal, flow_id)
            if flow.open:
                return await _written(flow, outlook, write)
            # Nothing but the flow decides what its tree looks like.
            make = partial(asyncio.to_thread, lambda: write(tree_of(flow, outlook)))
            return raw_json_response(await viewer.large_trees.shared((flow, write), make))
    return await _written(*await _read(request, principal, flow_id), write)


async def _written(flow: Flow, outlook: Outlook, write: Callable[[FlowTree], bytes]) -> Response:
    return raw_json_response(await asyncio.to_thread(lambda: write(tree_of(flow, outlook))))


async def _read(request: Request, principal: Principal, flow_id: str) -> tuple[Flow, Outlook]:
    """The flow, after the look at it was written down, and what is known beside it."""
    viewer = viewer_of(request)
    flow = await flow_reader(viewer, principal).one(flow_id)
    if flow is None:
        await viewer.missed(request, "flow_read", flow_id)
        raise Problem(404, "flow_not_found", "There is no flow with this id.")
    await viewer.record_access(request, "flow_read", user_id=flow.user_id, target=flow_id)
    return flow, await _outlook(viewer, flow)


async def _outlook(viewer: Viewer, flow: Flow) -> Outlook:
    """What is known about open spans: the time, and which of their processes live."""
    if not flow.open:
        # What has not ended by then never will.
        return Outlook(alive=frozenset())
    now_ns = int(viewer.clock() * NS_PER_S)
    alive: set[str] | None
    try:
        alive = await viewer.redis_flows.alive(await asyncio.to_thread(open_processes, flow))
    except REDIS_ERRORS:
        alive = None
    return Outlook(now_ns=now_ns, alive=alive, usual_p95_ns=viewer.hub.surroundings.usual_p95_ns())
