"""`configure`: the same from an application's own code, for who does not start it with `opentelemetry-instrument`."""

from collections.abc import Sequence
from typing import Any

from opentelemetry import trace

from spanflow.instrumentation.exporting import choose_defaults
from spanflow.instrumentation.extractors import Extractor
from spanflow.instrumentation.runtime import logger
from spanflow.instrumentation.startup import Started, enabled_settings, start, started
from spanflow.span_processors.settings import Settings


def configure(app: Any = None, *, settings: Settings | None = None, extractors: Sequence[Extractor] = ()) -> bool:
    """Record this process's flows, and trace `app` if it is given; True when flows are recorded.

    Call it before or after the FastAPI application is made, and as often as you like. `SPANFLOW_ENABLED=false` turns it
    off from outside. `extractors` look at each request's ASGI scope and say whose it is; they come after the headers
    that the settings name. Nothing is raised: what is wrong is in the log, and the application runs untraced.
    """
    try:
        running = _start(settings)
        if running is None:
            return False
        running.fastapi.guard.extractors.add(extractors)
        if app is not None:
            running.fastapi.trace_application(app)
        return True
    except Exception:
        logger.exception("Spanflow could not be configured; the application runs untraced")
        return False


def shutdown(timeout: float = 5.0) -> bool:
    """Store what is still under way and stop recording; True when all of it was stored in time. For scripts."""
    running = started()
    try:
        return running is None or running.stop(timeout)
    except Exception:
        logger.exception("Spanflow could not be stopped cleanly")
        return False


def _start(settings: Settings | None) -> Started | None:
    running = started()
    if running is not None and running.provider is trace.get_tracer_provider():
        return running
    wanted = settings if settings is not None else enabled_settings(explicit=True)
    if wanted is None or not wanted.enabled:
        return None
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        from spanflow.instrumentation.configurator import SpanflowConfigurator

        choose_defaults()
        SpanflowConfigurator().configure_sdk(wanted)  # type: ignore[no-untyped-call]
    return start(wanted)
