"""The viewer as an ASGI application: API, live sockets and the built dashboard."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from spanflow.viewer_api import openapi
from spanflow.viewer_api.asgi.access_log import AccessLogMiddleware
from spanflow.viewer_api.asgi.compression import Compression
from spanflow.viewer_api.asgi.dashboard_files import DashboardFiles, built_dashboard
from spanflow.viewer_api.asgi.error_handler import Mistakes
from spanflow.viewer_api.asgi.root_path import RootPathMiddleware, root_path_of
from spanflow.viewer_api.asgi.security_headers import SecurityHeaders
from spanflow.viewer_api.auth.exposure import settled
from spanflow.viewer_api.auth.gate import Gate
from spanflow.viewer_api.auth.origins import as_sent
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.route_access import Public, RouteAccess
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http import problems
from spanflow.viewer_api.legacy.prefix import LegacyPrefix
from spanflow.viewer_api.lifespan import check_libraries, receiving_by_grpc, started
from spanflow.viewer_api.operations.metrics import Metrics
from spanflow.viewer_api.routes import (
    activity_routes,
    alert_channel_routes,
    alert_routes,
    audit_routes,
    compare_routes,
    conversation_routes,
    erasure_routes,
    export_routes,
    flow_preview_routes,
    flow_routes,
    flow_search_routes,
    flow_tree_routes,
    health_routes,
    jaeger_routes,
    jaeger_service_routes,
    live_routes,
    mcp_usage_routes,
    monitoring_routes,
    note_routes,
    oidc_routes,
    otlp_routes,
    person_export_routes,
    playback_routes,
    reference_page,
    saved_filter_routes,
    session_routes,
    share_routes,
    statistics_routes,
    tempo_routes,
    user_routes,
    usual_routes,
)
from spanflow.viewer_api.routes.known_parameters import known_parameters
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.sockets.application import Application
from spanflow.viewer_api.viewer import REASON_HEADER, Needs

OPENAPI_URL: Final = "/api/v1/openapi.json"
#: Everything that is served. Each route declares who may use it; the application does not start with one that does not.
ROUTERS: Final[tuple[APIRouter, ...]] = (
    session_routes.router,
    oidc_routes.router,
    monitoring_routes.router,
    user_routes.router,
    erasure_routes.router,
    person_export_routes.router,
    flow_search_routes.router,
    compare_routes.router,
    usual_routes.router,
    flow_preview_routes.router,
    export_routes.router,
    playback_routes.router,
    share_routes.router,
    note_routes.router,
    saved_filter_routes.router,
    flow_tree_routes.router,
    flow_routes.router,
    activity_routes.router,
    conversation_routes.router,
    mcp_usage_routes.router,
    statistics_routes.router,
    alert_channel_routes.router,
    alert_routes.router,
    audit_routes.router,
    live_routes.router,
    live_routes.streams,
    otlp_routes.router,
    jaeger_routes.router,
    jaeger_routes.below_prefix,
    jaeger_service_routes.router,
    jaeger_service_routes.below_prefix,
    tempo_routes.router,
    health_routes.router,
    reference_page.router,
)


def create_app(
    settings: ViewerSettings | None = None, *, dashboard: Path | None = None, clock: Clock = time.time
) -> FastAPI:
    """The application. `SettingsError` when the settings would leave it open to the public.

    It works for as long as its lifespan runs; `app.state.settings` are the settings with the access token that holds.
    """
    settings = settled(settings or ViewerSettings.from_environ())
    check_libraries(settings)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with started(settings, metrics, clock) as viewer:
            app.state.viewer = viewer
            async with receiving_by_grpc(app, settings):
                yield

    app = Application(
        title="Spanflow viewer",
        lifespan=lifespan,
        # A viewer that traces itself would fill what it shows with its own requests and never-ending sockets.
        telemetry={"tracing": False},
        # Their pages load scripts from other hosts.
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI_URL,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.metrics = metrics
    problems.install(app)
    openapi.install(app)
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(known_parameters)])
    _serve_dashboard(app, DashboardFiles(dashboard or built_dashboard()))
    app.state.doors = RouteAccess(app.routes, {OPENAPI_URL: Needs(None)})
    # The last one added is the outermost.
    app.add_middleware(Gate)
    app.add_middleware(Mistakes)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=as_sent(settings.viewer_allowed_origins),
        allow_credentials=True,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Last-Event-ID", REASON_HEADER],
        expose_headers=["Retry-After", user_routes.DEGRADED_HEADER],
        max_age=600,
    )
    app.add_middleware(LegacyPrefix)
    app.add_middleware(RootPathMiddleware, path=root_path_of(settings))
    app.add_middleware(Compression)
    app.add_middleware(SecurityHeaders, frame_ancestors=settings.viewer_frame_ancestors)
    peers = ProxyPeers(settings.viewer_proxy_peers)
    app.add_middleware(AccessLogMiddleware, metrics=metrics, peers=peers, trace_url=settings.viewer_trace_url)
    return app


def api_routes() -> list[APIRoute]:
    """Every HTTP route of the API, for the tests that look at all of them."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def _serve_dashboard(app: FastAPI, files: DashboardFiles) -> None:
    @app.api_route("/{path:path}", methods=["GET", "HEAD"], include_in_schema=False, dependencies=[Depends(Public())])
    def page(request: Request, path: str) -> Response:
        return files.serve(request, path)
