"""Signing in and out, and tickets for sockets."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, rights_of
from spanflow.viewer_api.auth.signed_tokens import MAX_LENGTH
from spanflow.viewer_api.problems import Problem
from spanflow.viewer_api.responses import json_response
from spanflow.viewer_api.store.audit_log import Entry
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(prefix="/api/v1/session", tags=["session"])
SignedIn = Annotated[Principal, Depends(Needs(None))]


class Code(BaseModel):
    code: str = Field(min_length=1, max_length=MAX_LENGTH)


def _shown(principal: Principal) -> dict[str, Any]:
    return {
        "name": principal.name,
        "via": principal.via.value,
        "role": principal.role.value,
        "user_id": shown_id(principal.user_id),
        "scope": None if principal.visible is None else [shown_id(user_id) for user_id in sorted(principal.visible)],
        "rights": sorted(right.value for right in rights_of(principal)),
        "expires_at": principal.expires_at,
    }


@router.post("")
async def sign_in(request: Request, body: Code) -> Response:
    """Exchange a one-time code for a session cookie. The only route that is open to everybody."""
    viewer = viewer_of(request)
    remote = request.client.host if request.client else None
    signed_in = await viewer.authenticator.exchange_code(body.code)
    if signed_in is None:
        raise Problem(401, "code_invalid", "This code is wrong, was used or is too old. Start from a fresh link.")
    cookie, principal = signed_in
    await viewer.audit.write(Entry(principal.name, principal.via.value, "signed_in", remote=remote))
    response = json_response(_shown(principal))
    assert principal.expires_at is not None
    response.set_cookie(
        viewer.authenticator.cookie_name,
        cookie,
        expires=principal.expires_at,
        httponly=True,
        samesite="strict",
        secure=viewer.authenticator.is_secure(request),
    )
    return response


@router.get("")
async def who_am_i(principal: SignedIn) -> Response:
    return json_response(_shown(principal))


@router.delete("")
async def sign_out(request: Request, principal: SignedIn) -> Response:
    """Make the session worthless, for whoever has its cookie."""
    viewer = viewer_of(request)
    await viewer.authenticator.sign_out(principal)
    await viewer.audit.write(viewer.entry(request, "signed_out"))
    response = Response(status_code=204)
    response.delete_cookie(viewer.authenticator.cookie_name, httponly=True, samesite="strict")
    return response


@router.post("/codes")
async def new_code(request: Request, principal: SignedIn) -> Response:
    """A one-time code, to sign in another browser."""
    code, expires = viewer_of(request).authenticator.code_for(principal)
    return json_response({"code": code, "expires_at": expires})


@router.post("/tickets")
async def new_ticket(request: Request, principal: SignedIn) -> Response:
    """A one-time ticket that opens one socket."""
    ticket, expires = viewer_of(request).authenticator.ticket_for(principal)
    return json_response({"ticket": ticket, "expires_at": expires})
