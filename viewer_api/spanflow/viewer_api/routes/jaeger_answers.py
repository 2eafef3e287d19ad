"""Answers in the form of Jaeger's two APIs."""

from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from spanflow.viewer_api.jaeger.written_traces import dumped, envelope_v1

_NO_STORE: Final = {"Cache-Control": "no-store"}


def listed_v1(request: Request, data: list[Any], *, total: int = 0) -> Response:
    return _envelope(request, data, None, total=total)


def refused_v1(status: int, message: str, request: Request) -> Response:
    return _envelope(request, None, [{"code": status, "msg": message}], status)


def refused_v3(status: int, message: str) -> Response:
    return answer_json({"error": {"httpCode": status, "message": message}}, status)


def answer_json(body: Any, status: int = 200, *, pretty: bool = False) -> Response:
    return answer_raw(dumped(body, pretty=pretty), status)


def answer_raw(body: bytes, status: int = 200) -> Response:
    return Response(body, status, _NO_STORE, "application/json")


def is_pretty(request: Request) -> bool:
    return request.query_params.get("prettyPrint") == "true"


def _envelope(request: Request, data: Any, errors: Any, status: int = 200, *, total: int = 0) -> Response:
    return answer_json(envelope_v1(data, errors, total=total), status, pretty=is_pretty(request))
