"""All that is known of one person, as a file."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.export.person_file import PersonFile, written_flows
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.query_values import checked_id
from spanflow.viewer_api.routes.large_answers import answer_of
from spanflow.viewer_api.store.person_data import PersonData
from spanflow.viewer_api.viewer import Needs, stated_reason, viewer_of

router = APIRouter(prefix="/api/v1/users", tags=["users"])
MayExport = Annotated[Principal, Depends(Needs(Right.ERASE))]
_FILES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/x-ndjson": {}}}}


@router.get("/{user_id}/export", response_class=StreamingResponse, responses=_FILES)
async def exported_person(request: Request, principal: MayExport, user_id: str) -> Response:
    """Everything that is known of a person, a JSON object per line; needs a reason in `X-Spanflow-Reason`.

    It is written while it is read, so that it may be as long as it will. The last line has the kind `end`: a file
    without it broke off.
    """
    viewer, user_id = viewer_of(request), checked_id(user_id)
    if stated_reason(request) is None:
        raise Problem(422, "reason_required", "Say why, in the header X-Spanflow-Reason.")
    await viewer.audit.write(viewer.entry(request, "user_exported", user_id=user_id))
    now = datetime.fromtimestamp(viewer.clock(), UTC)
    data = PersonData(viewer.database, user_id)

    def write(flows: Sequence[PackedFlow]) -> Awaitable[bytes]:
        return answer_of(viewer, written_flows, flows)

    parts = PersonFile(user_id, data, viewer.flows, flow_reader(viewer, principal), now, write).parts()
    # Errors of the database are reported before the file begins.
    first = await anext(parts)
    second = await anext(parts)

    async def whole() -> AsyncIterator[bytes]:
        yield first
        yield second
        async for part in parts:
            yield part

    safe = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in user_id)
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="person-{safe}.jsonl"'}
    return StreamingResponse(whole(), headers=headers, media_type="application/x-ndjson")
