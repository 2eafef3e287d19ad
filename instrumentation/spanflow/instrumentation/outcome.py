"""How a step ended, and what is recorded of an exception: its type, its redacted message and where it was raised.

The SDK's own `record_exception` is never used: it stores messages as they are, and those carry passwords.
"""

import asyncio
import traceback
from typing import Any, Final

from opentelemetry.trace import Span, Status, StatusCode

from spanflow.instrumentation.runtime import Runtime
from spanflow.instrumentation.semantics import ERROR_TYPE
from spanflow.instrumentation.values import short_text, text_value
from spanflow.span_processors import names

_MAX_MESSAGE: Final = 1024
_MAX_FRAMES: Final = 40
#: What Starlette raises into a handler whose client has gone. By name: Starlette need not be installed.
_DISCONNECTS: Final = frozenset({"WebSocketDisconnect", "ClientDisconnect"})
#: A gate that answers with one of these has refused the request; nothing is broken.
_REFUSALS: Final = frozenset({401, 402, 403, 429, 451})


def error_type(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def is_cancellation(error: BaseException) -> bool:
    """Whether the work was given up rather than failed: a disconnected client, a consumer that broke off."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit) or type(error).__name__ in _DISCONNECTS:
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(is_cancellation(part) for part in error.exceptions)
    return not isinstance(error, Exception)


def refusal(event_type: str, error: BaseException) -> str | None:
    """The reason, if a gate refused the request by raising an HTTP error as FastAPI's `HTTPException` is one."""
    if event_type not in names.GATES or getattr(error, "status_code", None) not in _REFUSALS:
        return None
    detail = getattr(error, "detail", None)
    return short_text(detail if detail else error)


def record_error(span: Span, error: BaseException | str, runtime: Runtime) -> None:
    """Mark the span as failed."""
    if isinstance(error, str):
        span.set_attribute(ERROR_TYPE, "error")
        span.set_status(Status(StatusCode.ERROR, runtime.clean_text(text_value(error), _MAX_MESSAGE)))
        return
    kind = error_type(error)
    message = runtime.clean_text(short_text(error), _MAX_MESSAGE)
    span.set_attribute(ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR, f"{kind}: {message}" if message else kind))
    event: dict[str, Any] = {"exception.type": kind, "exception.message": message}
    if error.__traceback__ is not None:
        event["exception.stacktrace"] = _where(error)
    span.add_event("exception", event)


def _where(error: BaseException) -> str:
    """The innermost frames without source lines: reading source files has no place on a request's thread."""
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), limit=-_MAX_FRAMES, lookup_lines=False
    )
    return "\n".join(f'File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in frames)
