"""One flow for a route that shows it: found, written down, and with what is known beside it."""

import asyncio
from typing import Final

from fastapi import Request

from spanflow.span_processors.tree.tree import NS_PER_S, Outlook
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.flows.documents import Flow, PackedFlow
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.flows.flow_tree import open_processes
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS
from spanflow.viewer_api.viewer import Viewer, viewer_of

#: What has not ended in a flow that is over never will.
SETTLED: Final = Outlook(alive=frozenset())


async def read_flow(
    request: Request, principal: Principal, flow_id: str, action: str = "flow_read"
) -> tuple[Flow, Outlook]:
    """The flow, after the look at it was written down, and what is known beside it."""
    viewer = viewer_of(request)
    flow = await flow_reader(viewer, principal).one(flow_id)
    if flow is None:
        await viewer.missed(request, action, flow_id)
        raise Problem(404, "flow_not_found", "There is no flow with this id.")
    await viewer.record_access(request, action, user_id=flow.user_id, target=flow_id)
    return flow, await _outlook(viewer, flow)


async def read_packed(
    request: Request, principal: Principal, flow_id: str, action: str = "flow_read"
) -> tuple[PackedFlow, Outlook]:
    """The same, taken apart only where it still runs."""
    viewer = viewer_of(request)
    packed = await flow_reader(viewer, principal).settled(flow_id)
    if packed is None:
        flow, outlook = await read_flow(request, principal, flow_id, action)
        return await asyncio.to_thread(PackedFlow.of, flow), outlook
    await viewer.record_access(request, action, user_id=packed.flow.user_id, target=flow_id)
    return packed, SETTLED


async def _outlook(viewer: Viewer, flow: Flow) -> Outlook:
    """What is known about open spans: the time, and which of their processes live."""
    if not flow.open:
        return SETTLED
    now_ns = int(viewer.clock() * NS_PER_S)
    alive: set[str] | None
    try:
        alive = await viewer.redis_flows.alive(await asyncio.to_thread(open_processes, flow))
    except REDIS_ERRORS:
        alive = None
    return Outlook(now_ns=now_ns, alive=alive, usual_p95_ns=viewer.hub.feed_context.usual_p95_ns())
