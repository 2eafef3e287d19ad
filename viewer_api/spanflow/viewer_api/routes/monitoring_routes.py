"""Who is watched: enable, disable, list; and finding people."""

import logging
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.live.messages import moment
from spanflow.viewer_api.problems import invalid_request
from spanflow.viewer_api.responses import json_response
from spanflow.viewer_api.store.audit_log import MAX_REASON
from spanflow.viewer_api.viewer import REASON_HEADER, Needs, Viewer, checked_id, clean_reason, viewer_of

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1/monitoring", tags=["monitoring"])
MayMonitor = Annotated[Principal, Depends(Needs(Right.MONITOR))]
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]

MAX_USERS = 1000
_DEFAULT_HOURS = 24.0


class Why(BaseModel):
    reason: str | None = Field(None, max_length=MAX_REASON)


class Users(Why):
    user_ids: list[int | str] = Field(max_length=MAX_USERS)
    ttl_hours: float | None = None


Ids = Annotated[list[int | str], Field(max_length=MAX_USERS)]
Hours = Annotated[float | None, Query()]


@router.post("/enable/{user_id}")
async def enable_one(
    request: Request, principal: MayMonitor, user_id: str, ttl_hours: Hours = None, body: Why | None = None
) -> Response:
    reason = body.reason if body else None
    return await _enable(request, principal, [checked_id(user_id)], ttl_hours, reason)


@router.post("/enable")
async def enable_several(
    request: Request, principal: MayMonitor, body: Annotated[Users | Ids, Body()], ttl_hours: Hours = None
) -> Response:
    if isinstance(body, Users):
        hours = body.ttl_hours if body.ttl_hours is not None else ttl_hours
        return await _enable(request, principal, _checked(body.user_ids), hours, body.reason)
    return await _enable(request, principal, _checked(body), ttl_hours, None)


@router.post("/disable/{user_id}")
async def disable_one(request: Request, principal: MayMonitor, user_id: str, body: Why | None = None) -> Response:
    return await _disable(request, [checked_id(user_id)], body.reason if body else None)


@router.post("/disable")
async def disable_several(request: Request, principal: MayMonitor, body: Annotated[Users | Ids, Body()]) -> Response:
    if isinstance(body, Users):
        return await _disable(request, _checked(body.user_ids), body.reason)
    return await _disable(request, _checked(body), None)


@router.get("/list")
async def watched(request: Request, principal: MayMonitor) -> Response:
    """Everybody who is watched now, the newest watch first."""
    viewer = viewer_of(request)
    await viewer.watching.refresh()
    watches = viewer.watching.running()
    people = await viewer.users.by_ids(watch.user_id for watch in watches)
    now = viewer.clock()
    shown: list[dict[str, Any]] = []
    for watch in watches:
        person = people.get(watch.user_id)
        endless = watch.expires_at == float("inf")
        shown.append(
            {
                "user_id": shown_id(watch.user_id),
                "expires_at": None if endless else moment(watch.expires_at),
                "seconds_left": None if endless else int(watch.expires_at - now),
                "reason": watch.reason,
                "by": watch.by,
                "enabled_at": moment(watch.enabled_at),
                "email": person["email"] if person else None,
                "full_name": person["full_name"] if person else None,
            }
        )
    return json_response({"monitored_users": shown})


@router.get("/users")
async def users(
    request: Request,
    principal: MayRead,
    q: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1)] = 50,
) -> Response:
    """People by any part of their id, e-mail address or name."""
    found = await viewer_of(request).users.search(q.replace("\0", "").strip(), min(limit, 1000))
    people = [{"id": shown_id(row["user_id"]), "email": row["email"], "full_name": row["full_name"]} for row in found]
    return json_response({"users": people})


async def _enable(
    request: Request, principal: Principal, user_ids: list[str], ttl_hours: float | None, reason: str | None
) -> Response:
    viewer = viewer_of(request)
    hours = _DEFAULT_HOURS if ttl_hours is None else ttl_hours
    longest = viewer.settings.monitoring_max_hours
    if not 0 < hours <= longest:
        raise invalid_request(f"ttl_hours: use a number above 0 and up to {longest:g}.")
    reason = _reason(request, viewer, reason)
    expires_at = int(viewer.clock() + hours * 3600)
    live = await viewer.watching.enable(user_ids, expires_at=expires_at, reason=reason, by=principal.name)
    until = datetime.fromtimestamp(expires_at, UTC)
    for user_id in user_ids:
        entry = viewer.entry(request, "monitoring_enabled", user_id=user_id, reason=reason)
        await viewer.audit.write(entry, {"expires_at": until.isoformat()})
        log.info("Monitoring enabled for user %s until %s by %s", user_id, until.isoformat(), principal.name)
    shown = [shown_id(user_id) for user_id in user_ids]
    return json_response({"status": "enabled", "user_ids": shown, "expires_at": until, "live": live})


async def _disable(request: Request, user_ids: list[str], reason: str | None) -> Response:
    viewer = viewer_of(request)
    live = await viewer.watching.disable(user_ids)
    for user_id in user_ids:
        await viewer.audit.write(
            viewer.entry(request, "monitoring_disabled", user_id=user_id, reason=clean_reason(reason))
        )
        log.info("Monitoring disabled for user %s", user_id)
    return json_response({"status": "disabled", "user_ids": [shown_id(user_id) for user_id in user_ids], "live": live})


def _reason(request: Request, viewer: Viewer, given: str | None) -> str | None:
    reason = clean_reason(given) or clean_reason(request.headers.get(REASON_HEADER))
    if reason is None and viewer.settings.monitoring_reason_required:
        raise invalid_request("reason: say why you watch this user.")
    return reason


def _checked(user_ids: list[int | str]) -> list[str]:
    """Each id once, in the order given."""
    checked = list(dict.fromkeys(checked_id(user_id) for user_id in user_ids))
    if not checked:
        raise invalid_request("user_ids: name at least one user.")
    return checked
