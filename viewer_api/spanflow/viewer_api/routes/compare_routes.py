"""Two flows beside each other, and two groups of flows."""

import asyncio
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from spanflow.viewer_api.analysis.comparison import written_comparison
from spanflow.viewer_api.analysis.differences import Group, differences
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.flow_query import FlowQuery, flow_query
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.http.problems import invalid_request
from spanflow.viewer_api.http.query_values import checked_flow_id
from spanflow.viewer_api.http.responses import json_response, raw_json_response
from spanflow.viewer_api.routes.flow_selection import record_search, searchable
from spanflow.viewer_api.routes.large_answers import answer_of
from spanflow.viewer_api.routes.one_flow import read_packed
from spanflow.viewer_api.store.flow_sample import FlowSampler
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]


@router.get("/flows/compare", responses={404: {"description": "One of the flows is not there, or may not be seen."}})
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
    a, b = checked_flow_id(a), checked_flow_id(b)
    viewer = viewer_of(request)
    one, one_outlook = await read_packed(request, principal, a, "flow_compared")
    other, other_outlook = await read_packed(request, principal, b, "flow_compared")
    return raw_json_response(await answer_of(viewer, written_comparison, [one, other], (one_outlook, other_outlook)))


@router.get("/flows/differences")
async def flow_differences(request: Request, principal: MayRead) -> Response:
    """What is different about some flows: how often each value occurs in two groups, the greatest difference first.

    Each group is given by the filters of `/flows`, with `a.` or `b.` before their names; filters without it hold for
    both. Up to 5,000 flows of each group are looked at. Each answer has the filter that finds such flows.
    """
    viewer = viewer_of(request)
    one, other = (_group(request.query_params, name, principal) for name in ("a", "b"))
    await record_search(request, "flows_compared", (one.query, other.query))
    sampler, reader = FlowSampler(viewer.database), flow_reader(viewer, principal)

    async def group(asked: _Asked) -> Group:
        sample = await sampler.sample(await searchable(viewer, principal, asked.query, asked.query.filters))
        return Group(await reader.past(sample.rows), asked.own, sample.complete)

    groups = await asyncio.gather(group(one), group(other))
    return await asyncio.to_thread(lambda: json_response(differences(*groups)))


@dataclass(frozen=True, slots=True)
class _Asked:
    query: FlowQuery
    #: Names of the filters that are not the other group's.
    own: frozenset[str]


def _group(params: QueryParams, group: str, principal: Principal) -> _Asked:
    """The filters of one group. How those of the other one are called, `flow_query` says of the other."""
    prefix, foreign = f"{group}.", "b." if group == "a" else "a."
    pairs = [(name, value) for name, value in params.multi_items() if not name.startswith(foreign)]
    own = frozenset(name.removeprefix(prefix) for name, _ in pairs if name.startswith(prefix))
    for name in ("cursor", "limit", "sort", "count"):
        if any(each.removeprefix(prefix) == name for each, _ in pairs):
            raise invalid_request(f"{name}: this is for lists.")
    query = flow_query(QueryParams([(name.removeprefix(prefix), value) for name, value in pairs]), principal)
    searched = {prefix + name if name in own else name: value for name, value in query.searched.items()}
    return _Asked(replace(query, searched=searched), own)
