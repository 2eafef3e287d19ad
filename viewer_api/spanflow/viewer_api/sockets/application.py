"""The outermost layer: what must be done before any middleware wraps the connection."""

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from spanflow.viewer_api.sockets.transport import note_transport


class Application(FastAPI):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            note_transport(scope, send)
        await super().__call__(scope, receive, send)
