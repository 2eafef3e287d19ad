"""Jaeger's query API, as its page and Grafana ask it: `/api/traces` and `/api/v3`, at the root and below `/jaeger`.

Shapes and texts are Jaeger's; who may see what is ours. Not in the OpenAPI document, because errors have Jaeger's form.
"""

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.jaeger.span_query import BadQuery, SpanQuery, query_v1, query_v3
from spanflow.viewer_api.jaeger.trace_finder import TraceFinder
from spanflow.viewer_api.jaeger.trace_ids import BadTraceId, flow_id_of, shown_trace_id
from spanflow.viewer_api.jaeger.written_traces import (
    NOT_FOUND,
    matching_spans,
    missing,
    written_list_v1,
    written_summaries_v3,
    written_v1,
    written_v3,
)
from spanflow.viewer_api.routes.jaeger_answers import answer_raw, is_pretty, refused_v1, refused_v3
from spanflow.viewer_api.routes.large_answers import answer_of
from spanflow.viewer_api.routes.one_flow import read_packed
from spanflow.viewer_api.store.flows import MAX_ANSWER_BYTES
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(include_in_schema=False)
below_prefix = APIRouter(prefix="/jaeger", include_in_schema=False)
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
#: Traces that are asked for by id in one request.
_MOST_IDS: Final = 100
_TOO_MANY: Final = "the traces before it are too large; request it alone"
_NONE_FOUND: Final = "No traces found"


async def search_v1(request: Request, principal: MayRead) -> Response:
    params = request.query_params
    now_ns = _now_ns(viewer_of(request))
    try:
        if ids := params.getlist("traceID"):
            flows, errors = await _by_ids(request, principal, ids[:_MOST_IDS])
        else:
            flows, errors = await _search(request, principal, query_v1(params, now_ns)), []
        body = await answer_of(viewer_of(request), written_list_v1, flows, errors, now_ns, is_pretty(request))
    except (BadQuery, BadTraceId) as why:
        return refused_v1(400, str(why), request)
    except Problem as why:
        return refused_v1(why.status_code, str(why.detail), request)
    return answer_raw(body)


async def trace_by_id_v1(request: Request, principal: MayRead, trace_id: str) -> Response:
    viewer = viewer_of(request)
    try:
        packed, _ = await read_packed(request, principal, flow_id_of(trace_id))
        body = await answer_of(viewer, written_v1, [packed], _now_ns(viewer), is_pretty(request))
    except BadTraceId as why:
        return refused_v1(400, str(why), request)
    except Problem as why:
        return refused_v1(why.status_code, NOT_FOUND if why.status_code == 404 else str(why.detail), request)
    return answer_raw(body) if body else refused_v1(404, NOT_FOUND, request)


async def search_v3(request: Request, principal: MayRead) -> Response:
    try:
        flows = await _search(request, principal, query_v3(request.query_params))
        body = await answer_of(viewer_of(request), written_v3, flows)
    except BadQuery as why:
        return refused_v3(400, str(why))
    except Problem as why:
        return refused_v3(why.status_code, str(why.detail))
    return answer_raw(body) if body else refused_v3(404, _NONE_FOUND)


async def summaries_v3(request: Request, principal: MayRead) -> Response:
    viewer = viewer_of(request)
    try:
        flows = await _search(request, principal, query_v3(request.query_params))
        body = await answer_of(viewer, written_summaries_v3, flows, _now_ns(viewer))
    except BadQuery as why:
        return refused_v3(400, str(why))
    except Problem as why:
        return refused_v3(why.status_code, str(why.detail))
    return answer_raw(body)


async def trace_by_id_v3(request: Request, principal: MayRead, trace_id: str) -> Response:
    try:
        packed, _ = await read_packed(request, principal, flow_id_of(trace_id))
        body = await answer_of(viewer_of(request), written_v3, [packed])
    except BadTraceId as why:
        return refused_v3(400, f"malformed parameter trace_id: {why}")
    except Problem as why:
        return refused_v3(why.status_code, _NONE_FOUND if why.status_code == 404 else str(why.detail))
    return answer_raw(body) if body else refused_v3(404, _NONE_FOUND)


for _router in (router, below_prefix):
    _router.get("/api/traces")(search_v1)
    _router.get("/api/traces/{trace_id}")(trace_by_id_v1)
    _router.get("/api/v3/traces")(search_v3)
    _router.get("/api/v3/traces/{trace_id}")(trace_by_id_v3)
    _router.get("/api/v3/trace-summaries")(summaries_v3)


async def _search(request: Request, principal: Principal, query: SpanQuery) -> list[PackedFlow]:
    viewer = viewer_of(request)
    searched: dict[str, Any] = {"service": query.service, "operation": query.operation}
    searched["tags"] = [f"{key}={value}" for key, value in sorted(query.tags.items())]
    await viewer.record_access(request, "flows_listed", searched=searched)
    now_ns = _now_ns(viewer)

    def match(flows: Sequence[PackedFlow]) -> Awaitable[bytes]:
        return answer_of(viewer, matching_spans, flows, query, now_ns)

    return await TraceFinder(viewer, principal, match).search(query, now_ns)


async def _by_ids(
    request: Request, principal: Principal, ids: list[str]
) -> tuple[list[PackedFlow], list[dict[str, Any]]]:
    """The traces found, and an error for each that is missing or does not fit into one answer."""
    viewer = viewer_of(request)
    reader = flow_reader(viewer, principal)
    flows: list[PackedFlow] = []
    errors: list[dict[str, Any]] = []
    gone: list[str] = []
    size = 0
    flow_ids = list(dict.fromkeys(map(flow_id_of, ids)))
    async for flow_id, packed in reader.packed_each(flow_ids):
        if packed is None:
            errors.append(missing(flow_id))
            gone.append(flow_id)
            continue
        await viewer.record_access(request, "flow_read", user_id=packed.flow.user_id, target=flow_id)
        flows.append(packed)
        size += len(packed.text)
        if size >= MAX_ANSWER_BYTES:
            left = flow_ids[flow_ids.index(flow_id) + 1 :]
            errors += [{"msg": _TOO_MANY, "traceID": shown_trace_id(each)} for each in left]
            break
    if gone:
        # One audit entry per request, which may name a hundred.
        await viewer.missed(request, "flow_read", gone[0])
    return flows, errors


def _now_ns(viewer: Viewer) -> int:
    return int(viewer.clock() * 1e9)
