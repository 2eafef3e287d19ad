"""Applications that instrument themselves: their hooks, exclusions and headers count, as they do without Spanflow.

Every FastAPI application is instrumented when it is made. The instrumentation takes a second call of
`FastAPIInstrumentor.instrument_app` for a mistake and ignores it, and with it what the application wanted: LiteLLM, for
one, names its server span in the header `traceresponse` of each answer from such a hook.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final
from weakref import WeakSet

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

from spanflow.instrumentation.runtime import say_once

_METHOD: Final = "instrument_app"
#: Where the instrumentation keeps what it has replaced, until the first request.
_ORIGINAL: Final = "_original_build_middleware_stack"
_INSTRUMENTED: Final = "_is_instrumented_by_opentelemetry"


class OwnInstrumentation:
    """Lets the first call that an application makes itself replace the automatic one. Before any request, no later."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._original: Any = None
        self._own: WeakSet[Any] = WeakSet()

    def install(self, instrumentor: type) -> None:
        original = instrumentor.__dict__.get(_METHOD)
        if self._original is not None or not isinstance(original, staticmethod):
            return
        self._original = original
        setattr(instrumentor, _METHOD, staticmethod(self._replacing(original.__func__)))

    def remove(self, instrumentor: type) -> None:
        if self._original is not None:
            setattr(instrumentor, _METHOD, self._original)
            self._original = None

    def _replacing(self, original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def instrument_app(app: Any, *hooks: Any, **own: Any) -> None:
            if self._replaced(app):
                own = {**self._options, **own}
            original(app, *hooks, **own)

        return instrument_app

    def _replaced(self, app: Any) -> bool:
        """Whether the automatic instrumentation was taken back, so that the application's own takes its place."""
        try:
            if not getattr(app, _INSTRUMENTED, False) or app in self._own or app.middleware_stack is not None:
                return False
            self._take_back(app)
            return True
        except Exception:
            say_once("own instrumentation", "An application's own instrumentation is ignored", exc_info=True)
            return False

    def _take_back(self, app: Any) -> None:
        if _ORIGINAL in vars(app):
            app.build_middleware_stack = vars(app).pop(_ORIGINAL)
        else:  # older releases add a middleware
            app.user_middleware[:] = [each for each in app.user_middleware if each.cls is not OpenTelemetryMiddleware]
        setattr(app, _INSTRUMENTED, False)
        self._own.add(app)
