"""Tracer providers that libraries make for themselves, beside the global one: their spans are in the flows as well.

LiteLLM's second callback is one. The global provider was ours first, so what it builds never becomes global, and its
spans of model calls and guardrails would bypass us.
"""

import gc
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from spanflow.instrumentation.identity_processor import IdentitySpanProcessor
from spanflow.instrumentation.runtime import say_once
from spanflow.instrumentation.sampler import record_from_now_on


class PrivateProviders:
    """Adds our processors to every SDK provider of the process, made or yet to be made."""

    def __init__(self, processor: SpanProcessor, wanted: bool = True) -> None:
        self._processor = processor
        self._wanted = wanted
        self._original: Callable[..., None] | None = None

    def install(self) -> None:
        if not self._wanted or self._original is not None:
            return
        original = self._original = TracerProvider.__init__

        @wraps(original)
        def initialise(provider: TracerProvider, *args: Any, **kwargs: Any) -> None:
            original(provider, *args, **kwargs)
            self._record(provider)

        TracerProvider.__init__ = initialise  # type: ignore[method-assign, assignment]
        for provider in providers():
            if isinstance(provider, TracerProvider) and not is_recorded(provider):
                self._record(provider)

    def remove(self) -> None:
        if self._original is not None:
            TracerProvider.__init__ = self._original  # type: ignore[method-assign]
            self._original = None

    def _record(self, provider: TracerProvider) -> None:
        try:
            provider.add_span_processor(IdentitySpanProcessor())
            provider.add_span_processor(_Shared(self._processor))
            record_from_now_on(provider)
        except Exception:
            say_once("private provider", "The spans of a further tracer provider are not recorded", exc_info=True)


def providers() -> Iterator[trace.TracerProvider]:
    """Those of the process that make spans. No library keeps a list of its own, so the garbage collector is asked."""
    kinds: set[type] = set()
    waiting = list(trace.TracerProvider.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind not in (trace.ProxyTracerProvider, trace.NoOpTracerProvider):
            kinds.add(kind)
    return (found for found in gc.get_referrers(*kinds) if type(found) in kinds)


def is_recorded(provider: trace.TracerProvider) -> bool:
    """Whether its spans are in the flows."""
    waiting = [getattr(provider, "_active_span_processor", None)]
    while waiting:
        processor = waiting.pop()
        if isinstance(processor, IdentitySpanProcessor):
            return True
        waiting += getattr(processor, "_span_processors", ())
    return False


class _Shared(SpanProcessor):
    """Our processor as a library's own provider has it: when the library is done with its provider, we are not."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        self._processor.on_end(span)

    def shutdown(self) -> None:
        """The pipeline goes on."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True
