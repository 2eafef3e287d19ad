"""Answers as JSON bytes: times in UTC with `Z`, ids as dashboards expect them."""

from typing import Any

import orjson
from starlette.responses import Response

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def encode(data: Any) -> bytes:
    return orjson.dumps(data, option=_OPTIONS)


def json_response(data: Any, status: int = 200) -> Response:
    """What the API answers. It must not be cached: it holds what people did."""
    return Response(encode(data), status, {"Cache-Control": "no-store"}, "application/json")
