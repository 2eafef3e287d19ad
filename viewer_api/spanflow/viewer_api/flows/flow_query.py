"""What a client asks of the list of flows."""

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import QueryParams

from spanflow.span_processors import names
from spanflow.span_processors.archive.search_terms import tsquery
from spanflow.span_processors.tree.step_keys import MAX_KEY
from spanflow.viewer_api.auth.permissions import Principal, Right, allowed
from spanflow.viewer_api.http.list_query import MAX_TEXT, ListQuery
from spanflow.viewer_api.http.problems import forbidden, invalid_request
from spanflow.viewer_api.http.query_values import whole_flow_id
from spanflow.viewer_api.store.flow_filters import RUNNING, Bounds, Choice, Filters
from spanflow.viewer_api.store.flow_notes import VERDICTS
from spanflow.viewer_api.store.gates import FUNNEL
from spanflow.viewer_api.store.search_plan import Order

#: Fewer digits of an id would match too much.
MIN_ID_PREFIX: Final = 6
_ID_LENGTH: Final = 32
_IDS: Final = ("user_id", "session_id", "conversation_id")
_NAMES: Final = ("source", "outcome", "outcome_reason", "gate", "checkpoint", "step", "tool", "mcp_server", "model")
_RANGES: Final = ("duration_ms", "tokens", "cost")
#: Whatever else stands in the query string is a mistake.
KNOWN: Final = frozenset(
    (*_IDS, *_NAMES, *(f"{edge}_{name}" for edge in ("min", "max") for name in _RANGES))
    + ("stopped_at", "verdict", "started_since", "started_until")
    + ("id", "user", "team", "q", "stepless", "since", "until", "sort", "count", "cursor", "limit")
)
_OUTCOMES: Final = (*names.OUTCOMES, RUNNING)
_SHOW: Final = "show"
_HIDE: Final = "hide"


@dataclass(frozen=True, slots=True)
class FlowQuery:
    filters: Filters
    order: Order
    #: Part of an e-mail address or name; the user directory knows whose.
    person: str | None
    #: Teams; the user directory knows their members.
    teams: Choice | None
    #: What was asked, for the audit log.
    searched: dict[str, str]
    #: Its cursors, and whether it counts.
    listing: ListQuery


def flow_query(params: QueryParams, principal: Principal) -> FlowQuery:
    """The query string; a problem that says which parameter is wrong, and why."""
    visible = principal.visible
    query = ListQuery(params, KNOWN, visible)
    verdicts = query.words("verdict", VERDICTS)
    if verdicts is not None and not allowed(principal, Right.ANNOTATE):
        raise forbidden(f"verdict: you need the right '{Right.ANNOTATE}' for this.")
    since, until = query.times()
    started_since, started_until = query.times("started_since", "started_until")
    outcomes, gates = query.words("outcome", _OUTCOMES), query.words("gate")
    if gates is not None and outcomes is not None and names.OUTCOME_DENIED not in outcomes:
        raise invalid_request("gate: only a denied flow has one, and outcome asks for others.")
    filters = Filters(
        id_prefixes=_id_prefixes(query),
        user_ids=query.ids("user_id"),
        session_ids=query.ids("session_id"),
        conversation_ids=query.ids("conversation_id"),
        sources=query.words("source"),
        outcomes=outcomes,
        outcome_reasons=query.words("outcome_reason", names.OUTCOME_REASONS),
        gates=gates,
        event_types=query.words("checkpoint"),
        steps=query.words("step", most=MAX_KEY),
        tools=query.words("tool"),
        mcp_servers=query.words("mcp_server"),
        models=query.words("model"),
        duration_ms=Bounds(*query.bounds("duration_ms")),
        tokens=Bounds(*query.bounds("tokens")),
        cost=Bounds(*query.bounds("cost")),
        since=since,
        until=until,
        started_since=started_since,
        started_until=started_until,
        stopped_at=query.words("stopped_at", FUNNEL),
        verdicts=verdicts,
        text=_text(query),
        stepless=query.one_of("stepless", [_SHOW, _HIDE], _SHOW) == _SHOW,
        visible=visible,
    )
    return FlowQuery(
        filters=filters,
        order=Order(query.one_of("sort", [order.value for order in Order], Order.NEWEST.value)),
        person=query.text("user"),
        teams=query.words("team"),
        searched=query.searched(),
        listing=query,
    )


def _text(query: ListQuery) -> str | None:
    text = query.single("q")
    if text is not None and len(text) > MAX_TEXT:
        raise invalid_request(f"q: at most {MAX_TEXT} characters.")
    if text is not None and tsquery(text) is None:
        raise invalid_request("q: there is no word in it that could be looked for.")
    return text


def _id_prefixes(query: ListQuery) -> Choice | None:
    prefix = query.single("id")
    if prefix is None:
        return None
    prefix = prefix.lower()
    if not MIN_ID_PREFIX <= len(prefix) <= _ID_LENGTH or not set(prefix) <= set("0123456789abcdef"):
        raise invalid_request(f"id: give the first {MIN_ID_PREFIX} to {_ID_LENGTH} hexadecimal digits of a flow's id.")
    whole = whole_flow_id(prefix)
    return (prefix,) if whole == prefix else (prefix, whole)
