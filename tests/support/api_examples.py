"""Answers of a real viewer as examples: what changes from run to run is made the same, what is long is cut."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import orjson
from fastapi.routing import APIRoute

from tests.support.api_page import Example

#: The page's "now".
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_LATELY = timedelta(days=40)
_STEP = timedelta(seconds=30)
#: Signed tokens are recognised by their beginning.
_SIGNED = re.compile(r"([cst])\.[A-Za-z0-9_.-]{40,}")
_SHOWN_SIGNED = {"c": "c.WyJvcGVyYXRvciJd.4Jd0", "t": "t.WyJvcGVyYXRvciJd.9fK2", "s": "s.WyJvcGVyYXRvciJd.7Kc1"}
#: A code of the operator's link, which is recreated each time.
_LINK_CODE = re.compile(r"[A-Za-z0-9_-]{38}")
_SHOWN_LINK_CODE = "aw1LNWW_G7-Nz0ID1M1k5_0--teh0VDSPfuKHg"
#: Ids that are recreated each time.
_MADE_ANEW = {
    "rule_id": "5f0c7a1e9b3d2468",
    "channel_id": "9a1b2c3d4e5f6071",
    "filter_id": "3e4f5a6b7c8d9e0f",
    "note_id": "7c1d2e3f4a5b6c7d",
    "link_id": "5f0c7a1e9b3d2468",
    "token": "Xq1LNWWsG7mNz0ID1M1k5v0aateh0VDSPfuKHgw0aZc",
    "url": "https://flows.example.com/#/shared/Xq1LNWWsG7mNz0ID1M1k5v0aateh0VDSPfuKHgw0aZc",
    "delivery_id": "msg_5f0c7a1e9b3d24685f0c7a1e9b3d2468",
}
_MAX_ITEMS = 2
_MAX_TEXT = 400


def route_of(routes: Iterable[APIRoute], method: str, path: str) -> tuple[APIRoute, dict[str, str]] | None:
    """The route that answers a request, and the parameters in its path."""
    for route in routes:
        if method in (route.methods or ()) and (match := route.path_regex.match(path)):
            return route, match.groupdict()
    return None


def collected(
    routes: Iterable[APIRoute], answers: Iterable[tuple[Example, httpx.Response]], now: datetime
) -> dict[str, list[dict[str, Any]]]:
    """Examples by `METHOD /path/{template}`, as `openapi_examples.json` holds them."""
    known = list(routes)
    found: dict[str, list[dict[str, Any]]] = {}
    for example, response in answers:
        parts = urlsplit(example.path)
        match = route_of(known, example.method, parts.path)
        if match is None:
            continue
        route, inside = match
        is_json = response.headers.get("content-type", "").partition(";")[0].endswith(("/json", "+json"))
        found.setdefault(f"{example.method} {route.path}", []).append(
            {
                "request": f"{example.method} {example.path}",
                "parameters": {**inside, **dict(parse_qsl(parts.query))},
                "body": orjson.loads(example.body) if example.body.startswith(("{", "[")) else None,
                "status": response.status_code,
                "answer": normalised(response.json(), now) if is_json else None,
            }
        )
    return dict(sorted(found.items()))


def normalised(value: Any, now: datetime) -> Any:
    """The same for every run: moments around `now` are told as if it were noon on the page's day."""
    if isinstance(value, dict):
        return {key: _MADE_ANEW.get(key) or normalised(item, now) for key, item in value.items()}
    if isinstance(value, list):
        most = _MAX_ITEMS if value and isinstance(value[0], dict) else None
        return [normalised(item, now) for item in value[:most]]
    if not isinstance(value, str):
        return value
    if _TIME.fullmatch(value):
        moment = datetime.fromisoformat(value)
        if abs(moment - now) < _LATELY:
            steps = round((moment - now) / _STEP)
            return (NOON + steps * _STEP).isoformat().replace("+00:00", "Z")
        return value
    if _DAY.fullmatch(value):
        return NOON.date().isoformat() if abs(datetime.fromisoformat(f"{value}T12:00Z") - now) < _LATELY else value
    if signed := _SIGNED.fullmatch(value):
        return _SHOWN_SIGNED[signed[1]]
    if _LINK_CODE.fullmatch(value):
        return _SHOWN_LINK_CODE
    return value if len(value) <= _MAX_TEXT else value[:_MAX_TEXT] + "…"


def as_shown(answer: Any, shown: Any, *, top: bool = True) -> Any:
    """A real answer with as much left out as the page leaves out."""
    if isinstance(shown, dict) and isinstance(answer, dict):
        keys = answer if top else [key for key in answer if key in shown]
        return {key: as_shown(answer[key], shown.get(key, answer[key]), top=False) for key in keys}
    if isinstance(shown, list) and isinstance(answer, list) and all(isinstance(each, dict) for each in answer):
        return [as_shown(each, item, top=False) for each, item in zip(answer, shown, strict=False)]
    return answer


def alike(one: Any, other: Any) -> bool:
    """Whether two answers have the same fields with values of the same kind. Null and an empty list may be anything."""
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return not one or not other or alike(one[0], other[0])
    numbers = {type(one), type(other)} == {int, float}
    return one is None or other is None or type(one) is type(other) or numbers
