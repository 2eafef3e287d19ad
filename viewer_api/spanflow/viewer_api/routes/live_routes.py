"""The sockets, and the live socket's twin over plain HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, WebSocket
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.problems import invalid_request
from spanflow.viewer_api.http.query_values import checked_id
from spanflow.viewer_api.live.topic import Kind
from spanflow.viewer_api.sockets.event_stream import MAX_TOPICS, EventStream
from spanflow.viewer_api.sockets.legacy_socket import serve_all, serve_user
from spanflow.viewer_api.sockets.live_socket import serve_live
from spanflow.viewer_api.sockets.subscription_requests import subscription_requests
from spanflow.viewer_api.viewer import Needs, SocketNeeds, stated_reason, viewer_of

MayLook = Annotated[Principal, Depends(Needs(Right.LIVE))]
Ids = Annotated[list[str] | None, Query(max_length=MAX_TOPICS)]
streams = APIRouter(prefix="/api/v1", tags=["live"])
router = APIRouter(prefix="/api/v1", dependencies=[Depends(SocketNeeds(Right.LIVE))])


@router.websocket("/live")
async def live(websocket: WebSocket) -> None:
    await serve_live(websocket)


@router.websocket("/ws/flows/{user_id}")
async def flows_of_user(websocket: WebSocket, user_id: str) -> None:
    await serve_user(websocket, checked_id(user_id))


@router.websocket("/ws")
async def flows_of_all(websocket: WebSocket) -> None:
    await serve_all(websocket)


@streams.get("/live", response_class=Response)
async def live_events(
    request: Request,
    principal: MayLook,
    user_id: Ids = None,
    flow_id: Ids = None,
    conversation_id: Ids = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The messages of the live socket as server-sent events; every parameter may be given several times."""
    named = {Kind.USER: user_id or (), Kind.FLOW: flow_id or (), Kind.CONVERSATION: conversation_id or ()}
    wanted = subscription_requests(named, last_event_id or None)
    if len(wanted) > MAX_TOPICS:
        raise invalid_request(f"One stream follows at most {MAX_TOPICS} users, flows and conversations.")
    reason = stated_reason(request)
    return EventStream(request, viewer_of(request), principal, wanted, reason)
