"""Errors as problem details (RFC 9457): each has a code that never changes and a sentence for people."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from spanflow.viewer_api.http import validation_errors

_CODES = {404: "route_not_found", 405: "method_not_allowed", 400: "invalid_request", 413: "body_too_large"}


class Problem(HTTPException):
    """An error to be told to the client."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.code = code
        self.errors = errors

    def response(self) -> Response:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "code": self.code,
            "detail": self.detail,
        }
        if self.errors is not None:
            body["errors"] = self.errors
        # A 404 is kept by caches otherwise: a user could be told that their own flow does not exist.
        headers = {"Cache-Control": "no-store", **(self.headers or {})}
        return Response(orjson.dumps(body), self.status_code, headers, "application/problem+json")


def not_signed_in(*, with_token: bool = False) -> Problem:
    """`with_token`: a token was sent, but it is not good."""
    if with_token:
        detail = "The token is wrong, expired, or its owner has no role here."
        return Problem(401, "not_signed_in", detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    detail = "Sign in first: send the access token as `Authorization: Bearer …`, or open the link from `spanflow up`."
    return Problem(401, "not_signed_in", detail, headers={"WWW-Authenticate": "Bearer"})


def too_many_attempts(wait: float) -> Problem:
    return _wait("too_many_attempts", "Too many sign-ins from this address have failed.", wait)


def too_many_requests(wait: float) -> Problem:
    return _wait("too_many_requests", "You ask more often than SPANFLOW_VIEWER_REQUESTS_PER_SECOND allows.", wait)


def too_many_at_once() -> Problem:
    return _wait("too_many_requests", "Your earlier requests (SPANFLOW_VIEWER_REQUESTS_AT_ONCE) are not done.", 1.0)


def too_many_sockets(most: int) -> Problem:
    detail = f"You have {most} sockets open, and SPANFLOW_VIEWER_SOCKETS_PER_PERSON allows no more."
    return Problem(429, "too_many_sockets", detail, headers={"Retry-After": "10"})


def _wait(code: str, detail: str, seconds: float) -> Problem:
    whole = max(1, math.ceil(seconds))
    return Problem(429, code, f"{detail} Try again in {whole} s.", headers={"Retry-After": str(whole)})


def identity_provider_unavailable() -> Problem:
    detail = "The identity provider cannot be reached, so sign-in is impossible at the moment."
    return Problem(503, "identity_provider_unavailable", detail, headers={"Retry-After": "5"})


def no_such_address() -> Problem:
    return Problem(404, "route_not_found", "There is nothing at this address.")


def address_too_long() -> Problem:
    return Problem(414, "address_too_long", "The address with its parameters is too long: ask for less at once.")


def host_not_allowed() -> Problem:
    return Problem(421, "host_not_allowed", "This viewer has another address (SPANFLOW_VIEWER_PUBLIC_URL).")


def forbidden(detail: str) -> Problem:
    return Problem(403, "forbidden", detail)


def invalid_id(detail: str) -> Problem:
    return Problem(422, "invalid_id", detail)


def invalid_request(detail: str) -> Problem:
    return Problem(422, "invalid_request", detail)


def range_too_long(most_days: int) -> Problem:
    detail = f"The time range may have at most {most_days} days (SPANFLOW_VIEWER_MAX_RANGE_DAYS)."
    return Problem(422, "range_too_long", detail)


def storage_unavailable() -> Problem:
    return Problem(503, "storage_unavailable", "Postgres cannot be reached.", headers={"Retry-After": "2"})


def not_migrated() -> Problem:
    return Problem(503, "not_migrated", "The tables are missing or of another version: run `spanflow migrate`.")


def query_timeout() -> Problem:
    return Problem(
        503, "query_timeout", "The query took too long. Ask for less: a shorter time range or a lower limit."
    )


def ingest_full() -> Problem:
    detail = "More spans wait than this viewer can store now."
    return Problem(503, "ingest_full", detail, headers={"Retry-After": "2"})


def ingest_unavailable() -> Problem:
    detail = "A setting that gateways read cannot be used; the viewer's log says which."
    return Problem(503, "ingest_unavailable", detail, headers={"Retry-After": "60"})


def unsupported_body(detail: str) -> Problem:
    return Problem(415, "unsupported_body", detail)


def unreadable_body(detail: str) -> Problem:
    return Problem(400, "unreadable_body", detail)


def internal_error() -> Problem:
    return Problem(500, "internal_error", "Internal error; details are in the viewer's log.")


async def _on_http_error(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return error.response()
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "invalid_request" if error.status_code < 500 else "internal_error")
    return Problem(error.status_code, code, str(error.detail), headers=error.headers).response()


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = validation_errors.told(error)
    detail = "; ".join(f"{each['where']}: {each['why']}" for each in errors) or "The request cannot be understood."
    return Problem(422, "invalid_request", detail, errors=errors).response()


def install(app: FastAPI) -> None:
    """Make every refusal of `app` a problem. Its mistakes are `mistakes.py`'s."""
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
