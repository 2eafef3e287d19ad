"""Flows: as existing dashboards read them, and as ours does."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.span_processors.search_terms import tsquery
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.dates import parsed_time
from spanflow.viewer_api.documents import Flow
from spanflow.viewer_api.flow_reader import FlowReader
from spanflow.viewer_api.nesting import nested_json
from spanflow.viewer_api.paging import cursor_of, read_cursor
from spanflow.viewer_api.problems import Problem
from spanflow.viewer_api.responses import json_response
from spanflow.viewer_api.store.flows import Filters
from spanflow.viewer_api.summaries import live_summary, stored_summary
from spanflow.viewer_api.viewer import Needs, checked_id, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
Limit = Annotated[int, Query(ge=1)]
MAX_FLOWS = 200
#: Flows of one session that are read at once.
MAX_SESSION_FLOWS = 1000


def _reader(request: Request) -> FlowReader:
    viewer = viewer_of(request)
    return FlowReader(viewer.flows, viewer.redis_flows)


Reader = Annotated[FlowReader, Depends(_reader)]


@router.get("/monitoring/flows/session/{session_id}")
async def session_document(request: Request, principal: MayRead, reader: Reader, session_id: str) -> Response:
    """All flows of a session, merged into one."""
    session_id = checked_id(session_id)
    flows = await _session(request, reader, session_id)
    events = [event for flow in flows for event in flow.seeds_events()]
    first = flows[0]
    document: dict[str, Any]
    if len(flows) == 1:
        document = first.seeds_document()
    else:
        document = {
            "session_id": shown_id(session_id),
            "user_id": shown_id(_first(flow.user_id for flow in flows)),
            "conversation_id": shown_id(_first(flow.conversation_id for flow in flows)),
            "flow_ids": [flow.flow_id for flow in flows],
            "events": events,
        }
    return json_response(
        {
            "session_id": shown_id(session_id),
            "user_id": shown_id(_first(flow.user_id for flow in flows)),
            "flow_data": document,
            "created_at": first.created_at,
            "completed_at": _completed(flows),
        }
    )


@router.get("/monitoring/flows/{user_id}")
async def flows_of_user(
    request: Request, principal: MayRead, reader: Reader, user_id: str, limit: Limit = 50
) -> Response:
    """A user's flows, newest first."""
    user_id = checked_id(user_id)
    await viewer_of(request).look(request, "flows_read", user_id=user_id)
    flows = await reader.of_user(user_id, None, min(limit, MAX_FLOWS))
    return json_response({"flows": [_as_seeds_row(flow) for flow in flows]})


@router.get("/flows/user/{user_id}/sessions")
@router.get("/monitoring/flows/user/{user_id}/sessions", include_in_schema=False)
async def sessions_of_user(
    request: Request,
    principal: MayRead,
    reader: Reader,
    user_id: str,
    limit: Limit = 50,
    source: Annotated[str | None, Query(max_length=128)] = None,
) -> Response:
    """A user's sessions, newest first, each with its checkpoints."""
    user_id = checked_id(user_id)
    await viewer_of(request).look(request, "sessions_read", user_id=user_id)
    sessions = await reader.sessions_of_user(user_id, _plain(source), min(limit, MAX_FLOWS))
    shown = []
    for session_id, flows in sessions.items():
        events = [event for flow in flows for event in flow.seeds_events()]
        shown.append(
            {
                "session_id": shown_id(session_id),
                "started_at": flows[0].created_at,
                "completed_at": _completed(flows),
                "event_count": len(events),
                "events": events,
                "source": _first(flow.source for flow in flows),
            }
        )
    return json_response({"user_id": shown_id(user_id), "sessions": shown})


@router.get("/flows/session/{session_id}")
async def session_tree(request: Request, principal: MayRead, reader: Reader, session_id: str) -> Response:
    """A session's flows, and all their checkpoints as one tree."""
    session_id = checked_id(session_id)
    flows = await _session(request, reader, session_id)
    events: list[Any] = []
    for flow in flows:
        events.extend({**event, "flow_id": flow.flow_id} for event in flow.seeds_events() if isinstance(event, dict))
    head = {
        "session_id": shown_id(session_id),
        "user_id": shown_id(_first(flow.user_id for flow in flows)),
        "started_at": flows[0].created_at,
        "completed_at": _completed(flows),
        "event_count": len(events),
    }
    rows = [{**flow.ids(), "source": flow.source, **_as_seeds_row(flow)} for flow in flows]
    body = json_response({"session_id": shown_id(session_id), "flows": rows})
    # The tree is written apart: JSON writers refuse its depth.
    body.body = bytes(body.body)[:-1] + b',"tree":' + nested_json(head, events) + b"}"
    body.headers["content-length"] = str(len(body.body))
    return body


@router.get("/flows")
async def flows(
    request: Request,
    principal: MayRead,
    reader: Reader,
    user_id: str | None = None,
    session_id: str | None = None,
    conversation_id: str | None = None,
    source: Annotated[str | None, Query(max_length=128)] = None,
    outcome: Annotated[str | None, Query(max_length=32)] = None,
    q: Annotated[str, Query(max_length=200)] = "",
    since: str | None = None,
    until: str | None = None,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Limit = 50,
) -> Response:
    """Summaries of flows, newest first; what runs stands on the first page."""
    limit = min(limit, MAX_FLOWS)
    wanted = Filters(
        user_id=_optional_id(user_id),
        session_id=_optional_id(session_id),
        conversation_id=_optional_id(conversation_id),
        source=_plain(source),
        outcome=_plain(outcome),
        since=parsed_time(since, "since"),
        until=parsed_time(until, "until", end=True),
        terms=tsquery(q.replace("\0", " ")),
    )
    after = read_cursor(cursor)
    target = wanted.session_id or wanted.conversation_id
    await viewer_of(request).look(request, "flows_listed", user_id=wanted.user_id, target=target)
    running = [] if after else await reader.running(wanted)
    rows = await reader.store.page(wanted, after, limit)
    known = {flow.flow_id for flow in running}
    shown = [live_summary(flow) for flow in running]
    shown += [stored_summary(row) for row in rows if row["flow_id"] not in known]
    more = cursor_of(rows[-1]["start_key"], rows[-1]["flow_id"]) if len(rows) == limit else None
    return json_response({"flows": shown, "next": more})


@router.get("/flows/{flow_id}")
async def one_flow(request: Request, principal: MayRead, reader: Reader, flow_id: str) -> Response:
    """One flow, running or past, with one merged entry per span."""
    flow_id = checked_id(flow_id)
    flow = await reader.one(flow_id)
    if flow is None:
        raise Problem(404, "flow_not_found", "There is no flow with this id.")
    await viewer_of(request).look(request, "flow_read", user_id=flow.user_id, target=flow_id)
    return json_response(
        {
            **flow.ids(),
            "open": flow.open,
            "created_at": flow.created_at,
            "completed_at": flow.completed_at,
            "source": flow.source,
            "flow_data": flow.document,
        }
    )


async def _session(request: Request, reader: FlowReader, session_id: str) -> list[Flow]:
    """The flows of a session, in start order; the look is written down for each user in it."""
    flows = await reader.of_session(session_id, MAX_SESSION_FLOWS)
    if not flows:
        raise Problem(404, "session_not_found", "There is no session with this id.")
    for user_id in dict.fromkeys(flow.user_id for flow in flows):
        await viewer_of(request).look(request, "session_read", user_id=user_id, target=session_id)
    return flows


def _as_seeds_row(flow: Flow) -> dict[str, Any]:
    return {
        "flow_id": flow.flow_id,
        "session_id": shown_id(flow.session_id),
        "flow_data": flow.seeds_document(),
        "created_at": flow.created_at,
        "completed_at": flow.completed_at,
    }


def _completed(flows: list[Flow]) -> Any:
    """When the last of them was complete; None while one is open."""
    ends = [flow.completed_at for flow in flows]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _first(values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _optional_id(value: str | None) -> str | None:
    return None if value is None or value == "" else checked_id(value)


def _plain(value: str | None) -> str | None:
    """A filter's text; an empty one filters nothing, and Postgres knows no NUL."""
    return value.replace("\0", "") or None if value else None
