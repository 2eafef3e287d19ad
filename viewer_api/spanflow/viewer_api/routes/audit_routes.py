"""The audit log: who watched or read whom."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.responses import json_response
from spanflow.viewer_api.viewer import Needs, checked_id, viewer_of

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
MayAudit = Annotated[Principal, Depends(Needs(Right.AUDIT))]


@router.get("")
async def entries(
    request: Request,
    principal: MayAudit,
    user_id: str | None = None,
    actor: Annotated[str | None, Query(max_length=128)] = None,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1)] = 100,
) -> Response:
    """Entries, newest first; `before` is the value of `next` from the page before."""
    limit = min(limit, 500)
    wanted = checked_id(user_id) if user_id else None
    named = actor.replace("\0", "") or None if actor else None
    rows = await viewer_of(request).audit.page(before, wanted, named, limit)
    shown = [
        {
            "id": row["id"],
            "at": row["at"],
            "actor": row["actor"],
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
