"""FastAPI under Spanflow: one server span per request, whichever of FastAPI's two tracers makes it.

opentelemetry-instrumentation-fastapi wraps applications that are made after it was switched on. FastAPI 0.142 and newer
traces itself as soon as there is a tracer provider, and steps aside where the former is in an application's stack.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from spanflow.instrumentation.asgi import EdgeGuard, Receive, Scope, Send
from spanflow.instrumentation.fastapi_stack import arrange
from spanflow.instrumentation.own_instrumentation import OwnInstrumentation
from spanflow.instrumentation.runtime import logger, say_once
from spanflow.span_processors.settings import Settings

_DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
#: The application that a connection came to first; others are mounted in it.
_OUTERMOST: Final = "spanflow.fastapi"
_NATIVE: Final = "fastapi.telemetry"
_MESSAGE_SPANS: Final = ["receive", "send"]


class FastApiTracing:
    """What is changed about FastAPI in this process, and how to change it back."""

    def __init__(self, settings: Settings) -> None:
        self.guard = EdgeGuard(settings)
        self._settings = settings
        self._original_call: Callable[..., Any] | None = None
        self._own_instrumentation = OwnInstrumentation(self._options())
        self._instrumented = False

    def install(self) -> None:
        """Guard every FastAPI application, made or yet to be made, and trace those yet to be made."""
        try:
            from fastapi.applications import FastAPI
        except ImportError:
            return
        if self._original_call is None:
            self._original_call = FastAPI.__call__
            FastAPI.__call__ = self._guarded(self._original_call)  # type: ignore[method-assign]
        if not self._instrumented and not _switched_off():
            self._instrumented = self._instrument()

    def remove(self) -> None:
        if self._original_call is not None:
            from fastapi.applications import FastAPI

            FastAPI.__call__ = self._original_call  # type: ignore[method-assign]
            self._original_call = None
        if self._instrumented:
            from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

            self._own_instrumentation.remove(FastAPIInstrumentor)
            FastAPIInstrumentor().uninstrument()
            self._instrumented = False

    def trace_application(self, app: Any) -> None:
        """Trace an application that was made before."""
        from fastapi.applications import FastAPI
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        if not isinstance(app, FastAPI):
            logger.warning("%s is not a FastAPI application; wrap it in EdgeMiddleware instead", type(app).__name__)
            return
        if _switched_off() or getattr(app, "_is_instrumented_by_opentelemetry", False):
            return
        if app.middleware_stack is not None:
            if not hasattr(app, "_native_telemetry"):
                logger.warning("configure(app) came after the application's first request and cannot trace it")
            return
        FastAPIInstrumentor.instrument_app(app, **self._options())

    def _guarded(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def call(app: Any, scope: Scope, receive: Receive, send: Send) -> None:
            if scope.setdefault(_OUTERMOST, app) is app:
                _quieten(app, self._settings)
                if app.middleware_stack is None:
                    self._trace_late(app)
            else:
                # Where the other tracer made the server span, FastAPI's own would make a second one for a mounted
                # application. This is how FastAPI itself says that a request is taken care of.
                scope.setdefault(_NATIVE, None)
            if app.middleware_stack is None:
                arrange(app)
            await self.guard(partial(original, app), scope, receive, send)

        return call

    def _trace_late(self, app: Any) -> None:
        """An application whose module took the name FastAPI before it was instrumented. This is the last moment."""
        try:
            own_tracing = getattr(app, "_telemetry", {})
            if own_tracing.get("tracing", True):
                self.trace_application(app)
        except Exception:
            say_once("trace late", "A FastAPI application could not be instrumented", exc_info=True)

    def _instrument(self) -> bool:
        try:
            from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        except ImportError as missing:  # FastAPI is too old or too new for it; FastAPI's own tracing may do
            logger.warning("FastAPI is not instrumented: %s", missing)
            return False
        instrumentor = FastAPIInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            return False
        instrumentor.instrument(**self._options())
        self._own_instrumentation.install(FastAPIInstrumentor)
        return bool(instrumentor.is_instrumented_by_opentelemetry)

    def _options(self) -> dict[str, Any]:
        return {} if self._settings.fastapi_message_spans else {"exclude_spans": list(_MESSAGE_SPANS)}


def _switched_off() -> bool:
    """Whether the application chose FastAPI's own tracing, or none."""
    words = {word.strip() for word in os.environ.get(_DISABLED, "").split(",")}
    return bool(words & {"fastapi", "*"})


def _quieten(app: Any, settings: Settings) -> None:
    """Four `fastapi.*` spans per request bury the checkpoints, and a second exporter would send every span twice."""
    try:
        own_tracing = getattr(app, "_telemetry", None)
        if own_tracing is not None:
            if not settings.fastapi_operation_spans:
                own_tracing["operation_spans"] = False
            if own_tracing.get("auto_configure"):
                own_tracing["auto_configure"] = False
                say_once(
                    "auto configure",
                    "FastAPI's own OTLP exporters (FASTAPI_OTEL_AUTO_CONFIGURE) stay off: they know no redaction and "
                    "would send spans twice. Use OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER",
                )
    except Exception:
        say_once("native", "FastAPI's own tracing could not be adjusted", exc_info=True)
