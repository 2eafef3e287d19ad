"""The configurator: sets up OpenTelemetry's SDK as the environment says, and survives when that cannot be done."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk.trace import TracerProvider

from spanflow.instrumentation.exporting import redacted_batches, redacted_log_batches
from spanflow.instrumentation.other_distros import other
from spanflow.instrumentation.runtime import logger
from spanflow.instrumentation.startup import enabled_settings
from spanflow.span_processors.opentelemetry_versions import configuring_with, is_configured_by_file
from spanflow.span_processors.settings import Settings


class SpanflowConfigurator(_OTelSDKConfigurator):
    """Does its work only where Spanflow is on; where it is off, the next configurator runs."""

    def _configure(self, **kwargs: Any) -> None:
        another = other("opentelemetry_configurator")
        settings = enabled_settings()
        if another is not None and (settings is None or not _is_plain(another)):
            another.configure(**kwargs)
        elif settings is not None:
            self.configure_sdk(settings, **kwargs)

    def configure_sdk(self, settings: Settings, **kwargs: Any) -> None:
        """A tracer provider as `OTEL_*` describes it, or a plain one where that fails."""
        redacting: AbstractContextManager[None] = nullcontext()
        if is_configured_by_file():
            kwargs = {}  # the file says everything; the SDK would only warn that it ignores these
        else:
            redacting = configuring_with(redacted_batches(settings), redacted_log_batches(settings), kwargs)
        try:
            with redacting:
                super()._configure(**kwargs)  # type: ignore[no-untyped-call]
        except Exception:
            logger.exception(
                "OpenTelemetry could not be set up as configured, so nothing is exported; flows are still recorded"
            )
            if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
                trace.set_tracer_provider(TracerProvider())


def _is_plain(configurator: Any) -> bool:
    """opentelemetry-distro's: the SDK's own and nothing beside it, which ours is as well."""
    return type(configurator).__module__ == "opentelemetry.distro"
