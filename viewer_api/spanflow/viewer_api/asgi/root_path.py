"""The folder that a reverse proxy serves the viewer at."""

from urllib.parse import urlsplit

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from spanflow.viewer_api.settings.viewer_settings import ViewerSettings


def root_path_of(settings: ViewerSettings) -> str:
    """Its path without the last slash; empty when the viewer has an address of its own."""
    return settings.viewer_root_path or urlsplit(settings.viewer_public_url).path.rstrip("/")


class RootPathMiddleware:
    """ASGI middleware: tells the rest where it is, whether or not the proxy has removed that from the path. The page's
    own addresses are relative, so that it must be asked for with the slash."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._path and scope["type"] != "lifespan":
            scope["root_path"] = self._path
            if scope["type"] == "http" and scope["path"] == self._path:
                await RedirectResponse(f"{self._path}/", 308)(scope, receive, send)
                return
        await self._app(scope, receive, send)
