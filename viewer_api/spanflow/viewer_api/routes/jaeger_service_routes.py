"""The lists of Jaeger's query API: services, their operations, and which service calls which."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.jaeger.service_catalog import ServiceCatalog
from spanflow.viewer_api.jaeger.span_query import BadQuery, DependencyQuery, dependency_query
from spanflow.viewer_api.routes.jaeger_answers import answer_json, listed_v1, refused_v1, refused_v3
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(include_in_schema=False)
below_prefix = APIRouter(prefix="/jaeger", include_in_schema=False)
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
#: What Jaeger's newer API says of a span without a kind.
_NO_KIND: Final = "internal"


async def services_v1(request: Request, principal: MayRead) -> Response:
    async def found(catalog: ServiceCatalog) -> list[Any]:
        return list(await catalog.services())

    return await _answered_v1(request, principal, found)


async def operation_names_v1(request: Request, principal: MayRead, service: str) -> Response:
    async def found(catalog: ServiceCatalog) -> list[Any]:
        return sorted({operation.name for operation in await catalog.operations(service, None)})

    return await _answered_v1(request, principal, found)


async def operations_v1(request: Request, principal: MayRead) -> Response:
    service = request.query_params.get("service")
    if not service:
        return refused_v1(400, "parameter 'service' is required", request)
    kind = request.query_params.get("spanKind") or None

    async def found(catalog: ServiceCatalog) -> list[Any]:
        return [{"name": each.name, "spanKind": each.kind} for each in await catalog.operations(service, kind)]

    return await _answered_v1(request, principal, found)


async def dependencies_v1(request: Request, principal: MayRead) -> Response:
    now_ms = int(viewer_of(request).clock() * 1000)
    try:
        query = dependency_query(request.query_params, now_ms)
    except BadQuery as why:
        return refused_v1(400, str(why), request)

    async def found(catalog: ServiceCatalog) -> list[Any]:
        return await _dependencies(catalog, query)

    return await _answered_v1(request, principal, found, counted=False)


async def services_v3(request: Request, principal: MayRead) -> Response:
    try:
        return answer_json({"services": await (await _catalog(request, principal)).services()})
    except Problem as why:
        return refused_v3(why.status_code, str(why.detail))


async def operations_v3(request: Request, principal: MayRead) -> Response:
    service = request.query_params.get("service")
    if not service:
        return refused_v3(400, "malformed parameter service: it is required")
    kind = request.query_params.get("spanKind") or request.query_params.get("span_kind") or None
    try:
        matching = await (await _catalog(request, principal)).operations(service, None)
    except Problem as why:
        return refused_v3(why.status_code, str(why.detail))
    shown = sorted({(each.name, each.kind or _NO_KIND) for each in matching})
    operations = [{"name": name, "spanKind": one} for name, one in shown if kind in (None, one)]
    return answer_json({"operations": operations})


for _router in (router, below_prefix):
    _router.get("/api/services")(services_v1)
    _router.get("/api/services/{service:path}/operations")(operation_names_v1)
    _router.get("/api/operations")(operations_v1)
    _router.get("/api/dependencies")(dependencies_v1)
    _router.get("/api/v3/services")(services_v3)
    _router.get("/api/v3/operations")(operations_v3)


async def _answered_v1(
    request: Request,
    principal: Principal,
    found: Callable[[ServiceCatalog], Awaitable[list[Any]]],
    *,
    counted: bool = True,
) -> Response:
    """A list; Jaeger says how many it has, but for calls between services."""
    try:
        data = await found(await _catalog(request, principal))
        return listed_v1(request, data, total=len(data) if counted else 0)
    except Problem as why:
        return refused_v1(why.status_code, str(why.detail), request)


async def _catalog(request: Request, principal: Principal) -> ServiceCatalog:
    viewer = viewer_of(request)
    await viewer.record_access(request, "statistics_read", target="services")
    return ServiceCatalog(viewer, principal)


async def _dependencies(catalog: ServiceCatalog, query: DependencyQuery) -> list[Any]:
    until = datetime.fromtimestamp(query.end_ms / 1000, UTC)
    calls = await catalog.calls(until - timedelta(milliseconds=query.lookback_ms), until)
    return [
        {"parent": call.parent, "child": call.child, "callCount": count}
        for call, count in sorted(calls.items())
        if query.service is None or query.service in call
    ]
