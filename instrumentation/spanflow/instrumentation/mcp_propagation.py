"""Trace context in `params._meta` of MCP messages (SEP-414), so that a gateway and its MCP servers share one flow.

SDK 2.x does that by itself; here only baggage is kept back, which it would send to every third-party server. SDKs
before 2 know nothing of it, so their requests and handlers are wrapped.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from types import ModuleType
from typing import Any, Final

import wrapt
from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from spanflow.instrumentation.outcome import is_cancellation
from spanflow.instrumentation.runtime import runtime, say_once
from spanflow.instrumentation.semantics import ERROR_TYPE, OPERATION

_NATIVE: Final = "mcp.shared._otel"
#: What SDKs before 2 have, and 2.x has not any more.
_OLD_CLIENT: Final = "mcp.shared.session"
_OLD_SERVER: Final = "mcp.server.lowlevel.server"
_METHOD: Final = "mcp.method.name"
_TOOLS_CALL: Final = "tools/call"


class McpPropagation:
    """Hooks into whichever MCP SDK is imported, now or later. `remove` makes all of it inert."""

    def __init__(self, allowed_baggage: Collection[str] = ()) -> None:
        self._allowed = frozenset(allowed_baggage)
        self._active = False

    def install(self) -> None:
        self._active = True
        wrapt.register_post_import_hook(self._on_native, _NATIVE)
        wrapt.register_post_import_hook(self._on_old_client, _OLD_CLIENT)
        wrapt.register_post_import_hook(self._on_old_server, _OLD_SERVER)

    def remove(self) -> None:
        self._active = False

    # -- run inside the application's own `import` statement: nothing may be raised ------------------------------------

    def _on_native(self, module: ModuleType) -> None:
        # The name it calls, not the function that others may have imported from it already.
        if callable(getattr(module, "inject", None)):
            wrapt.wrap_function_wrapper(module, "inject", self._native_inject)

    def _on_old_client(self, module: ModuleType) -> None:
        if hasattr(getattr(module, "BaseSession", None), "send_request"):
            wrapt.wrap_function_wrapper(module, "BaseSession.send_request", self._old_send)
        if hasattr(getattr(module, "RequestResponder", None), "respond"):
            wrapt.wrap_function_wrapper(module, "RequestResponder.respond", self._old_respond)

    def _on_old_server(self, module: ModuleType) -> None:
        if hasattr(getattr(module, "Server", None), "_handle_request"):
            wrapt.wrap_function_wrapper(module, "Server._handle_request", self._old_handle)

    # -- SDK 2.x -------------------------------------------------------------------------------------------------------

    def _native_inject(
        self, wrapped: Callable[..., None], instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        try:
            if not self._active or not baggage.get_all():
                return wrapped(*args, **kwargs)
            token = otel_context.attach(self._outbound())
            try:
                return wrapped(*args, **kwargs)
            finally:
                otel_context.detach(token)
        except Exception:
            # Better a call that the server cannot join than no call.
            say_once("mcp inject", "Trace context could not be added to an MCP request", exc_info=True)

    # -- SDKs before 2 -------------------------------------------------------------------------------------------------

    def _old_send(
        self,
        wrapped: Callable[..., Awaitable[Any]],
        instance: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Awaitable[Any]:
        if self._active:
            try:
                if args:
                    args = (self._with_context(args[0]), *args[1:])
                elif "request" in kwargs:
                    kwargs = {**kwargs, "request": self._with_context(kwargs["request"])}
            except Exception:
                say_once("mcp send", "Trace context could not be added to an MCP request", exc_info=True)
        return wrapped(*args, **kwargs)

    async def _old_handle(
        self,
        wrapped: Callable[..., Awaitable[Any]],
        instance: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        span = self._server_span(args, kwargs) if self._active else None
        if span is None:
            return await wrapped(*args, **kwargs)
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                return await wrapped(*args, **kwargs)
            except BaseException as error:
                _note_error(span, error)
                raise

    def _old_respond(
        self,
        wrapped: Callable[..., Awaitable[Any]],
        instance: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Awaitable[Any]:
        if self._active:
            _note_refusal(args[0] if args else kwargs.get("response"))
        return wrapped(*args, **kwargs)

    def _server_span(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> trace.Span | None:
        """A span for one handled message: a child of the caller's where that may be, else of what is current."""
        try:
            message = args[0] if args else kwargs["message"]
            request = args[1] if len(args) > 1 else kwargs["req"]
            method = str(request.method)
            attributes: dict[str, Any] = {_METHOD: method, "jsonrpc.request.id": str(message.request_id)}
            target = getattr(request.params, "name", None)
            if method == _TOOLS_CALL and isinstance(target, str):
                attributes |= {OPERATION: "execute_tool", "gen_ai.tool.name": target}
            ambient = trace.get_current_span().get_span_context()
            parent = _caller(message.request_meta)
            return (
                runtime()
                .tracer()
                .start_span(
                    f"{method} {target}" if isinstance(target, str) else method,
                    context=parent,
                    kind=SpanKind.SERVER,
                    attributes=attributes,
                    # The transport's request carries many messages; the message's own caller is the parent.
                    links=[Link(ambient)] if parent is not None and ambient.is_valid else (),
                )
            )
        except Exception:
            say_once("mcp handle", "An MCP request could not be traced", exc_info=True)
            return None

    def _with_context(self, request: Any) -> Any:
        """A copy of the request with trace context in its `_meta`; the caller's own object stays as it is."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier, self._outbound())
        inner = getattr(request, "root", request)
        params = getattr(inner, "params", None)
        if not carrier or params is None or "meta" not in type(params).model_fields:
            return request
        kind = next(part for part in _union(type(params).model_fields["meta"].annotation) if part is not type(None))
        before = params.meta.model_dump(exclude_none=True) if params.meta is not None else {}
        params = params.model_copy(update={"meta": kind(**{**carrier, **before})})
        inner = inner.model_copy(update={"params": params})
        return type(request)(inner) if hasattr(request, "root") else inner

    def _outbound(self) -> Context:
        """The current context, with only such baggage as may go to a third party."""
        context = otel_context.get_current()
        entries: Mapping[str, object] = baggage.get_all(context)
        for name in entries:
            if name not in self._allowed and "*" not in self._allowed:
                context = baggage.remove_baggage(name, context)
        return context


def _note_error(span: trace.Span, error: BaseException) -> None:
    """What went wrong in the handler, on its span; whatever goes wrong here must not take the error's place."""
    try:
        if not is_cancellation(error):
            span.set_attribute(ERROR_TYPE, type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, runtime().clean_text(str(error), 1024)))
    except Exception:
        say_once("mcp error", "The error of an MCP request could not be recorded", exc_info=True)


def _note_refusal(response: Any) -> None:
    """A tool that refuses or fails answers well-formed; SDK 2.x says so on its span as the conventions do."""
    try:
        if getattr(getattr(response, "root", response), "isError", False) is True:
            span = trace.get_current_span()
            if (getattr(span, "attributes", None) or {}).get(_METHOD) == _TOOLS_CALL:
                span.set_attribute(ERROR_TYPE, "tool_error")
                span.set_status(Status(StatusCode.ERROR))
    except Exception:
        say_once("mcp result", "The result of an MCP request could not be recorded", exc_info=True)


def _caller(meta: Any) -> Context | None:
    """The context that the message's `_meta` names, if it may be followed."""
    carrier = getattr(meta, "model_extra", None) or {}
    texts = {key: value for key, value in carrier.items() if isinstance(value, str)}
    if not texts:
        return None
    context = propagate.extract(texts)
    return context if trace.get_current_span(context).get_span_context().is_valid else None


def _union(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", (annotation,))
