"""What a search asks of traces: in both of Jaeger's forms, read into one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from spanflow.viewer_api.jaeger.durations import duration_ns

if TYPE_CHECKING:
    # The worker that matches traces does without the server's libraries.
    from starlette.datastructures import QueryParams

_US: Final = 1000
_MS: Final = 1_000_000
_DAY_MS: Final = 24 * 3600 * 1000
_LOOKBACK_NS: Final = 2 * 24 * 3600 * 10**9
_DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1500
#: 2262: Go's and OTLP's times end there.
_LAST_NS: Final = 2**63 - 1
_MAX_TAGS: Final = 50
_START_MIN: Final = ("startTimeMin", "start_time_min")
_START_MAX: Final = ("startTimeMax", "start_time_max")
#: `str.isdigit` knows others, which `int` does not.
_DIGITS: Final = frozenset("0123456789")


class BadQuery(ValueError):
    """A parameter that cannot be used; the message is Jaeger's."""


@dataclass(frozen=True, slots=True)
class SpanQuery:
    """One span must have all of it; times in nanoseconds, both ends included."""

    service: str
    start_ns: int
    end_ns: int
    operation: str | None = None
    min_duration_ns: int | None = None
    max_duration_ns: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    limit: int = _DEFAULT_LIMIT


@dataclass(frozen=True, slots=True)
class DependencyQuery:
    """Which calls between services are asked for; of one service only, where one is named."""

    end_ms: int
    lookback_ms: int
    service: str | None


def query_v1(params: "QueryParams", now_ns: int) -> SpanQuery:
    """`/api/traces?service=…&start=…` with times in microseconds. What is empty counts as left out."""
    service = params.get("service")
    if not service:
        raise BadQuery("parameter 'service' is required")
    start = _whole(params, "start")
    end = _whole(params, "end")
    shortest, longest = _duration_v1(params, "minDuration"), _duration_v1(params, "maxDuration")
    if shortest is not None and longest is not None and longest < shortest:
        raise BadQuery("'maxDuration' should be greater than 'minDuration'")
    limit = _limit_v1(params)
    return SpanQuery(
        service=service,
        operation=params.get("operation") or None,
        start_ns=now_ns - _LOOKBACK_NS if start is None else _bounded(start * _US),
        end_ns=now_ns if end is None else _bounded(end * _US),
        min_duration_ns=shortest,
        max_duration_ns=longest,
        tags=_tags_v1(params),
        limit=_limit(limit),
    )


def query_v3(params: "QueryParams") -> SpanQuery:
    """`/api/v3/traces?query.serviceName=…`, in camel case or, as Grafana writes it, with underscores."""
    service = _v3(params, "serviceName", "service_name")
    if not service:
        raise BadQuery("malformed parameter query.serviceName: it is required")
    if _v3(params, "filter", "filter"):
        raise BadQuery("malformed parameter query.filter: filter expressions are not supported")
    if not (_v3(params, *_START_MIN) and _v3(params, *_START_MAX)):
        raise BadQuery("query.start_time_min and query.start_time_max are required")
    start = _moment(params, *_START_MIN)
    end = _moment(params, *_START_MAX)
    if start >= end:
        raise BadQuery("malformed parameter query.startTimeMin: it must be before query.startTimeMax")
    depth = _v3(params, "searchDepth", "search_depth", "numTraces", "num_traces")
    try:
        limit = int(depth) if depth else None
    except ValueError:
        raise BadQuery(f'malformed parameter query.searchDepth: strconv.ParseInt: parsing "{depth[:64]}"') from None
    return SpanQuery(
        service=service,
        operation=_v3(params, "operationName", "operation_name") or None,
        start_ns=start,
        end_ns=end,
        min_duration_ns=_duration_v3(params, "durationMin", "duration_min"),
        max_duration_ns=_duration_v3(params, "durationMax", "duration_max"),
        tags=_tag_map(_v3(params, "attributes", "attributes"), "malformed parameter query.attributes"),
        limit=_limit(limit),
    )


def dependency_query(params: "QueryParams", now_ms: int) -> DependencyQuery:
    """`/api/dependencies?endTs=…&lookback=…`, both in milliseconds."""
    end, lookback = _whole(params, "endTs"), _whole(params, "lookback")
    end = now_ms if end is None else min(max(end, 0), _LAST_NS // _MS)
    lookback = _DAY_MS if lookback is None else min(max(lookback, 0), end)
    return DependencyQuery(end, lookback, params.get("service") or None)


def _limit_v1(params: "QueryParams") -> int | None:
    try:
        return _whole(params, "limit")
    except BadQuery as why:
        # Of this parameter Jaeger does not say the name.
        raise BadQuery(str(why).partition(": ")[2]) from None


def _limit(asked: int | None) -> int:
    return min(asked, MAX_LIMIT) if asked and asked > 0 else _DEFAULT_LIMIT


def _bounded(ns: int) -> int:
    return min(max(ns, 0), _LAST_NS)


def _whole(params: "QueryParams", name: str) -> int | None:
    text = params.get(name)
    if not text:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        raise BadQuery(f"unable to parse param '{name}': strconv.ParseInt: parsing \"{text[:64]}\": invalid syntax")
    return int(text)


def _bound(text: str | None) -> int | None:
    """Zero bounds nothing, as in Jaeger."""
    return (duration_ns(text) or None) if text else None


def _duration_v1(params: "QueryParams", name: str) -> int | None:
    text = params.get(name)
    try:
        return _bound(text)
    except ValueError as why:
        raise BadQuery(f"unable to parse param '{name}': {why}") from None


def _duration_v3(params: "QueryParams", *names: str) -> int | None:
    text = _v3(params, *names)
    try:
        return _bound(text)
    except ValueError as why:
        raise BadQuery(f"malformed parameter query.{names[0]}: {why}") from None


def _tags_v1(params: "QueryParams") -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in params.getlist("tag"):
        key, colon, value = text.partition(":")
        if not colon:
            raise BadQuery(f"malformed 'tag' parameter, expecting key:value, received: {text[:64]}")
        tags[key] = value
    for text in params.getlist("tags"):
        tags |= _tag_map(text, "malformed 'tags' parameter, cannot unmarshal JSON")
    if len(tags) > _MAX_TAGS:
        raise BadQuery(f"malformed 'tags' parameter: at most {_MAX_TAGS} tags can be asked for")
    return tags


def _tag_map(text: str, complaint: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        read: Any = json.loads(text)
    except (ValueError, RecursionError) as why:
        raise BadQuery(f"{complaint}: {why}") from None
    if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
        raise BadQuery(f"{complaint}: it must be an object whose values are texts")
    if len(read) > _MAX_TAGS:
        raise BadQuery(f"{complaint}: at most {_MAX_TAGS} tags can be asked for")
    return read


def _v3(params: "QueryParams", *names: str) -> str:
    return next((value for name in names if (value := params.get(f"query.{name}"))), "")


def _moment(params: "QueryParams", *names: str) -> int:
    """RFC 3339. Grafana does not escape the `+` of an offset, so that it arrives as a space."""
    text = _v3(params, *names)
    whole = text.strip()
    if whole[-6:-5] == " ":
        whole = f"{whole[:-6]}+{whole[-5:]}"
    try:
        # To the nanosecond; `datetime` reads six digits.
        head, point, rest = whole.partition(".")
        digits = rest[: next((place for place, char in enumerate(rest) if char not in _DIGITS), len(rest))]
        moment = datetime.fromisoformat(head + rest[len(digits) :] if point else whole)
        if moment.tzinfo is None or len(digits) > 9:
            raise ValueError(text)
    except ValueError:
        raise BadQuery(f'malformed parameter query.{names[0]}: parsing time "{text[:64]}"') from None
    return _bounded(int(moment.timestamp()) * 10**9 + int(digits.ljust(9, "0") or 0))
