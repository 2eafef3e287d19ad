"""Tempo's query API, as Grafana's data source asks it: search by TraceQL and by tags, and traces by id, below `/tempo`.

Shapes are Tempo's; who may see what is ours. Not in the OpenAPI document, because errors have Tempo's form: plain text.
"""

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any, Final
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.jaeger.service_catalog import ServiceCatalog
from spanflow.viewer_api.jaeger.trace_finder import TraceFinder
from spanflow.viewer_api.jaeger.trace_ids import BadTraceId, flow_id_of
from spanflow.viewer_api.routes.large_answers import answer_of
from spanflow.viewer_api.routes.one_flow import read_packed
from spanflow.viewer_api.tempo.search_query import TempoQuery, search_query, window_of
from spanflow.viewer_api.tempo.span_filter import INTRINSIC, INTRINSICS, SCOPES, UNSCOPED, Every, Field, Filter
from spanflow.viewer_api.tempo.traceql import BadTraceQL, field_of, parse
from spanflow.viewer_api.tempo.written_answers import (
    INTRINSIC_TAGS,
    KNOWN_VALUES,
    matching_spans,
    tag_names,
    tag_values,
    written_json,
    written_protobuf,
    written_search,
)
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/tempo", include_in_schema=False)
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
_PROTOBUF: Final = "application/protobuf"
_NO_STORE: Final = {"Cache-Control": "no-store"}
#: Grafana asks for what came with later versions (streams, metrics) only where the version says that it is there.
_BUILD: Final = {"version": "2.1.0", "revision": "spanflow", "branch": "", "buildDate": "", "goVersion": ""}
_NOT_FOUND: Final = "trace not found"
#: Flows whose attributes are looked at for the names and values of tags: the newest.
_SAMPLE: Final = 200
_SERVICES: Final = frozenset({"service.name", "rootServiceName", "trace:rootService"})
_NAMES: Final = frozenset({"name", "span:name"})


@router.get("/api/echo")
async def echo(request: Request, principal: MayRead) -> Response:
    return Response("echo", 200, _NO_STORE, "text/plain")


@router.get("/api/status/buildinfo")
async def build_info(request: Request, principal: MayRead) -> Response:
    return _json(orjson.dumps(_BUILD))


@router.get("/api/traces/{trace_id}")
async def trace_v1(request: Request, principal: MayRead, trace_id: str) -> Response:
    return await _trace(request, principal, trace_id, 1)


@router.get("/api/v2/traces/{trace_id}")
async def trace_v2(request: Request, principal: MayRead, trace_id: str) -> Response:
    return await _trace(request, principal, trace_id, 2)


@router.get("/api/search")
async def search(request: Request, principal: MayRead) -> Response:
    viewer = viewer_of(request)
    now_ns = _now_ns(viewer)
    try:
        query = search_query(request.query_params, now_ns)
        searched = {name: request.query_params.get(name) for name in ("q", "tags", "minDuration", "maxDuration")}
        await viewer.record_access(request, "flows_listed", searched=searched)
        flows = await _found(viewer, principal, query, now_ns)
        return _json(await answer_of(viewer, written_search, flows, query, now_ns))
    except BadTraceQL as why:
        return _refused(400, f"invalid TraceQL query: {why}")
    except Problem as why:
        return _refused(why.status_code, str(why.detail))


@router.get("/api/search/tags")
async def tags_v1(request: Request, principal: MayRead) -> Response:
    def written(names: dict[str, list[str]]) -> Any:
        return {"tagNames": sorted({name for scoped in names.values() for name in scoped})}

    return await _tags(request, principal, written)


@router.get("/api/v2/search/tags")
async def tags_v2(request: Request, principal: MayRead) -> Response:
    def written(names: dict[str, list[str]]) -> Any:
        return {"scopes": [{"name": scope, "tags": tags} for scope, tags in names.items() if tags]}

    return await _tags(request, principal, written)


@router.get("/api/search/tag/{tag:path}/values")
async def values_v1(request: Request, principal: MayRead, tag: str) -> Response:
    field = Field(INTRINSIC, tag) if tag in INTRINSICS else Field(UNSCOPED, tag)
    try:
        values = await _values(request, principal, field)
    except BadTraceQL as why:
        return _refused(400, str(why))
    except Problem as why:
        return _refused(why.status_code, str(why.detail))
    return _json(orjson.dumps({"tagValues": sorted({value for _, value in values})}))


@router.get("/api/v2/search/tag/{tag:path}/values")
async def values_v2(request: Request, principal: MayRead, tag: str) -> Response:
    try:
        # Grafana encodes it twice.
        values = await _values(request, principal, field_of(unquote(tag)))
    except BadTraceQL as why:
        return _refused(400, str(why))
    except Problem as why:
        return _refused(why.status_code, str(why.detail))
    return _json(orjson.dumps({"tagValues": [{"type": kind, "value": value} for kind, value in values]}))


@router.get("/{path:path}")
async def not_here(request: Request, principal: MayRead, path: str) -> Response:
    return _refused(404, "This viewer does not answer this of Tempo's API.")


async def _trace(request: Request, principal: Principal, trace_id: str, version: int) -> Response:
    viewer = viewer_of(request)
    protobuf = _PROTOBUF in request.headers.get("accept", "")
    try:
        if not isinstance(parse(request.query_params.get("q") or "{}"), Every):
            raise BadTraceQL("parts of traces are not supported")
        packed, _ = await read_packed(request, principal, flow_id_of(trace_id))
        body = await answer_of(viewer, written_protobuf if protobuf else written_json, [packed], version)
    except (BadTraceId, BadTraceQL) as why:
        return _refused(400, str(why))
    except Problem as why:
        return _refused(why.status_code, _NOT_FOUND if why.status_code == 404 else str(why.detail))
    if not body:
        return _refused(404, _NOT_FOUND)
    return Response(body, 200, _NO_STORE, _PROTOBUF) if protobuf else _json(body)


async def _found(viewer: Viewer, principal: Principal, query: TempoQuery, now_ns: int) -> list[PackedFlow]:
    def match(flows: Sequence[PackedFlow]) -> Awaitable[bytes]:
        return answer_of(viewer, matching_spans, flows, query, now_ns)

    return await TraceFinder(viewer, principal, match).search(query.window, now_ns)


async def _tags(request: Request, principal: Principal, write: Any) -> Response:
    scope = request.query_params.get("scope") or "all"
    if scope not in ("all", "none", INTRINSIC, *SCOPES):
        return _refused(400, f"invalid scope: {scope[:64]}")
    names: dict[str, list[str]] = {}
    try:
        if scope != INTRINSIC:
            names = orjson.loads(await _of_newest(request, principal, tag_names))
    except BadTraceQL as why:
        return _refused(400, str(why))
    except Problem as why:
        return _refused(why.status_code, str(why.detail))
    names[INTRINSIC] = list(INTRINSIC_TAGS)
    wanted = names if scope in ("all", "none") else {scope: names.get(scope, [])}
    return _json(orjson.dumps(write(wanted)))


async def _values(request: Request, principal: Principal, field: Field) -> list[tuple[str, str]]:
    """With their types."""
    viewer = viewer_of(request)
    name = field.name.removeprefix("span:")
    if field.scope == INTRINSIC and name in KNOWN_VALUES:
        return [("keyword", value) for value in KNOWN_VALUES[name]]
    wanted = _lenient(request.query_params.get("q"))
    if isinstance(wanted, Every) and (field.name in _SERVICES or (field.scope == INTRINSIC and field.name in _NAMES)):
        await viewer.record_access(request, "statistics_read", target="services")
        catalog = ServiceCatalog(viewer, principal)
        values = await (catalog.services() if field.name in _SERVICES else catalog.span_names())
        return [("string", value) for value in values]
    return [tuple(each) for each in orjson.loads(await _of_newest(request, principal, tag_values, field, wanted))]


async def _of_newest(request: Request, principal: Principal, make: Any, *arguments: Any) -> bytes:
    """What `make` reads in the newest flows of the time that is asked for."""
    viewer = viewer_of(request)
    now_ns = _now_ns(viewer)
    window = window_of(request.query_params, now_ns, _SAMPLE)
    await viewer.record_access(request, "flows_listed", searched={"tags": request.url.path[:256]})
    flows = await _found(viewer, principal, TempoQuery(Every(), window), now_ns)
    return await answer_of(viewer, make, flows, now_ns, *arguments)


def _lenient(query: str | None) -> Filter:
    """What cannot be understood of a query that is still being written filters nothing, as in Tempo."""
    try:
        return parse(query) if query else Every()
    except BadTraceQL:
        return Every()


def _json(body: bytes) -> Response:
    return Response(body, 200, _NO_STORE, "application/json")


def _refused(status: int, message: str) -> Response:
    return Response(message, status, _NO_STORE, "text/plain")


def _now_ns(viewer: Viewer) -> int:
    return int(viewer.clock() * 1e9)
