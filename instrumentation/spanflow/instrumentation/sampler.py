"""Every flow is recorded, whatever share of them OTLP exports."""

from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import AlwaysRecordSampler

from spanflow.instrumentation.runtime import logger


def record_everything(provider: TracerProvider) -> None:
    """Let the provider's sampler decide about export only: what it drops is still seen by span processors."""
    sampler = getattr(provider, "sampler", None)
    if sampler is None:  # a custom provider
        logger.warning(
            "The sampler of %s cannot be seen: flows that it drops are not recorded", type(provider).__name__
        )
        return
    if isinstance(sampler, AlwaysRecordSampler):
        return
    provider.sampler = AlwaysRecordSampler(sampler)
    # Tracers that were made before keep the sampler they got.
    made: dict[Any, Any] = getattr(provider, "_tracers", {})
    for tracer in list(made.values()):
        if getattr(tracer, "sampler", None) is sampler:
            tracer.sampler = provider.sampler
