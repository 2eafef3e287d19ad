"""What a search asks of traces, in Tempo's parameters."""

from collections.abc import Iterator
from dataclasses import dataclass
from shlex import shlex
from typing import TYPE_CHECKING, Final

from spanflow.viewer_api.jaeger.durations import duration_ns
from spanflow.viewer_api.tempo.span_filter import INTRINSIC, UNSCOPED, Both, Condition, Contains, Every, Field, Filter
from spanflow.viewer_api.tempo.traceql import BadTraceQL, parse

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

_S: Final = 1_000_000_000
#: Without a time range Tempo looks at what came lately.
_RECENT_NS: Final = 3600 * _S
_LAST_S: Final = (2**63 - 1) // _S
_DEFAULT_LIMIT: Final = 20
_MAX_LIMIT: Final = 1000
_SPANS_PER_SET: Final = 3
_MAX_SPANS_PER_SET: Final = 100
_TRACE_DURATION: Final = Field(INTRINSIC, "traceDuration")


@dataclass(frozen=True, slots=True)
class Window:
    """Flows of which time are looked at, and how many are wanted. Nanoseconds, both ends included."""

    start_ns: int
    end_ns: int
    limit: int = _DEFAULT_LIMIT


@dataclass(frozen=True, slots=True)
class TempoQuery:
    """One span must meet the filter."""

    filter: Filter
    window: Window
    spans_per_set: int = _SPANS_PER_SET


def window_of(params: "QueryParams", now_ns: int, limit: int) -> Window:
    """`start` and `end` in seconds."""
    start, end = _whole(params, "start"), _whole(params, "end")
    end_ns = now_ns if end is None else min(end, _LAST_S) * _S
    start_ns = max(0, end_ns - _RECENT_NS) if start is None else min(start, _LAST_S) * _S
    if start_ns > end_ns:
        raise BadTraceQL("start must not be after end")
    return Window(start_ns, end_ns, limit)


def search_query(params: "QueryParams", now_ns: int) -> TempoQuery:
    """`q`, or `tags` with `minDuration` and `maxDuration`."""
    limit = min(_whole(params, "limit") or _DEFAULT_LIMIT, _MAX_LIMIT)
    per_set = min(_whole(params, "spss") or _SPANS_PER_SET, _MAX_SPANS_PER_SET)
    window = window_of(params, now_ns, limit)
    query = params.get("q")
    searched: Filter = parse(query) if query else _by_tags(params.get("tags") or "")
    for name, sign in (("minDuration", ">="), ("maxDuration", "<=")):
        if text := params.get(name):
            try:
                searched = Both(Condition(_TRACE_DURATION, sign, duration_ns(text)), searched)
            except ValueError as why:
                raise BadTraceQL(f"{name}: {why}") from None
    return TempoQuery(searched, window, per_set)


def _by_tags(text: str) -> Filter:
    joined: Filter = Every()
    for key, value in _logfmt(text):
        named = Field(INTRINSIC, key) if key in ("name", "status") else Field(UNSCOPED, key)
        one = Contains(named, value)
        joined = one if isinstance(joined, Every) else Both(joined, one)
    return joined


def _logfmt(text: str) -> Iterator[tuple[str, str]]:
    lexer = shlex(text[:8192], posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.quotes = '"'
    try:
        pairs = list(lexer)
    except ValueError as why:
        raise BadTraceQL(f"tags: {why}") from None
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise BadTraceQL(f"tags: expected key=value, not {pair[:64]!r}")
        yield key, value


def _whole(params: "QueryParams", name: str) -> int | None:
    text = params.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise BadTraceQL(f"invalid {name}: {text[:64]!r} is no whole number")
    return int(text)
