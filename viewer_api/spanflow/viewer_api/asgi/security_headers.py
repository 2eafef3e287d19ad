"""Headers that every answer carries. Names, arguments and texts in the data are written by strangers: a browser must
neither guess types nor run anything that did not come with the dashboard."""

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'self'",
    "form-action 'none'",
)
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Dashboards of listed origins ask in a way (CORS) that this does not concern.
    "Cross-Origin-Resource-Policy": "same-origin",
}


def content_security_policy(frame_ancestors: Sequence[str] = ()) -> str:
    """The policy of every answer. `frame_ancestors` are the origins whose pages may show the dashboard in a frame."""
    ancestors = [f"'{origin}'" if origin == "self" else origin for origin in frame_ancestors] or ["'none'"]
    return "; ".join((*_POLICY, f"frame-ancestors {' '.join(ancestors)}"))


class SecurityHeaders:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, frame_ancestors: Sequence[str] = ()) -> None:
        self._app = app
        self._headers = {**_HEADERS, "Content-Security-Policy": content_security_policy(frame_ancestors)}
        if not frame_ancestors:
            self._headers["X-Frame-Options"] = "DENY"  # knows no list of origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
