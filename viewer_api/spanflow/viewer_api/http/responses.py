"""Answers as JSON bytes: times in UTC with `Z`, ids as dashboards expect them."""

from typing import Any, Final

import orjson
from starlette.responses import Response

_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
#: The JSON writer refuses 255 levels; ours around the data are few.
_DEEPEST: Final = 200
_TOO_DEEP: Final = "(nested too deeply to be shown)"


def encode(data: Any) -> bytes:
    """`data` as JSON. Old rows nested too deeply for any reader are truncated there, with a marker."""
    try:
        return orjson.dumps(data, option=_OPTIONS)
    except TypeError:
        return orjson.dumps(_pruned(data, _DEEPEST), option=_OPTIONS)


def _pruned(data: Any, levels: int) -> Any:
    if isinstance(data, dict):
        return {key: _pruned(value, levels - 1) for key, value in data.items()} if levels else _TOO_DEEP
    if isinstance(data, list | tuple):
        return [_pruned(value, levels - 1) for value in data] if levels else _TOO_DEEP
    return data


def json_response(data: Any, status: int = 200) -> Response:
    return raw_json_response(encode(data), status)


def raw_json_response(body: bytes, status: int = 200) -> Response:
    """What the API answers. It must not be cached: it holds what people did."""
    return Response(body, status, {"Cache-Control": "no-store"}, "application/json")
