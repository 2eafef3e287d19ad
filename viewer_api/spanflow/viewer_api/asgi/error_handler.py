"""The viewer's own mistakes, answered inside the other layers.

The framework's own handler stands outside of all of them: its answer would come without the headers that keep browsers
careful, could not be read by dashboards of other origins, and would be counted as if the client had gone.
"""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spanflow.viewer_api.asgi.access_log import MAX_LOGGED_PATH
from spanflow.viewer_api.http.problems import internal_error

log = logging.getLogger(__name__)


class Mistakes:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            log.debug("a client has gone before its request was read")
        except Exception:
            # What has begun cannot become another answer: the server cuts it off, so that it is not taken for whole.
            if begun:
                raise
            log.exception("Internal error while handling %s %s", scope["method"], scope["path"][:MAX_LOGGED_PATH])
            await internal_error().response()(scope, receive, send)
