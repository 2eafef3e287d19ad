"""One flow, span by span."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanflow.span_processors.tree.tree import Outlook
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.flows.flow_tree import FlowTree, tree_of
from spanflow.viewer_api.http.responses import raw_json_response
from spanflow.viewer_api.routes.one_flow import read_flow
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
            flow, outlook = await read_flow(request, principal, flow_id)
            if flow.open:
                return await _written(viewer, flow, outlook, write)
            # Nothing but the flow decides what its tree looks like.
            make = partial(asyncio.to_thread, lambda: write(tree_of(flow, outlook, viewer.usual.percentile)))
            return raw_json_response(await viewer.large_trees.shared((flow, write), make))
    return await _written(viewer, *await read_flow(request, principal, flow_id), write)


async def _written(viewer: Viewer, flow: Flow, outlook: Outlook, write: Callable[[FlowTree], bytes]) -> Response:
    percentile = viewer.usual.percentile
    return raw_json_response(await asyncio.to_thread(lambda: write(tree_of(flow, outlook, percentile))))
