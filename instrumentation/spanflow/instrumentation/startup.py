"""Puts Spanflow into a process, once. Every way of starting ends here: the entry point, `configure`, a second call.

Nothing in here opens a socket or starts a thread: it also runs in supervisors, in multiprocessing's helpers and in
masters that fork. Nothing in here may keep the application from starting either.
"""

import atexit
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry import metrics, propagate, trace
from opentelemetry.sdk.trace import TracerProvider

from spanflow.instrumentation import runtime as runtimes
from spanflow.instrumentation.collecting import Threshold
from spanflow.instrumentation.fastapi_tracing import FastApiTracing
from spanflow.instrumentation.fastmcp_refusals import FastMcpRefusals
from spanflow.instrumentation.first_flow import FirstFlow, remove_mark
from spanflow.instrumentation.identity_processor import IdentitySpanProcessor
from spanflow.instrumentation.mcp_propagation import McpPropagation
from spanflow.instrumentation.private_providers import PrivateProviders
from spanflow.instrumentation.propagation import EdgePropagator, guard_propagator
from spanflow.instrumentation.quick.quick_provider import quicken
from spanflow.instrumentation.replaced_trackers import ReplacedTrackers
from spanflow.instrumentation.runtime import SCOPE, GlobalTracer, Runtime, logger
from spanflow.instrumentation.sampler import record_everything
from spanflow.instrumentation.starlette_edge import StarletteEdge
from spanflow.span_processors import native
from spanflow.span_processors.opentelemetry_versions import keep_children_instrumented
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings

if TYPE_CHECKING:  # Redis and Postgres clients take their time to import, and not every process is traced
    from spanflow.span_processors.pipeline import Pipeline

ENABLED: Final = "SPANFLOW_ENABLED"


class Part(Protocol):
    """Something that changes other people's libraries in this process, and can be taken back."""

    def install(self) -> None: ...
    def remove(self) -> None: ...


@dataclass(slots=True, eq=False)
class Started:
    """What a started process holds."""

    settings: Settings
    provider: TracerProvider
    pipeline: Any
    fastapi: FastApiTracing
    parts: "tuple[Part, ...]"
    before: Runtime

    def stop(self, timeout: float) -> bool:
        """Flush and undo as far as OpenTelemetry allows. For short-lived scripts and tests."""
        global _started
        for part in reversed(self.parts):
            part.remove()
        runtimes.install(self.before)
        guard = propagate.get_global_textmap()
        if isinstance(guard, EdgePropagator):
            propagate.set_global_textmap(guard.wrapped)
        _started = None
        return bool(self.pipeline.shutdown(timeout))


_started: Started | None = None


def started() -> Started | None:
    """What `start` has made in this process, if it has."""
    return _started


def pre_instrument() -> None:
    """Entry point of group `opentelemetry_pre_instrument`: runs whatever the distro, configurator and exporter are."""
    try:
        settings = enabled_settings()
        if settings is not None:
            start(settings)
    except Exception:
        logger.exception("Spanflow could not be started; the application runs untraced")


def post_instrument() -> None:
    """Entry point of group `opentelemetry_post_instrument`: runs when all instrumentations are loaded."""
    try:
        if started() is not None:
            keep_children_instrumented()
    except Exception:
        logger.exception("Processes that this one starts are not traced")


def enabled_settings(explicit: bool = False) -> Settings | None:
    """The settings if this process is to be traced. What is wrong with them is said once, and is no reason to stop.

    `explicit`: the application's code asks for it, which counts unless SPANFLOW_ENABLED says no.
    """
    environ = dict(os.environ)
    if explicit:
        environ.setdefault(ENABLED, "true")
    try:
        settings = Settings.from_environ(environ)
        if settings.enabled:
            native.chosen(settings.native)
    except SettingsError as mistakes:
        runtimes.say_once("settings", "Spanflow is off, these settings cannot be used:\n%s", mistakes, level=_ERROR)
        return None
    return settings if settings.enabled else None


_ERROR: Final = logging.ERROR


def start(settings: Settings) -> Started | None:
    """Record this process's flows; None, with the reason in the log, where that is not possible."""
    global _started
    provider = trace.get_tracer_provider()
    if _started is not None and _started.provider is provider:
        return _started
    usable = _usable(provider)
    if usable is None:
        return None
    from spanflow.span_processors.assembly import build_pipeline
    from spanflow.span_processors.processor import FlowSpanProcessor
    from spanflow.span_processors.self_metrics import observe

    atexit.register(remove_mark)  # before the pipeline's own: it runs after the last flow was stored
    pipeline = build_pipeline(settings, on_stored=FirstFlow.from_environ())
    observe(pipeline, metrics.get_meter(SCOPE))
    guard_propagator(settings.join_caller)
    before = runtimes.install(record(usable, pipeline, settings))
    fastapi = FastApiTracing(settings)
    parts: tuple[Part, ...] = (
        fastapi,
        StarletteEdge(fastapi.guard),
        ReplacedTrackers(settings),
        McpPropagation(settings.mcp_baggage),
        FastMcpRefusals(),
        PrivateProviders(FlowSpanProcessor(pipeline), settings.private_providers),
        Threshold(settings),
    )
    _started = Started(settings, usable, pipeline, fastapi, parts, before)
    for part in parts:
        try:
            part.install()
        except Exception:
            logger.exception("%s could not be installed; the rest of Spanflow works", type(part).__name__)
    return _started


def record(provider: TracerProvider, pipeline: "Pipeline", settings: Settings) -> Runtime:
    """Have a provider's spans go into the pipeline; what checkpoints then work with."""
    from spanflow.span_processors.processor import FlowSpanProcessor

    provider.add_span_processor(IdentitySpanProcessor())
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    record_everything(provider)
    if settings.quick_spans:
        quicken(provider)
    return Runtime(
        tracer=GlobalTracer(),
        redactor=Redactor(RedactionPolicy.from_settings(settings)),
        pipeline=pipeline,
        max_text=settings.max_value_length,
        openinference=settings.openinference,
        activities=settings.activities_enabled,
        only_uuid_conversations=settings.activities_validate_ids,
    )


def _usable(provider: trace.TracerProvider) -> TracerProvider | None:
    """A provider that takes span processors; our own if none is set."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        logger.warning("OTEL_SDK_DISABLED=true: OpenTelemetry is off in this process, and Spanflow with it")
        return None
    if isinstance(provider, trace.ProxyTracerProvider):
        own = TracerProvider()
        trace.set_tracer_provider(own)
        return own
    if hasattr(provider, "add_span_processor"):
        return provider  # type: ignore[return-value]
    logger.error(
        "The tracer provider %s.%s takes no span processors, so no flows are recorded. Set OTEL_PYTHON_CONFIGURATOR="
        "spanflow, or use a provider of the OpenTelemetry SDK",
        type(provider).__module__,
        type(provider).__qualname__,
    )
    return None
