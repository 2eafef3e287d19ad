"""The audit log: who watched or read whom."""

from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.list_query import ListQuery
from spanflow.viewer_api.http.query_values import checked_id
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.store.audit_log import Filters
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
_KNOWN: Final = frozenset(("user_id", "actor", "action", "outcome", "since", "until", "text", "before", "limit"))
MayAudit = Annotated[Principal, Depends(Needs(Right.AUDIT))]


@router.get("")
async def entries(
    request: Request,
    principal: MayAudit,
    user_id: Annotated[str | None, Query(description="Only what was done to this user.")] = None,
    actor: Annotated[str | None, Query(max_length=128)] = None,
    action: Annotated[str | None, Query(max_length=64, description="Such as `monitoring_enabled`.")] = None,
    outcome: Annotated[str | None, Query(max_length=32, description="ok, denied or refused.")] = None,
    since: str | None = None,
    until: str | None = None,
    text: Annotated[
        str | None,
        Query(max_length=200, description="Any part of the reason, of what was searched or read, or of the address."),
    ] = None,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1)] = 100,
) -> Response:
    """Who watched, read or searched what, newest first; `before` is the value of `next` from the page before."""
    limit = min(limit, 500)
    query = ListQuery(request.query_params, _KNOWN, None)
    target = query.single("user_id")
    wanted = Filters(
        user_id=None if target is None else checked_id(target),
        actor=query.text("actor"),
        action=query.text("action"),
        outcome=query.text("outcome"),
        since=query.time("since"),
        until=query.time("until", end=True),
        text=query.text("text"),
    )
    viewer = viewer_of(request)
    rows = await viewer.audit.page(wanted, before, limit)
    # After that: the page is what it would have been without this look.
    searched = query.searched("user_id", "before")
    await viewer.record_access(request, "audit_read", user_id=wanted.user_id, searched=searched)
    shown = [
        {
            "id": row["id"],
            "at": row["at"],
            "actor": row["actor"],
            "role": row["actor_role"],
            "action": row["action"],
            "user_id": shown_id(row["target_user"]),
            "target": row["target"],
            "reason": row["reason"],
            "remote": row["remote"],
            "outcome": row["outcome"],
            "detail": orjson.loads(row["detail"]),
        }
        for row in rows
    ]
    return json_response({"entries": shown, "next": rows[-1]["id"] if len(rows) == limit else None})
