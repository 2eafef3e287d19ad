"""Erasing a person: how much there is of them, and removing all of it."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.query_values import checked_id
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.viewer import Needs, stated_reason, viewer_of

router = APIRouter(prefix="/api/v1/users", tags=["users"])
MayErase = Annotated[Principal, Depends(Needs(Right.ERASE))]


@router.get("/{user_id}/data")
async def stored(request: Request, principal: MayErase, user_id: str) -> Response:
    """How much is stored of a person, by kind: what an erasure would remove."""
    viewer, user_id = viewer_of(request), checked_id(user_id)
    await viewer.record_access(request, "user_data_counted", user_id=user_id)
    return json_response({"user_id": shown_id(user_id), "stored": await viewer.eraser.stored(user_id)})


@router.delete("/{user_id}/data")
async def erase(request: Request, principal: MayErase, user_id: str) -> Response:
    """Erase all that a person did until now, and give a receipt; needs a reason in `X-Spanflow-Reason`.

    One that was cut off goes on when it is asked for again. What arrives later of that time is refused.
    """
    viewer, user_id = viewer_of(request), checked_id(user_id)
    if stated_reason(request) is None:
        raise Problem(422, "reason_required", "Say why, in the header X-Spanflow-Reason.")
    await viewer.audit.write(viewer.entry(request, "user_erasure_begun", user_id=user_id))
    await viewer.watching.disable(
        [user_id],
        entry_of=lambda user, changed: viewer.entry(request, "monitoring_disabled", user_id=user, detail=changed),
    )

    async def finished(erased: Mapping[str, int]) -> None:
        await viewer.audit.write(viewer.entry(request, "user_erased", user_id=user_id), {"erased": dict(erased)})

    receipt = await viewer.eraser.erase(user_id, finished)
    return json_response(receipt.document())
