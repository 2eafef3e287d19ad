"""Erasing a person: how much there is of them, and removing all of it."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.query_values import checked_id
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.viewer import Needs, Viewer, stated_reason, viewer_of

router = APIRouter(prefix="/api/v1/users", tags=["users"])
MayErase = Annotated[Principal, Depends(Needs(Right.ERASE))]
#: Users whose e-mail address or name was given for an id.
_MOST_NAMED = 5


@router.get("/{user_id}/data")
async def stored(request: Request, principal: MayErase, user_id: str) -> Response:
    """How much is stored of a person, by kind: what an erasure would remove."""
    viewer, user_id = viewer_of(request), checked_id(user_id)
    await viewer.record_access(request, "user_data_counted", user_id=user_id)
    counts = await viewer.eraser.stored(user_id)
    known = any(counts.values()) or await _is_known(viewer, user_id)
    hint = None if known else await _hint(viewer, user_id)
    return json_response({"user_id": shown_id(user_id), "known": known, "hint": hint, "stored": counts})


@router.delete("/{user_id}/data", responses={404: {"description": "Nothing is known of this user."}})
async def erase(
    request: Request,
    principal: MayErase,
    user_id: str,
    allow_unknown: Annotated[
        bool, Query(description="Also if nothing is stored of this user, but may still be in a gateway's spool.")
    ] = False,
) -> Response:
    """Erase all that a person did until now, and give a receipt; needs a reason in `X-Spanflow-Reason`.

    One that was cut off goes on when it is asked for again. What arrives later of that time is refused.
    """
    viewer, user_id = viewer_of(request), checked_id(user_id)
    if stated_reason(request) is None:
        raise Problem(422, "reason_required", "Say why, in the header X-Spanflow-Reason.")
    if not allow_unknown and not await _is_known(viewer, user_id):
        if not any((await viewer.eraser.stored(user_id)).values()):
            raise Problem(404, "user_not_found", await _hint(viewer, user_id))
    await viewer.audit.write(viewer.entry(request, "user_erasure_begun", user_id=user_id))
    await viewer.watching.disable(
        [user_id],
        entry_of=lambda user, changed: viewer.entry(request, "monitoring_disabled", user_id=user, detail=changed),
    )

    async def finished(erased: Mapping[str, int]) -> None:
        await viewer.audit.write(viewer.entry(request, "user_erased", user_id=user_id), {"erased": dict(erased)})

    receipt = await viewer.eraser.erase(user_id, finished)
    return json_response(receipt.document())


async def _is_known(viewer: Viewer, user_id: str) -> bool:
    """Whether a user is known by anything but what is stored of them."""
    return await viewer.eraser.was_erased(user_id) or user_id in await viewer.users.names_of([user_id])


async def _hint(viewer: Viewer, user_id: str) -> str:
    """What to do about an unknown id. One that is misspelt would get a receipt of zeros, and the person would stay."""
    named = user_id.casefold()
    ids = [
        person.user_id
        for person in await viewer.users.search(user_id, _MOST_NAMED)
        if named in ((person.email or "").casefold(), (person.full_name or "").casefold())
    ]
    if ids:
        return f"No user has this id. Of users with this e-mail address or name, the id is: {', '.join(ids)}."
    return (
        "No user has this id, and nothing is stored of them. If a gateway's spool may still hold their flows, "
        "allow_unknown erases them all the same: they are refused when they arrive."
    )
