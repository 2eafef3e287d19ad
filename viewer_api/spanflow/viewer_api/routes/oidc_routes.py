"""Signing a browser in at the identity provider."""

import dataclasses
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from spanflow.viewer_api.auth.oidc_login import LOGIN_SECONDS, Answer
from spanflow.viewer_api.auth.oidc_sessions import OidcSessions
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.auth.route_access import Public
from spanflow.viewer_api.auth.secret_query import CALLBACK
from spanflow.viewer_api.auth.session_cookie import set_session
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.audit_log import Entry
from spanflow.viewer_api.viewer import Viewer, viewer_of

router = APIRouter(prefix="/api/v1/session/oidc", tags=["session"])
_FOLDER: Final = CALLBACK.rpartition("/")[0]
_PAGE: Final = "Where the browser comes back to, below the dashboard's address: `/#/history?user=7`."
#: What the dashboard shows when it opens at this place.
_FAILED: Final = "/#sign_in=failed"


#: Public, and answered by a redirect.
_REDIRECTS: Final[dict[str, Any]] = {
    "status_code": 303,
    "response_class": RedirectResponse,
    "dependencies": [Depends(Public())],
    "openapi_extra": {"security": []},
    "responses": {404: {"description": "This viewer has no identity provider."}},
}


def _oidc_of(viewer: Viewer) -> OidcSessions:
    if viewer.oidc is None:
        raise Problem(404, "oidc_not_configured", "This viewer has no identity provider (SPANFLOW_VIEWER_OIDC_ISSUER).")
    return viewer.oidc


@router.get("/start", **_REDIRECTS)
async def start(request: Request, page: Annotated[str, Query(max_length=512, description=_PAGE)] = "/") -> Response:
    """Send the browser to the identity provider, to come back to the callback. Public."""
    viewer = viewer_of(request)
    oidc = _oidc_of(viewer)
    authenticator = viewer.authenticator
    address = authenticator.address
    location, cookie = await oidc.begin(address.base(request) + CALLBACK, page)
    response = RedirectResponse(location, 303, {"Cache-Control": "no-store"})
    # Not `strict`: the callback comes by a redirect from another site.
    response.set_cookie(
        authenticator.own_cookie(oidc.cookie_name, request),
        cookie,
        max_age=LOGIN_SECONDS,
        path=authenticator.own_path(_FOLDER, request),
        httponly=True,
        samesite="lax",
        secure=address.is_secure(request),
    )
    return response


@router.get("/callback", **_REDIRECTS)
async def callback(request: Request) -> Response:
    """Where the identity provider sends the browser back to. It ends at the dashboard, signed in or told that not."""
    viewer = viewer_of(request)
    oidc = _oidc_of(viewer)
    authenticator = viewer.authenticator
    remote = authenticator.remote_of(request)
    authenticator.doorkeeper.check(remote, "")
    address = authenticator.address
    cookie_name = authenticator.own_cookie(oidc.cookie_name, request)
    cookie = request.cookies.get(cookie_name, "")
    try:
        owner, page = await oidc.finish(cookie, _answer(request), address.base(request) + CALLBACK)
    except Rejected as why:
        await authenticator.doorkeeper.failed(remote, "oidc", str(why))
        response = RedirectResponse(address.path(request) + _FAILED, 303, {"Cache-Control": "no-store"})
    else:
        # The ID token says who signed in, not for how long: it ends within minutes.
        session, principal = authenticator.session_for(dataclasses.replace(owner, expires_at=None))
        entry = Entry(principal.name, principal.via.value, "signed_in", remote=remote, role=principal.role.value)
        await viewer.audit.write(entry, {"by": "oidc"})
        response = RedirectResponse(address.path(request) + page, 303, {"Cache-Control": "no-store"})
        set_session(response, request, authenticator, session, principal)
    path = authenticator.own_path(_FOLDER, request)
    response.delete_cookie(cookie_name, path=path, httponly=True, secure=address.is_secure(request))
    return response


def _answer(request: Request) -> Answer:
    """The gate has taken the address's query away, so that no log holds the code."""
    query = parse_qs(request.scope.get("state", {}).get("query", ""))

    def one(name: str) -> str:
        values = query.get(name, [])
        return values[0] if len(values) == 1 else ""

    return Answer(code=one("code"), state=one("state"), issuer=one("iss"), error=one("error"))
