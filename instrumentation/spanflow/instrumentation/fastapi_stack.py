"""Where the FastAPI instrumentation's middleware stands among an application's own.

It has moved: before 0.55b0 it is the first within the application's `ServerErrorMiddleware`, and what is added later,
such as a gateway's authentication, comes before it. Since then it is around everything, with a `ServerErrorMiddleware`
of its own around that; 0.58b0 records exceptions within. Here it is always around everything and the outermost, and
exceptions are recorded.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from opentelemetry.trace import Status, StatusCode, get_current_span

from spanflow.instrumentation.asgi import Receive, Scope, Send
from spanflow.instrumentation.runtime import say_once


def arrange(app: Any) -> None:
    """Have the stack of an instrumented application built that way, when its first request builds it."""
    try:
        if getattr(app, "_is_instrumented_by_opentelemetry", False):
            app.build_middleware_stack = partial(_arranged, app, app.build_middleware_stack)
    except Exception:
        say_once("middleware stack", "The middleware of a FastAPI application could not be arranged", exc_info=True)


def _arranged(app: Any, build: Callable[[], Any]) -> Any:
    given = app.user_middleware
    added = [middleware for middleware in given if _is_instrumentation(middleware)]
    app.user_middleware = [middleware for middleware in given if middleware not in added]
    try:
        stack = build()
    finally:
        app.user_middleware = given
    try:
        return _around(stack, added)
    except Exception:  # another build of either library
        say_once("middleware stack", "The middleware of a FastAPI application could not be arranged", exc_info=True)
        return build()


def _is_instrumentation(middleware: Any) -> bool:
    """Whether the instrumentation has put it among the application's own, not the application itself."""
    try:
        from opentelemetry.instrumentation.fastapi import _get_default_span_details

        return middleware.kwargs.get("default_span_details") is _get_default_span_details
    except Exception:
        return False


def _around(stack: Any, added: list[Any]) -> Any:
    from opentelemetry.instrumentation import fastapi as instrumentation
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from starlette.middleware.errors import ServerErrorMiddleware

    if added:
        stack = added[0].cls(stack, *added[0].args, **added[0].kwargs)
    elif type(stack) is ServerErrorMiddleware and isinstance(stack.app, OpenTelemetryMiddleware):
        # Where the application's own handler of errors fails, this one would answer instead of the server, with
        # other headers.
        stack = stack.app
    if isinstance(stack, OpenTelemetryMiddleware) and type(stack.app) is ServerErrorMiddleware:
        errors: Any = stack.app
        if type(errors.app).__name__ != "ExceptionHandlerMiddleware":  # that of the instrumentation itself
            errors.app = _RecordsExceptions(errors.app)
        if not hasattr(instrumentation, "_flatten_routes"):
            stack.default_span_details = _details
    return stack


def _details(scope: Scope) -> tuple[str, dict[str, Any]]:
    """A server span's name and first attributes. Before 0.64b0 the instrumentation knows no included routers, which
    FastAPI has since 0.137: it raises, or takes the path for the route."""
    method = scope.get("method") or ""
    route = None
    try:
        for candidate in _routes(scope["app"].routes):
            match = candidate.matches(scope)[0].name
            if match != "NONE":
                route = getattr(candidate, "path", None)
            if match == "FULL":
                break
    except Exception:
        say_once("route", "The route of a request is not known", exc_info=True)
    if route is None:
        return method or "HTTP", {}
    return f"{method} {route}".strip(), {"http.route": route}


def _routes(routes: Any) -> Any:
    try:
        from fastapi.routing import iter_route_contexts
    except ImportError:  # before 0.137.2
        return routes
    return iter_route_contexts(routes)


class _RecordsExceptions:
    """The server span has ended when an exception comes to it: the answer to the exception has been sent before."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            _record(error)
            raise


def _record(error: Exception) -> None:
    try:
        span = get_current_span()
        if span.is_recording():
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
    except Exception:  # an exception that cannot say what it is, say
        say_once("exception", "The exception of a request could not be recorded", exc_info=True)
