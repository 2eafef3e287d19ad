"""One flow beside the usual one of its kind."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanflow.span_processors.tree.flow_times import root_of
from spanflow.viewer_api.analysis.against_usual import written_against_usual
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.documents import PackedFlow, packed_rows
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.http.query_values import checked_flow_id
from spanflow.viewer_api.http.responses import raw_json_response
from spanflow.viewer_api.routes.large_answers import answer_of
from spanflow.viewer_api.routes.one_flow import read_packed
from spanflow.viewer_api.store.usual_flows import WITHIN, FlowKind, UsualFlows
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
#: So much `flow_data` is read to say what is usual.
_MOST_BYTES: Final = 8 * 1024 * 1024


@router.get("/flows/{flow_id}/usual", responses={404: {"description": "The flow is not there, or may not be seen."}})
async def compared_with_usual(request: Request, principal: MayRead, flow_id: str) -> Response:
    """One flow, running or past, step by step beside what is usual for flows of its kind.

    `a` is what is usual, `b` the flow; differences are positive where the flow took longer. Of its kind are flows of
    the same name and source that went well: the newest 100 in the week before. `of` says whether a time is that of all
    steps of the kind in 24 hours, or of the steps at this place in these flows.
    """
    flow_id, viewer = checked_flow_id(flow_id), viewer_of(request)
    packed, outlook = await read_packed(request, principal, flow_id, "flow_compared")
    kind = await _kind_of(viewer, packed)
    others = await _others(viewer, principal, packed.flow.flow_id, kind)
    durations = await viewer.usual.durations_before(kind.began)
    about_kind = {"name": kind.name, "source": kind.source, "since": kind.began - WITHIN, "until": kind.began}
    return raw_json_response(
        await answer_of(viewer, written_against_usual, [packed, *others], outlook, durations, about_kind)
    )


async def _kind_of(viewer: Viewer, packed: PackedFlow) -> FlowKind:
    stored = await UsualFlows(viewer.database).kind_of(packed.flow.flow_id)
    if stored is not None:
        return stored
    root = await asyncio.to_thread(lambda: root_of(packed.unpacked().entries))
    now = datetime.fromtimestamp(viewer.clock(), UTC)
    return FlowKind(root.get("name") if root else None, packed.flow.source, packed.flow.created_at or now)


async def _others(viewer: Viewer, principal: Principal, flow_id: str, kind: FlowKind) -> list[PackedFlow]:
    """Never those of users who are watched without contents: a step's name may tell what they asked for."""
    reader = flow_reader(viewer, principal)
    rows: list[Any] = await UsualFlows(viewer.database).places(flow_id, kind, principal.visible)
    rows = [row for row in await reader.past(rows) if not reader.withheld.of_past(row["user_id"])]
    places = [(row["start_key"], row["flow_id"]) for row in rows]
    return packed_rows(await viewer.flows.whole(places, _MOST_BYTES)) if places else []
