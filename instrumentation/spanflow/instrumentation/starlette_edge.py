"""Applications made with Starlette itself, such as FastMCP's: their requests are guarded like those of FastAPI's."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from spanflow.instrumentation.asgi import EdgeGuard, Receive, Scope, Send


class StarletteEdge:
    """Puts the guard before every Starlette application that is not FastAPI's, made or yet to be made."""

    def __init__(self, guard: EdgeGuard) -> None:
        self._guard = guard
        self._original: Callable[..., Any] | None = None

    def install(self) -> None:
        try:
            from starlette.applications import Starlette
        except ImportError:
            return
        if self._original is None:
            self._original = Starlette.__call__
            Starlette.__call__ = self._guarded(self._original)  # type: ignore[method-assign]

    def remove(self) -> None:
        if self._original is not None:
            from starlette.applications import Starlette

            Starlette.__call__ = self._original  # type: ignore[method-assign]
            self._original = None

    def _guarded(self, original: Callable[..., Any]) -> Callable[..., Any]:
        fastapi = _fastapi()

        @wraps(original)
        async def call(app: Any, scope: Scope, receive: Receive, send: Send) -> None:
            if fastapi is not None and isinstance(app, fastapi):
                await original(app, scope, receive, send)  # it has been guarded before it came here
            else:
                await self._guard(partial(original, app), scope, receive, send)

        return call


def _fastapi() -> type | None:
    try:
        from fastapi.applications import FastAPI
    except ImportError:
        return None
    return FastAPI
