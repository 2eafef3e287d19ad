"""Who is watched: enable, extend, disable, list."""

import logging
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.problems import invalid_request
from spanflow.viewer_api.http.query_values import checked_id, parsed_time
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.legacy import shapes
from spanflow.viewer_api.legacy.prefix import is_legacy
from spanflow.viewer_api.monitoring.watch_documents import watch_documents
from spanflow.viewer_api.monitoring.watching import EntryOf
from spanflow.viewer_api.store.audit_log import MAX_REASON, Entry
from spanflow.viewer_api.store.watches import Watch
from spanflow.viewer_api.viewer import Needs, Viewer, clean_reason, stated_reason, viewer_of

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1/monitoring", tags=["monitoring"])
MayMonitor = Annotated[Principal, Depends(Needs(Right.MONITOR))]

MAX_USERS = 1000
#: Older dashboards ask for the list every ten seconds, day and night.
_SAME_LIST_SECONDS = 3600.0


def _no_flag(value: Any) -> Any:
    """`true` is no number of hours, and not user 1 either."""
    if isinstance(value, bool):
        raise ValueError("must not be true or false")
    return value


Number = Annotated[float, BeforeValidator(_no_flag)]
Id = Annotated[int | str, BeforeValidator(_no_flag)]
Ids = Annotated[list[Id], Field(max_length=MAX_USERS)]


class Why(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str | None, Field(max_length=MAX_REASON, description="Why, for the audit log.")] = None


class Watched(Why):
    ttl_hours: Annotated[Number | None, Field(description="Hours from now after which the watch ends.")] = None
    metadata_only: Annotated[bool | None, Field(description="Show what happens, but not what is said.")] = None


class Longer(Why):
    hours: Annotated[Number | None, Field(description="So many hours longer; 1 when nothing is said.")] = None
    until: Annotated[str | Number | None, Field(description="Or when it ends: ISO 8601 or seconds since 1970.")] = None


class Users(Watched):
    user_ids: Ids


class Extended(Longer):
    user_ids: Ids


class Ended(Users):
    """Dashboards may send what they enabled with; of it the users and the reason count."""


Hours = Annotated[float | None, Query()]
MetadataOnly = Annotated[bool | None, Query(description="Show what happens, but not what is said.")]


@router.post("/enable/{user_id}")
async def enable_one(
    request: Request,
    principal: MayMonitor,
    user_id: str,
    ttl_hours: Hours = None,
    metadata_only: MetadataOnly = None,
    body: Watched | None = None,
) -> Response:
    """Watch a user for a time."""
    return await _enable(request, principal, [checked_id(user_id)], _told(body or Watched(), ttl_hours, metadata_only))


@router.post("/enable")
async def enable_several(
    request: Request,
    principal: MayMonitor,
    body: Annotated[Users | Ids, Body()],
    ttl_hours: Hours = None,
    metadata_only: MetadataOnly = None,
) -> Response:
    """Watch several users: all of them, or none if one is invalid."""
    if isinstance(body, Users):
        terms = _told(body, ttl_hours, metadata_only)
        return await _enable(request, principal, _checked(body.user_ids), terms)
    return await _enable(request, principal, _checked(body), _told(Watched(), ttl_hours, metadata_only))


@router.post("/extend/{user_id}")
async def extend_one(
    request: Request,
    principal: MayMonitor,
    user_id: str,
    hours: Annotated[float | None, Query(description="So many hours longer than until now.")] = None,
    until: Annotated[str | None, Query(description="When the watch ends: ISO 8601 or seconds since 1970.")] = None,
    body: Longer | None = None,
) -> Response:
    """Extend a watch. Its author and reason stay; who extended it is added."""
    return await _extend(request, principal, [checked_id(user_id)], body or Longer(), hours, until)


@router.post("/extend")
async def extend_several(request: Request, principal: MayMonitor, body: Extended) -> Response:
    """Extend the watches of several users: all of them, or none if one is not watched."""
    return await _extend(request, principal, _checked(body.user_ids), body, None, None)


@router.post("/disable/{user_id}")
async def disable_one(request: Request, principal: MayMonitor, user_id: str, body: Why | None = None) -> Response:
    """End a watch early. No-op if the user is not watched."""
    return await _disable(request, [checked_id(user_id)], body.reason if body else None)


@router.post("/disable")
async def disable_several(request: Request, principal: MayMonitor, body: Annotated[Ended | Ids, Body()]) -> Response:
    """End several watches early."""
    if isinstance(body, Ended):
        return await _disable(request, _checked(body.user_ids), body.reason)
    return await _disable(request, _checked(body), None)


@router.get("/list")
async def watched(request: Request, principal: MayMonitor) -> Response:
    """All users watched now, the newest watch first."""
    viewer = viewer_of(request)
    await viewer.record_access(request, "monitoring_listed", once_in=_SAME_LIST_SECONDS)
    await viewer.watching.refresh()
    watches = [watch for watch in viewer.watching.running() if principal.sees(watch.user_id)]
    documents = await watch_documents(viewer.users, watches, viewer.clock())
    shown = shapes.watches(documents, watches) if is_legacy(request) else documents
    return json_response({"monitored_users": shown})


@router.get("/policy")
async def policy(request: Request, principal: MayMonitor) -> Response:
    """What a watch needs here: a reason or not, how long it may last, and whether it shows what was said."""
    return json_response({**viewer_of(request).watching.policy.shown(), "max_users_per_call": MAX_USERS})


def _told(body: Watched, ttl_hours: float | None, metadata_only: bool | None) -> Watched:
    """The body counts more than the address."""
    return Watched(
        reason=body.reason,
        ttl_hours=ttl_hours if body.ttl_hours is None else body.ttl_hours,
        metadata_only=metadata_only if body.metadata_only is None else body.metadata_only,
    )


async def _enable(request: Request, principal: Principal, user_ids: list[str], terms: Watched) -> Response:
    viewer = viewer_of(request)
    await _must_see_all(request, viewer, "monitoring_enabled", user_ids)
    rules = viewer.watching.policy
    reason = rules.reason(_reason(request, terms.reason))
    rules.check_metadata_only(terms.metadata_only)
    expires_at = rules.end(terms.ttl_hours, viewer.clock())
    live = await viewer.watching.enable(
        user_ids,
        expires_at=expires_at,
        reason=reason,
        by=principal.name,
        metadata_only=terms.metadata_only,
        entry_of=_entries(request, viewer, "monitoring_enabled", reason),
    )
    until = datetime.fromtimestamp(expires_at, UTC)
    for user_id in user_ids:
        log.info("Monitoring enabled for user %s until %s by %s", user_id, until.isoformat(), principal.name)
    return json_response(
        {"status": "enabled", "user_ids": _shown(user_ids), "expires_at": _end(request, until), "live": live}
    )


async def _extend(
    request: Request, principal: Principal, user_ids: list[str], terms: Longer, hours: float | None, until: str | None
) -> Response:
    viewer = viewer_of(request)
    await _must_see_all(request, viewer, "monitoring_extended", user_ids)
    hours = hours if terms.hours is None else terms.hours
    moment = parsed_time(until if terms.until is None else str(terms.until), "until", end=True)
    if hours is not None and moment is not None:
        raise invalid_request("Say `hours` or `until`, not both.")
    rules, now = viewer.watching.policy, viewer.clock()
    # It goes on for the reason that the watch has; another one may be given.
    reason = rules.reason(_reason(request, terms.reason), required=False)

    def end_of(watch: Watch) -> int:
        return rules.later_end(watch, hours, None if moment is None else moment.timestamp(), now)

    watches, live = await viewer.watching.extend(
        user_ids,
        end_of=end_of,
        reason=reason,
        by=principal.name,
        entry_of=_entries(request, viewer, "monitoring_extended", reason),
    )
    for watch in watches:
        end = datetime.fromtimestamp(watch.expires_at, UTC).isoformat()
        log.info("Monitoring of user %s extended until %s by %s", watch.user_id, end, principal.name)
    first = datetime.fromtimestamp(min(watch.expires_at for watch in watches), UTC)
    answer = {"status": "extended", "user_ids": _shown(user_ids), "expires_at": first, "live": live}
    shown = await watch_documents(viewer.users, watches, viewer.clock())
    return json_response({**answer, "monitored_users": shown})


async def _disable(request: Request, user_ids: list[str], reason: str | None) -> Response:
    viewer = viewer_of(request)
    await _must_see_all(request, viewer, "monitoring_disabled", user_ids)
    entry_of = _entries(request, viewer, "monitoring_disabled", _reason(request, reason))
    live = await viewer.watching.disable(user_ids, entry_of=entry_of)
    for user_id in user_ids:
        log.info("Monitoring disabled for user %s", user_id)
    return json_response({"status": "disabled", "user_ids": _shown(user_ids), "live": live})


async def _must_see_all(request: Request, viewer: Viewer, action: str, user_ids: list[str]) -> None:
    for user_id in user_ids:
        await viewer.must_see(request, action, user_id)


def _end(request: Request, until: datetime) -> datetime | float:
    return shapes.seconds(until) if is_legacy(request) else until


def _entries(request: Request, viewer: Viewer, action: str, reason: str | None) -> EntryOf:
    def entry_of(user_id: str, changed: dict[str, Any]) -> Entry:
        return viewer.entry(request, action, user_id=user_id, reason=reason, detail=changed)

    return entry_of


def _reason(request: Request, given: str | None) -> str | None:
    return clean_reason(given) or stated_reason(request)


def _shown(user_ids: list[str]) -> list[Any]:
    return [shown_id(user_id) for user_id in user_ids]


def _checked(user_ids: list[int | str]) -> list[str]:
    """Each id once, in the order given."""
    checked = list(dict.fromkeys(checked_id(user_id) for user_id in user_ids))
    if not checked:
        raise invalid_request("user_ids: name at least one user.")
    return checked
