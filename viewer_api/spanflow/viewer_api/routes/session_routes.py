"""Signing in and out, and tickets for sockets."""

from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.jwt_verification import MAX_LENGTH as MAX_TOKEN
from spanflow.viewer_api.auth.permissions import Principal, rights_of
from spanflow.viewer_api.auth.route_access import Public
from spanflow.viewer_api.auth.session_cookie import delete_session, set_session
from spanflow.viewer_api.auth.signed_tokens import MAX_LENGTH
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.store.audit_log import Entry
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(prefix="/api/v1/session", tags=["session"])
SignedIn = Annotated[Principal, Depends(Needs(None))]


class Credential(BaseModel):
    """One of both."""

    model_config = ConfigDict(extra="forbid")

    code: str | None = Field(None, min_length=1, max_length=MAX_LENGTH)
    token: str | None = Field(None, min_length=1, max_length=MAX_TOKEN)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.code is None) == (self.token is None):
            raise ValueError("send a code or a token")
        return self


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


@router.post("", dependencies=[Depends(Public())], openapi_extra={"security": []})
async def sign_in(request: Request, body: Credential) -> Response:
    """Exchange a one-time code, or a token, for a session cookie. Public."""
    viewer = viewer_of(request)
    authenticator = viewer.authenticator
    if body.code is not None:
        signed_in = await authenticator.exchange_code(body.code, request)
        if signed_in is None:
            raise Problem(401, "code_invalid", "This code is wrong, was used or is too old. Start from a fresh link.")
    else:
        owner = await authenticator.by_token(body.token or "", request)
        if owner is None:
            raise Problem(401, "token_invalid", "This token is wrong or too old.")
        signed_in = authenticator.session_for(owner)
    cookie, principal = signed_in
    remote = authenticator.remote_of(request)
    entry = Entry(principal.name, principal.via.value, "signed_in", remote=remote, role=principal.role.value)
    await viewer.audit.write(entry, {"by": "token" if body.code is None else "code"})
    response = json_response(_shown(principal))
    set_session(response, request, authenticator, cookie, principal)
    return response


@router.get("/methods", dependencies=[Depends(Public())], openapi_extra={"security": []})
async def methods(request: Request) -> Response:
    """How a browser can sign in here. Public."""
    oidc = ["oidc"] if viewer_of(request).oidc is not None else []
    return json_response({"methods": ["code", "token", *oidc]})


@router.get("")
async def who_am_i(principal: SignedIn) -> Response:
    """Who is signed in, how, and with which rights."""
    return json_response(_shown(principal))


@router.delete("")
async def sign_out(request: Request, principal: SignedIn) -> Response:
    """Revoke the session, for every holder of its cookie."""
    viewer = viewer_of(request)
    await viewer.authenticator.sign_out(principal)
    await viewer.audit.write(viewer.entry(request, "signed_out"))
    response = Response(status_code=204)
    delete_session(response, request, viewer.authenticator)
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
