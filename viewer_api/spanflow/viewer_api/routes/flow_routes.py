"""Flows: as existing dashboards read them, and as ours does."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanflow.span_processors import names
from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_reader import FlowReader, flow_reader
from spanflow.viewer_api.flows.legacy_answers import as_legacy_row, as_session_row
from spanflow.viewer_api.flows.written_flows import written_flow, written_session, written_session_tree
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.query_values import checked_flow_id, checked_id, filter_text
from spanflow.viewer_api.http.responses import json_response, raw_json_response
from spanflow.viewer_api.legacy import shapes
from spanflow.viewer_api.legacy.prefix import is_legacy
from spanflow.viewer_api.routes.large_answers import answer_of
from spanflow.viewer_api.viewer import Needs, principal_of, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
Limit = Annotated[int, Query(ge=1)]
MAX_FLOWS = 200
#: Flows of one session that are read at once.
MAX_SESSION_FLOWS = 1000


def _reader(request: Request) -> FlowReader:
    viewer = viewer_of(request)
    return flow_reader(viewer, principal_of(request), legacy=is_legacy(request))


Reader = Annotated[FlowReader, Depends(_reader)]


@router.get("/monitoring/flows/session/{session_id}")
async def session_document(request: Request, principal: MayRead, reader: Reader, session_id: str) -> Response:
    """All flows of a session, merged into one."""
    session_id = checked_id(session_id)
    flows = await _session(request, reader, session_id)
    if not flows:
        return json_response(shapes.flow_not_found())
    return raw_json_response(await answer_of(viewer_of(request), written_session, flows, session_id))


@router.get("/monitoring/flows/{user_id}")
async def flows_of_user(
    request: Request, principal: MayRead, reader: Reader, user_id: str, limit: Limit = 50
) -> Response:
    """A user's flows, newest first."""
    user_id = checked_id(user_id)
    await viewer_of(request).must_see(request, "flows_read", user_id)
    await viewer_of(request).record_access(request, "flows_read", user_id=user_id)
    flows = await reader.of_user(user_id, None, min(limit, MAX_FLOWS))
    return await asyncio.to_thread(lambda: json_response({"flows": [as_legacy_row(flow) for flow in flows]}))


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
    await viewer_of(request).must_see(request, "sessions_read", user_id)
    await viewer_of(request).record_access(request, "sessions_read", user_id=user_id)
    sessions = await reader.sessions_of_user(user_id, filter_text(source), min(limit, MAX_FLOWS))

    def body() -> Response:
        shown = [as_session_row(session_id, flows) for session_id, flows in sessions.items()]
        if is_legacy(request):
            shown = [{**row, "source": row["source"] or names.DEFAULT_SOURCE} for row in shown]
        return json_response({"user_id": shown_id(user_id), "sessions": shown})

    return await asyncio.to_thread(body)


@router.get("/flows/session/{session_id}")
async def session_tree(request: Request, principal: MayRead, reader: Reader, session_id: str) -> Response:
    """A session's flows, and all their checkpoints as one tree."""
    session_id = checked_id(session_id)
    flows = await _session(request, reader, session_id)
    if not flows:
        return json_response(shapes.session_not_found(session_id))
    return raw_json_response(await answer_of(viewer_of(request), written_session_tree, flows, session_id))


@router.get("/flows/{flow_id}")
async def one_flow(request: Request, principal: MayRead, reader: Reader, flow_id: str) -> Response:
    """One flow, running or past, with one merged entry per span."""
    flow_id = checked_flow_id(flow_id)
    packed = await reader.packed(flow_id)
    if packed is None:
        await viewer_of(request).missed(request, "flow_read", flow_id)
        raise Problem(404, "flow_not_found", "There is no flow with this id.")
    await viewer_of(request).record_access(request, "flow_read", user_id=packed.flow.user_id, target=flow_id)
    viewer = viewer_of(request)
    return raw_json_response(await answer_of(viewer, written_flow, [packed], viewer.settings.viewer_trace_url))


async def _session(request: Request, reader: FlowReader, session_id: str) -> list[PackedFlow]:
    """The flows of a session, in start order; the look is written down for each user in it. A problem when there are
    none, except for dashboards that were written before Spanflow."""
    flows = await reader.of_session(session_id, MAX_SESSION_FLOWS)
    if not flows:
        await viewer_of(request).missed(request, "session_read", session_id)
        if is_legacy(request):
            return []
        raise Problem(404, "session_not_found", "There is no session with this id.")
    users = [packed.flow.user_id for packed in flows]
    await viewer_of(request).record_access_to(request, "session_read", users, target=session_id)
    return flows
