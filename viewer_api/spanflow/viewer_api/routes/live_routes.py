"""The sockets."""

from fastapi import APIRouter, WebSocket

from spanflow.viewer_api.live.live_socket import serve_live
from spanflow.viewer_api.live.seeds_socket import serve_all, serve_user
from spanflow.viewer_api.viewer import checked_id

router = APIRouter(prefix="/api/v1")


@router.websocket("/live")
async def live(websocket: WebSocket) -> None:
    await serve_live(websocket)


@router.websocket("/ws/flows/{user_id}")
async def flows_of_user(websocket: WebSocket, user_id: str) -> None:
    await serve_user(websocket, checked_id(user_id))


@router.websocket("/ws")
async def flows_of_all(websocket: WebSocket) -> None:
    await serve_all(websocket)
