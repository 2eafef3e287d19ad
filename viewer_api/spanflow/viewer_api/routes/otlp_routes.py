"""Spans of other programs and log records about spans, by OTLP/HTTP."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from google.rpc.status_pb2 import Status
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.problems import Problem, ingest_unavailable, no_such_address
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.otlp.imported import Imported
from spanflow.viewer_api.otlp.messages import PROTOBUF
from spanflow.viewer_api.otlp.receiver import MAX_SENT, Receiver, content_type_of
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(tags=["otlp"])
MayIngest = Annotated[Principal, Depends(Needs(Right.INGEST, max_body=MAX_SENT))]
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": {"type": "object"}},
        },
    },
    "responses": {
        "415": {"description": "The body is of another type, or packed in a way that is not known here."},
    },
}
_FLOWS: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    },
    "responses": _BODY["responses"],
}
#: Users who are named in the audit log, for one request.
_MAX_USERS: Final = 100
#: gRPC's numbers for what went wrong, which OTLP's answers carry beside the HTTP status.
_INVALID_ARGUMENT: Final = 3
_RESOURCE_EXHAUSTED: Final = 8
_UNAVAILABLE: Final = 14
_CODES: Final = {413: _RESOURCE_EXHAUSTED, 429: _RESOURCE_EXHAUSTED, 503: _UNAVAILABLE}


@router.post("/v1/traces", openapi_extra=_BODY)
async def traces(request: Request, principal: MayIngest) -> Response:
    """Take in spans: an OTLP `ExportTraceServiceRequest` as protobuf or JSON, plain or packed by gzip or deflate.

    Accepted spans are stored as a gateway's own are: redacted, mapped to checkpoints, merged by span id. Spans without
    a valid id are reported in `partialSuccess`. When there is no room, nothing of the request is accepted, and
    `Retry-After` says when to send it again; 413 is for ever.
    """
    return await _answer(request, _receiver(request).traces)


@router.post("/v1/logs", openapi_extra=_BODY)
async def logs(request: Request, principal: MayIngest) -> Response:
    """Take in log records about spans: an OTLP `ExportLogsServiceRequest` as protobuf or JSON, plain or packed.

    Events of models, tools and guardrails (`gen_ai.evaluation.result`, …) become logs of the spans in whose context
    they came, or whose response they name by `gen_ai.response.id`; redacted, and without contents by policy.
    `partialSuccess` counts those that are no such events or name no span. The rest is as for `/v1/traces`.
    """
    return await _answer(request, _receiver(request).logs)


async def _answer(request: Request, take: Callable[[Request], Awaitable[tuple[bytes, str]]]) -> Response:
    try:
        body, content_type = await take(request)
    except Problem as why:
        if content_type_of(request) != PROTOBUF:
            raise
        status = Status(code=_CODES.get(why.status_code, _INVALID_ARGUMENT), message=str(why.detail))
        return Response(status.SerializeToString(), why.status_code, why.headers, PROTOBUF)
    return Response(body, 200, media_type=content_type)


@router.post("/api/v1/import", openapi_extra=_FLOWS)
async def imported(request: Request, principal: MayIngest) -> Response:
    """Take in the flows of a file: an export in the format json or jsonl, or OTLP/JSON, a request per line.

    All of it is accepted, or nothing; what is accepted is stored, or waits on disk until it can be. A flow that is
    there already is merged with it.
    """
    viewer = viewer_of(request)

    async def before(read: Imported) -> None:
        counted = {"flows": read.flows, "spans": read.spans}
        users: list[str | None] = [*read.users[:_MAX_USERS]] or [None]
        entries = [viewer.entry(request, "flows_imported", user_id=user, detail=counted) for user in users]
        async with viewer.database.transaction() as connection:
            await viewer.audit.write_in(connection, entries)

    read = await _receiver(request).flows(request, before)
    return json_response({"flows": read.flows, "spans": read.spans, "otlp_requests": read.requests})


def _receiver(request: Request) -> Receiver:
    receiver = viewer_of(request).receiver
    if receiver is None:
        raise ingest_unavailable() if viewer_of(request).settings.viewer_otlp else no_such_address()
    return receiver
