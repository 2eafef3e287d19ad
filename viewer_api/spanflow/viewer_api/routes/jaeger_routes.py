"""Jaeger's query API, as its page and Grafana ask it: `/api/traces` and `/api/v3`, at the root and below `/jaeger`.

Shapes and texts are Jaeger's; who may see what is ours. Not in the OpenAPI document, because errors have Jaeger's form.
"""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanflow.span_processors.otlp.otlp_writer import resource_spans
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.jaeger.span_query import BadQuery, SpanQuery, query_v1, query_v3
from spanflow.viewer_api.jaeger.summaries import summary_v3
from spanflow.viewer_api.jaeger.trace_finder import MOST_SPANS, TraceFinder
from spanflow.viewer_api.jaeger.trace_ids import BadTraceId, flow_id_of
from spanflow.viewer_api.jaeger.v1_json import trace_v1
from spanflow.viewer_api.jaeger.written_trace import written_v1, written_v3
from spanflow.viewer_api.routes.jaeger_answers import (
    answer_json,
    answer_raw,
    answered_v1,
    is_pretty,
    refused_v1,
    refused_v3,
)
from spanflow.viewer_api.routes.large_answers import answer_of
from spanflow.viewer_api.routes.one_flow import read_packed
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(include_in_schema=False)
below_prefix = APIRouter(prefix="/jaeger", include_in_schema=False)
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
#: Traces that are asked for by id in one request.
_MOST_IDS: Final = 100
_NOT_FOUND: Final = "trace not found"
_TOO_MANY: Final = "the traces before it have too many spans; request it alone"
_NONE_FOUND: Final = "No traces found"


async def search_v1(request: Request, principal: MayRead) -> Response:
    params = request.query_params
    viewer = viewer_of(request)
    now_ns = _now_ns(viewer)
    if ids := params.getlist("traceID"):
        return await _by_ids(request, principal, ids[:_MOST_IDS])
    try:
        traces = await _search(request, principal, query_v1(params, now_ns))
    except BadQuery as why:
        return refused_v1(400, str(why), request)
    except Problem as why:
        return refused_v1(why.status_code, str(why.detail), request)
    return await answered_v1(request, lambda: [_v1(trace, now_ns) for trace in traces])


async def trace_by_id_v1(request: Request, principal: MayRead, trace_id: str) -> Response:
    viewer = viewer_of(request)
    try:
        packed, _ = await read_packed(request, principal, flow_id_of(trace_id))
        body = await answer_of(viewer, written_v1, [packed], _now_ns(viewer), is_pretty(request))
    except BadTraceId as why:
        return refused_v1(400, str(why), request)
    except Problem as why:
        return refused_v1(why.status_code, _NOT_FOUND if why.status_code == 404 else str(why.detail), request)
    return answer_raw(body) if body else refused_v1(404, _NOT_FOUND, request)


async def search_v3(request: Request, principal: MayRead) -> Response:
    try:
        traces = await _search(request, principal, query_v3(request.query_params))
    except BadQuery as why:
        return refused_v3(400, str(why))
    except Problem as why:
        return refused_v3(why.status_code, str(why.detail))
    return await _answered_v3(traces)


async def summaries_v3(request: Request, principal: MayRead) -> Response:
    now_ns = _now_ns(viewer_of(request))
    try:
        traces = await _search(request, principal, query_v3(request.query_params))
    except BadQuery as why:
        return refused_v3(400, str(why))
    except Problem as why:
        return refused_v3(why.status_code, str(why.detail))
    return await asyncio.to_thread(lambda: answer_json({"summaries": [summary_v3(trace, now_ns) for trace in traces]}))


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


async def _search(request: Request, principal: Principal, query: SpanQuery) -> list[Flow]:
    viewer = viewer_of(request)
    searched: dict[str, Any] = {"service": query.service, "operation": query.operation}
    searched["tags"] = [f"{key}={value}" for key, value in sorted(query.tags.items())]
    await viewer.record_access(request, "flows_listed", searched=searched)
    return await TraceFinder(viewer, principal).search(query, _now_ns(viewer))


async def _read(request: Request, principal: Principal, flow_id: str) -> Flow | None:
    viewer = viewer_of(request)
    trace = await TraceFinder(viewer, principal).one(flow_id)
    if trace is not None:
        await viewer.record_access(request, "flow_read", user_id=trace.user_id, target=flow_id)
    return trace


async def _by_ids(request: Request, principal: Principal, ids: list[str]) -> Response:
    """The traces found, and an error for each that is missing or does not fit into one answer."""
    traces: list[Flow] = []
    errors: list[dict[str, Any]] = []
    missing: list[str] = []
    spans = 0
    try:
        for id in dict.fromkeys(ids):
            flow_id = flow_id_of(id)
            if spans >= MOST_SPANS:
                errors.append({"msg": _TOO_MANY, "traceID": id})
            elif (trace := await _read(request, principal, flow_id)) is not None:
                traces.append(trace)
                spans += len(trace.entries)
            else:
                errors.append({"msg": _NOT_FOUND, "traceID": id})
                missing.append(flow_id)
        if missing:
            # One audit entry per request, which may name a hundred.
            await viewer_of(request).missed(request, "flow_read", missing[0])
    except BadTraceId as why:
        return refused_v1(400, str(why), request)
    except Problem as why:
        return refused_v1(why.status_code, str(why.detail), request)
    now_ns = _now_ns(viewer_of(request))
    return await answered_v1(request, lambda: [_v1(trace, now_ns) for trace in traces], errors or None)


def _v1(trace: Flow, now_ns: int) -> dict[str, Any]:
    return trace_v1(trace.flow_id, trace.entries, trace.processes, now_ns)


def _now_ns(viewer: Viewer) -> int:
    return int(viewer.clock() * 1e9)


async def _answered_v3(traces: list[Flow]) -> Response:
    if not traces:
        return refused_v3(404, _NONE_FOUND)

    def written() -> Response:
        groups = [group for trace in traces for group in _resource_spans(trace)]
        return answer_json({"result": {"resourceSpans": groups}})

    return await asyncio.to_thread(written)


def _resource_spans(trace: Flow) -> list[dict[str, Any]]:
    return resource_spans(trace.flow_id, trace.entries, trace.processes)
