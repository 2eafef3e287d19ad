"""Answers in the form of Jaeger's two APIs."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import orjson
from fastapi import Request
from starlette.responses import Response

_NO_STORE: Final = {"Cache-Control": "no-store"}


async def answered_v1(request: Request, data: Callable[[], list[Any]], errors: Any = None) -> Response:
    """Written in a thread: traces can be large."""
    return await asyncio.to_thread(lambda: _envelope(request, data(), errors))


def listed_v1(request: Request, data: list[Any]) -> Response:
    """A list that says how many it has: all but those of traces."""
    return _envelope(request, data, None, total=len(data))


def refused_v1(status: int, message: str, request: Request) -> Response:
    return _envelope(request, None, [{"code": status, "msg": message}], status)


def refused_v3(status: int, message: str) -> Response:
    return answer_json({"error": {"httpCode": status, "message": message}}, status)


def answer_json(body: Any, status: int = 200, *, pretty: bool = False) -> Response:
    option = orjson.OPT_INDENT_2 if pretty else 0
    return Response(orjson.dumps(body, option=option), status, _NO_STORE, "application/json")


def _envelope(request: Request, data: Any, errors: Any, status: int = 200, *, total: int = 0) -> Response:
    body = {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors}
    return answer_json(body, status, pretty=request.query_params.get("prettyPrint") == "true")
