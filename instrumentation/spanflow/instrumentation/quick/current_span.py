"""`with tracer.start_as_current_span(…)` without a generator behind it."""

from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Any, TypeVar

from opentelemetry.context import Context, attach, detach, set_value
from opentelemetry.sdk.trace import Tracer
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.trace.propagation import _SPAN_KEY

F = TypeVar("F", bound=Callable[..., Any])


class CurrentSpan:
    """Starts its span when it is entered. It may decorate a function as well, which is left to the SDK."""

    __slots__ = ("_end", "_options", "_record", "_say", "_span", "_token", "_tracer")

    def __init__(
        self,
        tracer: Tracer,
        options: tuple[Any, ...],
        record_exception: bool,
        set_status_on_exception: bool,
        end_on_exit: bool,
    ) -> None:
        self._tracer = tracer
        #: What `start_span` is called with, in its order, up to `start_time`.
        self._options = options
        self._record = record_exception
        self._say = set_status_on_exception
        self._end = end_on_exit

    def __enter__(self) -> Span:
        name, context, kind, attributes, links, start_time = self._options
        self._span = span = self._tracer.start_span(
            name, context, kind, attributes, links, start_time, self._record, self._say
        )
        self._token: Token[Context] = attach(set_value(_SPAN_KEY, span))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        span = self._span
        try:
            detach(self._token)
            # Not BaseException: a generator that is closed and a task that is cancelled are no errors.
            if isinstance(error, Exception) and span.is_recording():
                if self._record:
                    span.record_exception(error)
                if self._say:
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        finally:
            if self._end:
                span.end()

    def __call__(self, function: F) -> F:
        name, context, kind, attributes, links, start_time = self._options
        generated = Tracer.start_as_current_span(
            self._tracer, name, context, kind, attributes, links, start_time, self._record, self._say, self._end
        )
        decorated: F = generated(function)
        return decorated
