"""Calls that a middleware of a FastMCP server refuses: FastMCP answers well-formed and says nothing of it on its span.

Its span has neither the tool's name nor an error then, so that a refused call would be an `ok` one.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final

import wrapt
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from spanflow.instrumentation.outcome import is_cancellation
from spanflow.instrumentation.runtime import runtime, say_once
from spanflow.instrumentation.semantics import ERROR_TYPE

_SERVER: Final = "fastmcp.server.server"
#: On the span of a whole request, which the middleware runs in.
_SEAM: Final = "fastmcp.span.seam"
_TOOL: Final = "gen_ai.tool.name"
_TOOLS_CALL: Final = "tools/call"
#: A tool that calls another one runs the middleware again, and may well go on when that call fails.
_handled: ContextVar[trace.Span | None] = ContextVar("spanflow_fastmcp_request", default=None)


class FastMcpRefusals:
    """Notes on a request's span that its middleware raised. `remove` makes it inert."""

    def __init__(self) -> None:
        self._active = False

    def install(self) -> None:
        self._active = True
        wrapt.register_post_import_hook(self._on_server, _SERVER)

    def remove(self) -> None:
        self._active = False

    def _on_server(self, module: ModuleType) -> None:
        # Runs inside the application's own `import`. Releases before 4 have no such span, and other names.
        if callable(getattr(getattr(module, "FastMCP", None), "_run_middleware", None)):
            wrapt.wrap_function_wrapper(module, "FastMCP._run_middleware", self._run)

    async def _run(
        self,
        wrapped: Callable[..., Awaitable[Any]],
        instance: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        span = trace.get_current_span()
        if not self._active or _handled.get() is span or _SEAM not in (getattr(span, "attributes", None) or {}):
            return await wrapped(*args, **kwargs)
        token = _handled.set(span)
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as error:
            _note(span, error, args[0] if args else kwargs.get("context"))
            raise
        finally:
            _handled.reset(token)


def _note(span: trace.Span, error: BaseException, context: Any) -> None:
    """Whatever goes wrong here must not take the error's place. FastMCP overwrites it where it knows more."""
    try:
        if is_cancellation(error):
            return
        attributes = getattr(span, "attributes", None) or {}
        name = getattr(getattr(context, "message", None), "name", None)
        if isinstance(name, str) and _TOOL not in attributes and getattr(context, "method", None) == _TOOLS_CALL:
            span.set_attribute(_TOOL, name)
            span.update_name(f"{_TOOLS_CALL} {name}")
        span.set_attribute(ERROR_TYPE, type(error).__qualname__)
        span.set_status(Status(StatusCode.ERROR, runtime().clean_text(str(error), 1024)))
    except Exception:
        say_once("fastmcp refusal", "A refusal of FastMCP's middleware could not be recorded", exc_info=True)
