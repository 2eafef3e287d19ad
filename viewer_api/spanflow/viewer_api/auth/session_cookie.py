"""The cookie that keeps a browser signed in: no script can read it, and no other site can have it sent."""

from starlette.requests import Request
from starlette.responses import Response

from spanflow.viewer_api.auth.authenticator import Authenticator
from spanflow.viewer_api.auth.permissions import Principal


def set_session(
    response: Response, request: Request, authenticator: Authenticator, cookie: str, principal: Principal
) -> None:
    response.set_cookie(
        authenticator.cookie_name(request),
        cookie,
        expires=principal.expires_at,
        path=authenticator.own_path("", request),
        httponly=True,
        samesite="strict",
        secure=authenticator.address.is_secure(request),
    )


def delete_session(response: Response, request: Request, authenticator: Authenticator) -> None:
    secure = authenticator.address.is_secure(request)
    path = authenticator.own_path("", request)
    response.delete_cookie(
        authenticator.cookie_name(request), path=path, httponly=True, samesite="strict", secure=secure
    )
