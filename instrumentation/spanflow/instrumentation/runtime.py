"""What the public functions work with in this process: a tracer, a redactor, the pipeline; `configure` replaces it."""

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from opentelemetry import trace

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redaction.value_cleaner import OVERLAP

logger = logging.getLogger("spanflow")

SCOPE: Final = "spanflow.instrumentation"


class PipelinePort(Protocol):
    """What this side tells the pipeline beside the spans. Every call only appends to a queue."""

    def span_updated(self, span: trace.Span) -> None: ...
    def identify(self, trace_id: int, identity: Identity) -> None: ...
    def record_activity(self, trace_id: int, activity: Activity) -> None: ...
    def end_flow(self, trace_id: int) -> None: ...
    def is_watched(self, user_id: str) -> bool: ...
    def force_flush(self, timeout: float) -> bool: ...
    def prepare(self) -> None: ...
    def prepare_to_end(self, timeout: float) -> bool: ...
    def shutdown(self, timeout: float) -> bool: ...


class GlobalTracer:
    """The tracer of whatever provider is global now; providers may come after the first checkpoint was imported."""

    def __init__(self) -> None:
        self._made: tuple[trace.TracerProvider, trace.Tracer] | None = None

    def __call__(self) -> trace.Tracer:
        provider = trace.get_tracer_provider()
        made = self._made
        if made is None or made[0] is not provider:
            made = (provider, provider.get_tracer(SCOPE))
            self._made = made
        return made[1]


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything that a checkpoint needs. Without `configure` it works with any provider, or none."""

    tracer: Callable[[], trace.Tracer]
    redactor: Redactor
    pipeline: PipelinePort | None = None
    max_text: int = 8192
    openinference: bool = False
    #: Whether `record_*` activities are kept, and whether only those whose conversation id is a UUID.
    activities: bool = True
    only_uuid_conversations: bool = False
    clock: Callable[[], float] = time.perf_counter

    def clean_text(self, text: str, limit: int) -> str:
        """At most so many characters of a text, without secrets: also without the half of one that the cut leaves."""
        return self.redactor.text(text[: limit + OVERLAP])[0][:limit]


def unconfigured() -> Runtime:
    """The state of an unconfigured process: default redaction, no pipeline."""
    return Runtime(tracer=GlobalTracer(), redactor=Redactor())


_current: Runtime = unconfigured()


def runtime() -> Runtime:
    return _current


def install(new: Runtime) -> Runtime:
    """Use `new` from now on; gives back what was used until now."""
    global _current
    before, _current = _current, new
    return before


_said: set[str] = set()


def say_once(key: str, message: str, *args: object, level: int = logging.WARNING, exc_info: bool = False) -> None:
    """Log something that would otherwise be said at every request.

    An exception of the application's may quote what the request held, so its text is written without secrets.
    """
    if key in _said:
        return
    _said.add(key)
    if exc_info and logger.isEnabledFor(level):
        logger.log(level, "%s\n%s", message % args if args else message, _raised())
    else:
        logger.log(level, message, *args)


def _raised() -> str:
    """The exception that is being handled, with its traceback."""
    try:
        return _current.redactor.text(traceback.format_exc())[0]
    except Exception as error:  # this is called where nothing may be raised any more
        return f"{type(error).__name__} while the exception was made ready for the log"
