"""How much MCP servers and their tools are used, as pages about the gateway's MCP traffic ask it."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.query_values import check_range, filter_text
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.mcp_usage import MAX_ROWS, McpUsage, Usage
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/api/v1", tags=["mcp"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
Days = Annotated[int, Query(ge=1, le=36_500, description="So many days until now.")]
Source = Annotated[str | None, Query(max_length=128, description="Only flows of this source, such as `mcp_gateway`.")]
Limit = Annotated[int, Query(ge=1)]


@router.get("/mcp-analytics/overview")
async def overview(request: Request, principal: MayRead, days: Days = 30) -> Response:
    """Sessions, steps and users of each source."""
    usage = await _asked(request, principal, "overview", days)
    return _answer(await _store(request).overview(usage))


@router.get("/mcp-analytics/top-tools")
async def top_tools(
    request: Request, principal: MayRead, days: Days = 30, source: Source = None, limit: Limit = 10
) -> Response:
    """The tools that are called most."""
    usage = await _asked(request, principal, "top-tools", days, source)
    store = _store(request)
    return _answer(await store.tools(usage, min(limit, MAX_ROWS)), after=await store.calls_after(usage))


@router.get("/mcp-analytics/top-mcps")
async def top_servers(
    request: Request, principal: MayRead, days: Days = 30, source: Source = None, limit: Limit = MAX_ROWS
) -> Response:
    """The MCP servers that are called most."""
    usage = await _asked(request, principal, "top-mcps", days, source)
    store = _store(request)
    return _answer(await store.servers(usage, min(limit, MAX_ROWS)), after=await store.calls_after(usage))


@router.get("/mcp-analytics/user-stats")
async def users(
    request: Request, principal: MayRead, days: Days = 30, source: Source = None, limit: Limit = 20
) -> Response:
    """The users with the most calls."""
    usage = await _asked(request, principal, "user-stats", days, source)
    store = _store(request)
    rows = await store.users(usage, min(limit, MAX_ROWS))
    people = await viewer_of(request).users.names_of(row["user_id"] for row in rows)

    def shown(row: Row) -> dict[str, Any]:
        person = people.get(row["user_id"])
        email = (person and person.email) or row["user_id"]
        named = {"username": (person and person.full_name) or email, "email": email}
        return {**named, **dict(row), "user_id": shown_id(row["user_id"])}

    return _answer(rows, shown, after=await store.calls_after(usage))


@router.get("/mcp-analytics/team-stats")
async def teams(
    request: Request, principal: MayRead, days: Days = 30, source: Source = None, limit: Limit = MAX_ROWS
) -> Response:
    """The teams whose members make the most calls."""
    usage = await _asked(request, principal, "team-stats", days, source)
    store = _store(request)
    return _answer(await store.teams(usage, min(limit, MAX_ROWS)), after=await store.calls_after(usage))


@router.get("/mcp-analytics/activity-over-time")
async def activity_over_time(request: Request, principal: MayRead, days: Days = 14, source: Source = None) -> Response:
    """Sessions of each source on each day (UTC)."""
    usage = await _asked(request, principal, "activity-over-time", days, source)
    return _answer(await _store(request).days(usage))


@router.get("/mcp-analytics/chat-vs-gateway")
async def chat_against_gateway(request: Request, principal: MayRead, days: Days = 30) -> Response:
    """How the entrances of the gateway compare: steps of a session, and calls."""
    usage = await _asked(request, principal, "chat-vs-gateway", days)
    store = _store(request)
    return _answer(await store.sources(usage), after=await store.calls_after(usage))


@router.get("/monitoring/components")
async def components(request: Request, principal: MayRead) -> Response:
    """What the viewer is made of, and how each part is."""
    report = await viewer_of(request).readiness.report()
    parts = {
        name: {"component": name, "status": "connected" if state in _WELL else "reconnecting", "state": state}
        for name, state in report.parts.items()
    }
    return json_response({"status": report.status, "components": parts})


_WELL = frozenset({"up", "ok", "current", "ahead"})


def _store(request: Request) -> McpUsage:
    return McpUsage(viewer_of(request).database)


async def _asked(request: Request, principal: Principal, what: str, days: int, source: str | None = None) -> Usage:
    viewer: Viewer = viewer_of(request)
    until = datetime.fromtimestamp(viewer.clock(), UTC)
    since = until - timedelta(days=days)
    check_range(since, until, viewer.settings.viewer_max_range_days)
    source = filter_text(source)
    await viewer.record_access(request, "mcp_usage_read", target=what, searched={"days": days, "source": source})
    return Usage(since, until, source, principal.visible)


def _answer(
    rows: Iterable[Row], shown: Callable[[Row], dict[str, Any]] = dict, *, after: datetime | None = None
) -> Response:
    """`after`: calls of flows that began earlier are not counted."""
    answer: dict[str, Any] = {"data": [shown(row) for row in rows]}
    return json_response(answer if after is None else {**answer, "calls_after": after})
