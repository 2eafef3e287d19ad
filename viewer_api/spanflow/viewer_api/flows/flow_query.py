"""What a client asks of the list of flows: its query string, read strictly, because a filter that is silently ignored
looks like an answer."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import Final

from starlette.datastructures import QueryParams

from spanflow.span_processors import names
from spanflow.span_processors.archive.search_terms import tsquery
from spanflow.viewer_api.http.paging import search_mark
from spanflow.viewer_api.http.problems import invalid_request
from spanflow.viewer_api.http.query_values import parsed_time
from spanflow.viewer_api.store.flow_filters import RUNNING, Bounds, Choice, Filters
from spanflow.viewer_api.store.flow_statements import Order
from spanflow.viewer_api.store.gates import FUNNEL
from spanflow.viewer_api.viewer import checked_id

#: Values of one filter.
MAX_VALUES: Final = 50
#: Of names of tools, servers, models and the like; longer ones are not stored.
MAX_NAME: Final = 200
MAX_TEXT: Final = 200
#: Fewer digits of an id would match too much.
MIN_ID_PREFIX: Final = 6
_ID_LENGTH: Final = 32
_MAX_NUMBER: Final = 1e15
_IDS: Final = ("user_id", "session_id", "conversation_id")
_NAMES: Final = ("source", "outcome", "outcome_reason", "gate", "checkpoint", "tool", "mcp_server", "model")
_RANGES: Final = ("duration_ms", "tokens", "cost")
#: Whatever else stands in the query string is a mistake.
KNOWN: Final = frozenset(
    (*_IDS, *_NAMES, *(f"{edge}_{name}" for edge in ("min", "max") for name in _RANGES))
    + ("stopped_at", "started_since", "started_until")
    + ("id", "user", "team", "q", "stepless", "since", "until", "sort", "count", "cursor", "limit")
)
_OUTCOMES: Final = (*names.OUTCOMES, RUNNING)
_SHOW: Final = "show"
_HIDE: Final = "hide"
#: What makes no other search, only another part of its answer.
_NOT_THE_SEARCH: Final = frozenset({"cursor", "limit", "count"})


class Counting(StrEnum):
    NONE = "none"
    EXACT = "exact"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class FlowQuery:
    filters: Filters
    order: Order
    counting: Counting
    #: Part of an e-mail address or name; whose it is is for the directory to say.
    person: str | None
    #: Teams; who belongs to them is for the directory to say.
    teams: Choice | None
    #: Names this search in cursors.
    mark: str
    #: What was asked, for the audit log.
    said: dict[str, str]


def flow_query(params: QueryParams, visible: frozenset[str] | None) -> FlowQuery:
    """The query string; a problem that says which parameter is wrong, and why."""
    asked = [(name, value) for name, value in params.multi_items() if value != ""]
    unknown = sorted({name for name, _ in asked} - KNOWN)
    if unknown:
        raise invalid_request(f"{unknown[0][:50]}: there is no such filter. Known are {', '.join(sorted(KNOWN))}.")
    given: dict[str, list[str]] = {}
    for name, value in asked:
        given.setdefault(name, []).append(value.replace("\0", ""))
    since, until = _range_of_time(given, "since", "until")
    started_since, started_until = _range_of_time(given, "started_since", "started_until")
    outcomes, gates = _words(given, "outcome", _OUTCOMES), _words(given, "gate")
    if gates is not None and outcomes is not None and names.OUTCOME_DENIED not in outcomes:
        raise invalid_request("gate: only a denied flow has one, and outcome asks for others.")
    text = _single(given, "q")
    if text is not None and len(text) > MAX_TEXT:
        raise invalid_request(f"q: {MAX_TEXT} characters are the most.")
    if text is not None and tsquery(text) is None:
        raise invalid_request("q: there is no word in it that could be looked for.")
    filters = Filters(
        id_prefix=_id_prefix(given),
        user_ids=_ids(given, "user_id"),
        session_ids=_ids(given, "session_id"),
        conversation_ids=_ids(given, "conversation_id"),
        sources=_words(given, "source"),
        outcomes=outcomes,
        outcome_reasons=_words(given, "outcome_reason", names.OUTCOME_REASONS),
        gates=gates,
        event_types=_words(given, "checkpoint"),
        tools=_words(given, "tool"),
        mcp_servers=_words(given, "mcp_server"),
        models=_words(given, "model"),
        duration_ms=_bounds(given, "duration_ms"),
        tokens=_bounds(given, "tokens"),
        cost=_bounds(given, "cost"),
        since=since,
        until=until,
        started_since=started_since,
        started_until=started_until,
        stopped_at=_words(given, "stopped_at", FUNNEL),
        text=text,
        stepless=_one_of(given, "stepless", [_SHOW, _HIDE], _SHOW) == _SHOW,
        visible=visible,
    )
    meant = [(name, value) for name, value in asked if name not in _NOT_THE_SEARCH]
    return FlowQuery(
        filters=filters,
        order=Order(_one_of(given, "sort", [order.value for order in Order], Order.NEWEST.value)),
        counting=Counting(_one_of(given, "count", [counting.value for counting in Counting], Counting.NONE.value)),
        person=_person(given),
        teams=_words(given, "team"),
        mark=search_mark(meant, visible),
        said={name: ", ".join(given[name]) for name in sorted(given) if name not in _NOT_THE_SEARCH},
    )


def _single(given: dict[str, list[str]], name: str) -> str | None:
    values = given.get(name, [])
    if len(values) > 1:
        raise invalid_request(f"{name}: give it once.")
    return values[0] if values else None


def _several(given: dict[str, list[str]], name: str) -> list[str]:
    values = list(dict.fromkeys(given.get(name, [])))
    if len(values) > MAX_VALUES:
        raise invalid_request(f"{name}: {MAX_VALUES} values are the most.")
    return values


def _ids(given: dict[str, list[str]], name: str) -> Choice | None:
    return tuple(checked_id(value) for value in _several(given, name)) or None


def _id_prefix(given: dict[str, list[str]]) -> str | None:
    prefix = _single(given, "id")
    if prefix is None:
        return None
    prefix = prefix.lower()
    if not MIN_ID_PREFIX <= len(prefix) <= _ID_LENGTH or not set(prefix) <= set("0123456789abcdef"):
        raise invalid_request(f"id: give the first {MIN_ID_PREFIX} to {_ID_LENGTH} hexadecimal digits of a flow's id.")
    return prefix


def _words(given: dict[str, list[str]], name: str, known: tuple[str, ...] | None = None) -> Choice | None:
    values = _several(given, name)
    for value in values:
        if len(value) > MAX_NAME:
            raise invalid_request(f"{name}: {MAX_NAME} characters are the most.")
        if known is not None and value not in known:
            raise invalid_request(f"{name}: one of {', '.join(known)}.")
    return tuple(values) or None


def _one_of(given: dict[str, list[str]], name: str, known: list[str], otherwise: str) -> str:
    value = _single(given, name)
    if value is not None and value not in known:
        raise invalid_request(f"{name}: one of {', '.join(known)}.")
    return otherwise if value is None else value


def _bounds(given: dict[str, list[str]], name: str) -> Bounds:
    bounds = Bounds(_number(given, f"min_{name}"), _number(given, f"max_{name}"))
    if bounds.low is not None and bounds.high is not None and bounds.low > bounds.high:
        raise invalid_request(f"min_{name} is greater than max_{name}: nothing can be found.")
    return bounds


def _number(given: dict[str, list[str]], name: str) -> float | None:
    value = _single(given, name)
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not isfinite(number) or not 0 <= number <= _MAX_NUMBER:
        raise invalid_request(f"{name}: a number from 0 on.")
    return number


def _range_of_time(given: dict[str, list[str]], since: str, until: str) -> tuple[datetime | None, datetime | None]:
    low, high = parsed_time(_single(given, since), since), parsed_time(_single(given, until), until, end=True)
    if low is not None and high is not None and low >= high:
        raise invalid_request(f"{since} is not before {until}: nothing can be found.")
    return low, high


def _person(given: dict[str, list[str]]) -> str | None:
    person = (_single(given, "user") or "").strip()
    if len(person) > MAX_TEXT:
        raise invalid_request(f"user: {MAX_TEXT} characters are the most.")
    return person or None
