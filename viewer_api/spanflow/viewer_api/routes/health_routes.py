"""Health, for load balancers, and numbers, for Prometheus."""

from fastapi import APIRouter, Depends, Request
from starlette.requests import HTTPConnection
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right, Role, allowed
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers, peer_of
from spanflow.viewer_api.auth.route_access import AccessRule, Public
from spanflow.viewer_api.http.problems import Problem, forbidden, not_signed_in
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.operations.metrics import Metrics
from spanflow.viewer_api.viewer import viewer_of

router = APIRouter(include_in_schema=False)


class MetricsReader(AccessRule):
    """Clients with the right to watch users, or from a configured address."""

    is_open = True

    async def __call__(self, connection: HTTPConnection) -> None:
        viewer = viewer_of(connection)
        peers = ProxyPeers(viewer.settings.viewer_metrics_peers)
        # What a proxy passes on comes from anywhere.
        passed_on = any(name in connection.headers for name in ("x-forwarded-for", "forwarded", "via"))
        if peer_of(connection) in peers and not passed_on:
            return
        principal = await viewer.authenticator.principal_of(connection)
        if principal is None:
            raise not_signed_in()
        if not allowed(principal, Right.MONITOR):
            raise forbidden("A monitor or an admin may read this.")


@router.get("/healthz", dependencies=[Depends(Public())])
async def alive() -> Response:
    """The process serves."""
    return json_response({"status": "ok"})


@router.get("/readyz", dependencies=[Depends(Public())])
async def ready(request: Request) -> Response:
    """Postgres and its tables are needed for everything; without the rest only a part is missing."""
    report = await viewer_of(request).readiness.report()
    body: dict[str, object] = {"status": report.status, **report.parts}
    principal = await _who_asks(request)
    if principal is not None and principal.role is Role.ADMIN:
        body["details"] = report.details
    return json_response(body, 200 if report.serves else 503)


@router.get("/metrics", dependencies=[Depends(MetricsReader())])
async def metrics(request: Request) -> Response:
    """Numbers of this process, in a format of Prometheus."""
    registry: Metrics = request.app.state.metrics
    body, media_type = registry.text(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})


async def _who_asks(request: Request) -> Principal | None:
    try:
        return await viewer_of(request).authenticator.principal_of(request)
    except Problem:
        return None
