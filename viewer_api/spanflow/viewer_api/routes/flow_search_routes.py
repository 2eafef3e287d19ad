"""The list of flows: searched, sorted, page by page."""

import hashlib
import math
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right, allowed
from spanflow.viewer_api.flows.flow_query import FlowQuery, flow_query
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.flows.running_flows import RunningFlow
from spanflow.viewer_api.http.list_query import MAX_TEXT
from spanflow.viewer_api.http.paging import MAX_CURSOR, checked_moment, checked_row_id, unreadable_cursor
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.routes.flow_selection import selected
from spanflow.viewer_api.store.counts import counted
from spanflow.viewer_api.store.flow_filters import RUNNING
from spanflow.viewer_api.store.flow_search import Page
from spanflow.viewer_api.store.person import names_in
from spanflow.viewer_api.store.search_plan import Order, Position, SearchPlan
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
Values = Annotated[list[str] | None, Query()]
Text = Annotated[str | None, Query()]
Number = Annotated[str | None, Query(description="A number from 0 on.")]
MAX_FLOWS: Final = 200
#: A word for a flow that was shown while it ran, short because cursors hold many of them.
_SHOWN_BYTES: Final = 6


@router.get("/flows")
async def flows(
    request: Request,
    principal: MayRead,
    id: Annotated[str | None, Query(description="The first 6 or more hexadecimal digits of a flow's id.")] = None,
    user_id: Values = None,
    user: Annotated[
        str | None, Query(max_length=MAX_TEXT, description="Part of an e-mail address or name, or a user id.")
    ] = None,
    team: Annotated[list[str] | None, Query(description="The team of the user, as gateways name it.")] = None,
    session_id: Values = None,
    conversation_id: Values = None,
    source: Values = None,
    outcome: Annotated[
        list[str] | None, Query(description="ok, denied, error, cancelled, interrupted or running.")
    ] = None,
    outcome_reason: Annotated[
        list[str] | None,
        Query(description="unauthenticated, forbidden, rate_limited, caller_error or server_error."),
    ] = None,
    gate: Annotated[list[str] | None, Query(description="The checkpoint that refused, such as `block_check`.")] = None,
    checkpoint: Annotated[list[str] | None, Query(description="A type of checkpoint, such as `tool_call`.")] = None,
    step: Annotated[
        list[str] | None,
        Query(description="Type and name of a step, such as `tool_call:tools/call list_snapshots`."),
    ] = None,
    tool: Values = None,
    mcp_server: Values = None,
    model: Values = None,
    min_duration_ms: Number = None,
    max_duration_ms: Number = None,
    min_tokens: Number = None,
    max_tokens: Number = None,
    min_cost: Number = None,
    max_cost: Number = None,
    q: Annotated[
        str | None,
        Query(
            max_length=MAX_TEXT, description="Words of names, messages and recorded attributes; the last may be begun."
        ),
    ] = None,
    stepless: Annotated[
        str | None,
        Query(
            description="show (as if left out), or hide: without open connections, health checks and other flows that "
            "have no checkpoint, or of a WebSocket only an auth_check, and did not fail."
        ),
    ] = None,
    verdict: Annotated[
        list[str] | None, Query(description="good, bad or needs_look: what operators say of the flow in their notes.")
    ] = None,
    since: Text = None,
    until: Text = None,
    started_since: Annotated[str | None, Query(description="Only flows that began at this time or later.")] = None,
    started_until: Annotated[str | None, Query(description="Only flows that began before this time.")] = None,
    stopped_at: Annotated[
        list[str] | None, Query(description="The furthest gate that a flow came to, such as `usage_check`.")
    ] = None,
    sort: Annotated[str | None, Query(description="newest (as if left out), duration, tokens or cost.")] = None,
    count: Annotated[str | None, Query(description="none (as if left out), estimated or exact.")] = None,
    cursor: Annotated[str | None, Query(max_length=MAX_CURSOR)] = None,
    limit: Annotated[int, Query(ge=1)] = 50,
) -> Response:
    """Flows that match every filter. A filter that is given several times asks for any of its values.

    Running flows are on the first page; `without_running` says that Redis is unavailable and they are missing. A flow
    is in a time range when any moment of it is. `next` is the cursor of the next page; `searched_until` says that
    a search ran out of time, and that the next page goes on from there.
    """
    viewer = viewer_of(request)
    query = flow_query(request.query_params, principal)
    after, shown_before = _read(cursor, query)
    limit = min(limit, MAX_FLOWS)
    filters = await selected(request, "flows_listed", query)
    plan = SearchPlan.of(filters, query.order)
    reader = flow_reader(viewer, principal)
    running: list[RunningFlow] = []
    if after is None and (query.order is Order.NEWEST or RUNNING in (filters.outcomes or ())):
        # Redis is asked first: a flow that leaves it in between is in Postgres by then.
        running = await reader.running(filters, datetime.fromtimestamp(viewer.clock(), UTC))
    page = await viewer.flows.search.page(plan, after, limit)
    shown = _sorted(running, query.order)
    running_ids = {summary["flow_id"] for summary in shown}
    shown += [
        reader.withheld.summary(row)
        for row in await reader.past(page.rows)
        if row["flow_id"] not in running_ids and _word(row["flow_id"]) not in shown_before
    ]
    await _add_names(viewer, shown)
    if allowed(principal, Right.ANNOTATE):
        verdicts = await viewer.flows.verdicts.of([flow["flow_id"] for flow in shown])
        for flow in shown:
            flow["verdict"] = verdicts.get(flow["flow_id"])
    answer: dict[str, Any] = {
        "flows": shown,
        "next": _written(page, query, shown_before | {_word(id) for id in running_ids}),
    }
    if reader.without_running:
        answer["without_running"] = True
    if page.searched_until is not None:
        answer["searched_until"] = page.searched_until
    answer |= await counted(reader, plan, query.listing.counting)
    return json_response(answer)


async def _add_names(viewer: Viewer, shown: list[dict[str, Any]]) -> None:
    owners = [None if flow["user_id"] is None else str(flow["user_id"]) for flow in shown]
    people = await viewer.users.names_of(owners)
    for flow, owner in zip(shown, owners, strict=True):
        flow |= names_in(people, owner)


def _sorted(running: list[RunningFlow], order: Order) -> list[dict[str, Any]]:
    shown = [flow.shown for flow in running]
    if order is Order.TOKENS:
        shown.sort(key=lambda summary: -(summary["tokens_input"] + summary["tokens_output"]))
    return shown


def _word(flow_id: str) -> str:
    return hashlib.blake2b(flow_id.encode(), digest_size=_SHOWN_BYTES).hexdigest()


def _written(page: Page, query: FlowQuery, shown: Collection[str]) -> str | None:
    """The cursor of the next page. It remembers what was shown while it ran, which may be stored by now."""
    end = page.end
    if end is None:
        return None
    words = "".join(sorted(shown))
    return query.listing.cursor(end.start_key.isoformat(), end.flow_id, end.value, end.slice_seconds, words)


def _read(cursor: str | None, query: FlowQuery) -> tuple[Position | None, frozenset[str]]:
    place = query.listing.place(cursor, 5)
    if place is None:
        return None, frozenset()
    moment, flow_id, value, seconds, words = place
    try:
        start_key, flow_id = checked_moment(moment), checked_row_id(flow_id)
        numbers = [number for number in (value, seconds) if number is not None]
        if any(isinstance(number, bool) or not math.isfinite(number) or abs(number) > 1e15 for number in numbers):
            raise ValueError
        width = 2 * _SHOWN_BYTES
        shown = frozenset(words[at : at + width] for at in range(0, len(words), width))
    except (ValueError, TypeError):
        raise unreadable_cursor() from None
    if (value is None) is not (query.order is Order.NEWEST) or (seconds is not None and not 1 <= seconds <= 1e9):
        raise unreadable_cursor()
    return Position(start_key, flow_id, value, seconds), shown
