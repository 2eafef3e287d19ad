"""Flows as files: one, or all that match."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.export.exported_file import written_file, written_part
from spanflow.viewer_api.export.exported_flow import FlowFormat
from spanflow.viewer_api.export.flow_stream import file_of
from spanflow.viewer_api.export.formats import FORMATS, OF_ONE_FLOW, format_of
from spanflow.viewer_api.export.markdown import DEFAULT_TOKENS, MOST_TOKENS
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_query import flow_query
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.http.problems import Problem, invalid_request
from spanflow.viewer_api.http.query_values import checked_flow_id
from spanflow.viewer_api.routes.flow_selection import selected
from spanflow.viewer_api.routes.large_answers import answer_of
from spanflow.viewer_api.routes.one_flow import read_packed
from spanflow.viewer_api.store.search_plan import Position
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(prefix="/api/v1", tags=["flows"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
Format = Annotated[str, Query(description=", ".join(FORMATS) + ".")]
Tokens = Annotated[
    int,
    Query(ge=100, le=MOST_TOKENS, description="Of Markdown: how many tokens of a model one flow may take, roughly."),
]
_NOT_OF_FILES: Final = ("sort", "limit", "cursor", "count")

#: What a file is made of depends on the format.
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            kind: {} for kind in ("application/json", "application/x-ndjson", "text/csv", "text/markdown", "text/html")
        }
    }
}


@router.get("/flows/{flow_id}/export", responses=_FILES)
async def exported_flow(
    request: Request, principal: MayRead, flow_id: str, format: Format = "json", tokens: Tokens = DEFAULT_TOKENS
) -> Response:
    """One flow, running or past, as a file."""
    made = _format(format, tokens)
    flow_id = checked_flow_id(flow_id)
    packed, outlook = await read_packed(request, principal, flow_id, "flow_exported")
    body = await answer_of(viewer_of(request), written_file, [packed], format, tokens, outlook)
    return Response(body, headers=_headers(made, flow_id), media_type=made.media_type)


@router.get("/export", responses={**_FILES, 404: {"description": "The flow of `after` is not there."}})
async def exported_flows(
    request: Request,
    principal: MayRead,
    format: Format = "jsonl",
    tokens: Tokens = DEFAULT_TOKENS,
    after: Annotated[
        str | None, Query(description="Id of the last flow of a file that broke off: this one goes on behind it.")
    ] = None,
) -> Response:
    """All stored flows that match the filters of `/flows` as one file, the newest first.

    It is written while it is read, so that it may be as long as it will. What still runs is not in it.
    """
    if format in OF_ONE_FLOW:
        raise invalid_request(f"format: {format} is for one flow, at /flows/{{flow_id}}/export.")
    made = _format(format, tokens)
    params = request.query_params.multi_items()
    for name in _NOT_OF_FILES:
        if any(each == name for each, _ in params):
            raise invalid_request(f"{name}: this is for lists.")
    own = ("format", "tokens", "after")
    query = flow_query(QueryParams([(name, value) for name, value in params if name not in own]), principal)
    filters = await selected(request, "flows_exported", query)
    viewer = viewer_of(request)
    start = None if after is None else await _behind(request, principal, checked_flow_id(after))

    def write(flows: Sequence[PackedFlow], number: int) -> Awaitable[bytes]:
        return answer_of(viewer, written_part, flows, format, tokens, number)

    parts = file_of(viewer.flows, flow_reader(viewer, principal), filters, start, made, write)
    # Errors of the search are reported before the file begins.
    first = await anext(parts)
    second = await anext(parts, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        yield second
        async for part in parts:
            yield part

    return StreamingResponse(whole(), headers=_headers(made, "flows"), media_type=made.media_type)


async def _behind(request: Request, principal: Principal, flow_id: str) -> Position:
    """The place of a flow in the list, for those who may see it."""
    row = await viewer_of(request).flows.one(flow_id, principal.visible)
    if row is None:
        raise Problem(404, "flow_not_found", "There is no flow with this id.")
    return Position(row["start_key"], row["flow_id"])


def _format(name: str, tokens: int) -> FlowFormat:
    if name not in FORMATS:
        raise invalid_request(f"format: one of {', '.join(FORMATS)}.")
    return format_of(name, tokens)


def _headers(made: FlowFormat, name: str) -> dict[str, str]:
    """A file is kept, and never shown as a page of the viewer."""
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in name)
    return {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{safe}.{made.extension}"'}
