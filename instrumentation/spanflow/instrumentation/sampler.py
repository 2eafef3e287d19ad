"""Every flow is recorded, whatever share of them OTLP exports."""

from opentelemetry.sdk.trace import TracerProvider

from spanflow.instrumentation.runtime import logger
from spanflow.span_processors.opentelemetry_versions import AlwaysRecordSampler, tracers_of


def record_everything(provider: TracerProvider) -> None:
    """Let the provider's sampler decide about export only: what it drops is still seen by span processors."""
    sampler = getattr(provider, "sampler", None)
    if not record_from_now_on(provider):
        return
    # Tracers that were made before keep the sampler they got.
    for tracer in tracers_of(provider):
        if getattr(tracer, "sampler", None) is sampler:
            tracer.sampler = provider.sampler


def record_from_now_on(provider: TracerProvider) -> bool:
    """The same for a provider that has made no tracer yet. False where nothing had to be changed, or could be."""
    sampler = getattr(provider, "sampler", None)
    if sampler is None:  # a custom provider
        logger.warning(
            "The sampler of %s cannot be seen: flows that it drops are not recorded", type(provider).__name__
        )
    elif not isinstance(sampler, AlwaysRecordSampler):
        provider.sampler = AlwaysRecordSampler(sampler)
        return True
    return False
