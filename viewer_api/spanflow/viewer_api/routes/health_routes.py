"""Health, for load balancers. The only routes without a sign-in; they say nothing about anybody."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from spanflow.viewer_api.responses import json_response
from spanflow.viewer_api.viewer import viewer_of

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def alive() -> Response:
    """The process serves."""
    return json_response({"status": "ok"})


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """Postgres is needed for everything; without Redis only what is live is missing."""
    viewer = viewer_of(request)
    postgres = await viewer.database.is_up()
    redis = await viewer.redis_flows.is_up()
    body = {
        "status": "ok" if postgres else "unavailable",
        "postgres": "up" if postgres else "down",
        "redis": "up" if redis else "down",
    }
    return json_response(body, 200 if postgres else 503)
