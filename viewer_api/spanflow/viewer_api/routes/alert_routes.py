"""Alert rules: make, change, snooze, try; and what they have found."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from spanflow.viewer_api.alerts.condition import window_of
from spanflow.viewer_api.alerts.messages import event_document
from spanflow.viewer_api.alerts.rule import Definition
from spanflow.viewer_api.alerts.rule_store import RuleState
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.list_query import ListQuery
from spanflow.viewer_api.http.paging import unreadable_cursor
from spanflow.viewer_api.http.problems import Problem, forbidden, invalid_request
from spanflow.viewer_api.http.query_values import check_range, parsed_time
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.store.database import Connection
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])
MayMonitor = Annotated[Principal, Depends(Needs(Right.MONITOR))]
Limit = Annotated[int, Query(ge=1)]
#: Pages that show alerts ask again and again.
_SAME_LIST_SECONDS: Final = 3600.0
_MOST: Final = 200
_PREVIEWED: Final = timedelta(days=1)
_LONGEST_PREVIEW: Final = 7
_LONGEST_LOSSES: Final = 90


class NewRule(Definition):
    enabled: bool = True


class ChangedRule(NewRule):
    version: Annotated[
        int | None, Field(description="The version that was read; if the rule has another one by now, nothing is done.")
    ] = None


class Snooze(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(ge=0, le=30 * 86_400, description="For so long; 0 ends it.")] = 3600


class Preview(Definition):
    """A rule that need not exist."""

    since: Annotated[str | None, Field(description="From this moment on; a day before `until` if left out.")] = None
    until: Annotated[str | None, Field(description="Up to this moment; now if left out.")] = None


@router.get("")
async def rules(request: Request, principal: MayMonitor) -> Response:
    """All rules with their states, the newest first."""
    viewer = viewer_of(request)
    await viewer.record_access(request, "alerts_read", once_in=_SAME_LIST_SECONDS)
    states = await viewer.alerts.rules.all(principal.visible)
    now = _now(viewer)
    return json_response({"rules": [_shown(state, now) for state in states], "now": now})


@router.post("")
async def create(request: Request, principal: MayMonitor, body: NewRule) -> Response:
    """Make a rule."""
    viewer = viewer_of(request)
    definition = _definition(body)
    await _must_see(request, viewer, principal, definition.user_ids)
    async with viewer.alerts.rules.database.transaction() as connection:
        await _know_channels(viewer, connection, definition)
        rule_id = await viewer.alerts.rules.add(connection, definition, body.enabled, principal.name, _now(viewer))
        await _write_down(request, viewer, connection, "alert_created", rule_id, definition, enabled=body.enabled)
        return await _answer(viewer, connection, rule_id)


@router.get("/events")
async def events(
    request: Request,
    principal: MayMonitor,
    rule_id: Annotated[str | None, Query(description="Only of this rule.")] = None,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Limit = 50,
) -> Response:
    """When rules fired, escalated, flapped and resolved, the newest first."""
    viewer = viewer_of(request)
    query = ListQuery(request.query_params, ("rule_id", "before", "limit"), principal.visible)
    await viewer.record_access(request, "alerts_read", once_in=_SAME_LIST_SECONDS)
    limit = min(limit, _MOST)
    rows = await viewer.alerts.rules.events(principal.visible, query.text("rule_id"), before, limit + 1)
    more = rows[limit - 1].event_id if len(rows) > limit else None
    return json_response({"events": [event_document(event) for event in rows[:limit]], "next": more})


@router.get("/deliveries")
async def deliveries(
    request: Request,
    principal: MayMonitor,
    rule_id: Annotated[str | None, Query(description="Only of this rule.")] = None,
    channel_id: Annotated[str | None, Query(description="Only by this channel.")] = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    """What was sent, or not, and the outcome of each delivery, the newest first."""
    viewer = viewer_of(request)
    _must_see_everybody(principal)
    query = ListQuery(request.query_params, ("rule_id", "channel_id", "cursor", "limit"), principal.visible)
    place = query.place(cursor, 2)
    await viewer.record_access(request, "alerts_read", once_in=_SAME_LIST_SECONDS)
    limit = min(limit, _MOST)
    rows = await viewer.alerts.delivery_log.page(
        query.text("rule_id"), query.text("channel_id"), None if place is None else _after(place), limit + 1
    )
    shown = [dict(row) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    more = None if last is None else query.cursor(last["created_at"].isoformat(), last["delivery_id"])
    return json_response({"deliveries": shown, "next": more})


@router.get("/losses")
async def losses(
    request: Request,
    principal: MayMonitor,
    since: Annotated[str | None, Query(description="From this moment on; a day before `until` if left out.")] = None,
    until: Annotated[str | None, Query(description="Up to this moment; now if left out.")] = None,
) -> Response:
    """Which process lost what, and why: gateways as they tell it, and viewers. The most losses first."""
    viewer = viewer_of(request)
    _must_see_everybody(principal)
    query = ListQuery(request.query_params, ("since", "until"), principal.visible)
    high = query.time("until", end=True) or _now(viewer)
    low = query.time("since") or high - _PREVIEWED
    check_range(low, high, _LONGEST_LOSSES)
    await viewer.record_access(request, "alerts_read", once_in=_SAME_LIST_SECONDS)
    return json_response({"since": low, "until": high, "losses": await viewer.alerts.losses.within(low, high)})


@router.post("/preview")
async def preview(request: Request, principal: MayMonitor, body: Preview) -> Response:
    """How often a rule would have fired, over the stored flows of up to seven days; nothing is stored or sent."""
    viewer = viewer_of(request)
    definition = _definition(body)
    await _must_see(request, viewer, principal, definition.user_ids)
    until = parsed_time(body.until, "until", end=True) or _now(viewer)
    until = min(until, _now(viewer))
    since = parsed_time(body.since, "since") or until - _PREVIEWED
    check_range(since, until, _LONGEST_PREVIEW)
    await viewer.record_access(request, "alert_previewed", user_ids=definition.user_ids or ())
    return json_response(await viewer.alerts.previewer.preview(definition, since, until, _now(viewer)))


@router.get("/{rule_id}")
async def rule(request: Request, principal: MayMonitor, rule_id: str) -> Response:
    """One rule with its state."""
    viewer = viewer_of(request)
    await viewer.record_access(request, "alerts_read", once_in=_SAME_LIST_SECONDS)
    async with viewer.alerts.rules.database.transaction() as connection:
        return json_response(_shown(await _known(viewer, connection, principal, rule_id), _now(viewer)))


@router.put("/{rule_id}")
async def change(request: Request, principal: MayMonitor, rule_id: str, body: ChangedRule) -> Response:
    """Replace a rule. Its state starts over: receivers of its firing are notified that it is resolved."""
    viewer = viewer_of(request)
    definition = _definition(body)
    await _must_see(request, viewer, principal, definition.user_ids)
    async with viewer.alerts.rules.database.transaction() as connection:
        before = await _known(viewer, connection, principal, rule_id)
        await _know_channels(viewer, connection, definition)
        await viewer.alerts.rules.change(
            connection, rule_id, definition, body.enabled, principal.name, _now(viewer), body.version
        )
        changed = _differences(before, definition, body.enabled)
        await _write_down(request, viewer, connection, "alert_changed", rule_id, definition, changed=changed)
        return await _answer(viewer, connection, rule_id)


@router.delete("/{rule_id}")
async def delete(request: Request, principal: MayMonitor, rule_id: str) -> Response:
    """Remove a rule with its events and pending notifications."""
    viewer = viewer_of(request)
    async with viewer.alerts.rules.database.transaction() as connection:
        rule = await _known(viewer, connection, principal, rule_id)
        await viewer.alerts.rules.delete(connection, rule_id)
        await _write_down(request, viewer, connection, "alert_deleted", rule_id, rule.rule.definition)
    return json_response({"status": "deleted", "rule_id": rule_id})


@router.post("/{rule_id}/snooze")
async def snooze(request: Request, principal: MayMonitor, rule_id: str, body: Snooze | None = None) -> Response:
    """Send nothing of a rule for a time. If it still fires then, that is told."""
    viewer = viewer_of(request)
    seconds = (body or Snooze()).seconds
    until = _now(viewer) + timedelta(seconds=seconds) if seconds else None
    async with viewer.alerts.rules.database.transaction() as connection:
        rule = await _known(viewer, connection, principal, rule_id)
        await viewer.alerts.rules.snooze(connection, rule_id, until)
        told = until.isoformat() if until else None
        await _write_down(
            request, viewer, connection, "alert_snoozed", rule_id, rule.rule.definition, snoozed_until=told
        )
        return await _answer(viewer, connection, rule_id)


def _shown(state: RuleState, now: datetime) -> dict[str, Any]:
    rule, memory = state.rule, state.memory
    current = memory is not None and state.version == rule.version and rule.enabled
    phase = memory.phase.value if memory is not None and current else "new"
    shown = "disabled" if not rule.enabled else "snoozed" if rule.is_snoozed(now) else phase
    active = memory if memory is not None and current else None
    flows = None
    if active is not None and state.checked_at is not None and state.flow_ids:
        since = state.checked_at - timedelta(seconds=window_of(rule.definition.condition))
        flows = rule.link(since, state.checked_at, active.baseline)
    return {
        "rule_id": rule.rule_id,
        **rule.definition.model_dump(mode="json"),
        "enabled": rule.enabled,
        "version": rule.version,
        "unit": rule.unit,
        "state": shown,
        "phase": phase,
        "level": active.level if active else None,
        "since": active.since if active else None,
        "value": active.value if active else None,
        "threshold": active.threshold if active else None,
        "flow_ids": list(state.flow_ids) if active else [],
        "flows": flows,
        "problem": active.problem if active else None,
        "evaluated_at": state.checked_at,
        "notified_at": memory.fired_at if memory else None,
        "snoozed_until": rule.snoozed_until if rule.is_snoozed(now) else None,
        "created_at": rule.created_at,
        "created_by": rule.created_by,
        "changed_at": rule.changed_at,
        "changed_by": rule.changed_by,
    }


def _after(place: list[Any]) -> tuple[datetime, str]:
    try:
        moment, delivery_id = datetime.fromisoformat(place[0]), place[1]
    except (ValueError, TypeError):
        raise unreadable_cursor() from None
    if moment.tzinfo is None or not 1970 <= moment.year < 9999 or not isinstance(delivery_id, str):
        raise unreadable_cursor()
    return moment, delivery_id.replace("\0", "")


def _definition(body: Definition) -> Definition:
    """Without what a body says besides."""
    return Definition.model_validate(body.model_dump(include=set(Definition.model_fields)))


def _differences(before: RuleState, definition: Definition, enabled: bool) -> list[str]:
    """The names of what was changed."""
    old, new = before.rule.definition.model_dump(), definition.model_dump()
    return [name for name in new if new[name] != old[name]] + (["enabled"] if enabled != before.rule.enabled else [])


async def _must_see(request: Request, viewer: Viewer, principal: Principal, user_ids: Iterable[str] | None) -> None:
    if user_ids is None:
        if principal.visible is not None:
            await viewer.denied(request, "alert_about_everybody")
            raise forbidden("You may see some users only: name them in filters.user_id.")
        return
    for user_id in user_ids:
        await viewer.must_see(request, "alert_about_user", user_id)


def _must_see_everybody(principal: Principal) -> None:
    if principal.visible is not None:
        raise forbidden("Only users who may see everyone may see this.")


async def _known(viewer: Viewer, connection: Connection, principal: Principal, rule_id: str) -> RuleState:
    rule = await viewer.alerts.rules.one(connection, rule_id.replace("\0", ""))
    about = None if rule is None else rule.rule.definition.user_ids
    if rule is None or not (principal.visible is None or (about is not None and principal.visible.issuperset(about))):
        raise Problem(404, "alert_not_found", "There is no alert rule with this id.")
    return rule


async def _know_channels(viewer: Viewer, connection: Connection, definition: Definition) -> None:
    if unknown := await viewer.alerts.channels.unknown(connection, definition.channels):
        raise invalid_request(f"channels: there is no channel {unknown[0]}.")


async def _answer(viewer: Viewer, connection: Connection, rule_id: str) -> Response:
    state = await viewer.alerts.rules.one(connection, rule_id)
    assert state is not None
    return json_response(_shown(state, _now(viewer)))


async def _write_down(
    request: Request,
    viewer: Viewer,
    connection: Connection,
    action: str,
    rule_id: str,
    definition: Definition,
    **detail: Any,
) -> None:
    """A row for each user whom the rule is about, or one."""
    told = {"name": definition.name, "condition": definition.condition.kind, **detail}
    entries = [
        viewer.entry(request, action, user_id=user_id, target=rule_id, detail=told)
        for user_id in definition.user_ids or (None,)
    ]
    await viewer.audit.write_in(connection, entries)


def _now(viewer: Viewer) -> datetime:
    return datetime.fromtimestamp(viewer.clock(), UTC)
