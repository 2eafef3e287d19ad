"""One step of a request: a span of its own type, with data, an outcome, and nothing that could hurt the request.

A `Checkpoint` is a class and not a generator-based context manager because it is entered ten times per request.
"""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import Context, create_key
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, get_current_span, set_span_in_context

from spanflow.instrumentation.activation import AnyToken, activate, deactivate
from spanflow.instrumentation.decorate import decorated
from spanflow.instrumentation.edge import edge_of
from spanflow.instrumentation.outcome import is_cancellation, record_error, refusal
from spanflow.instrumentation.runtime import Runtime, runtime, say_once
from spanflow.instrumentation.semantics import (
    FINISH_REASONS,
    OPENINFERENCE_KIND,
    TIME_TO_FIRST_CHUNK,
    TIME_TO_FIRST_TOKEN,
    Meaning,
    as_reasons,
    meaning_of,
)
from spanflow.instrumentation.values import attribute_value, short_text
from spanflow.span_processors import names
from spanflow.span_processors.opentelemetry_versions import carrying

F = TypeVar("F", bound=Callable[..., Any])

#: Values that an attribute holds as they are.
_AS_GIVEN: Final = frozenset({bool, float})
_MAX_REASON: Final = 1024
_CURRENT: Final = create_key("spanflow-checkpoint")
_NOWHERE: Final = Context()
#: Under which key the current span stands in a context; OpenTelemetry has no public name for it.
(_SPAN,) = set_span_in_context(INVALID_SPAN, _NOWHERE)


class Checkpoint:
    """A step that is under way. Make one with `checkpoint`, `start_checkpoint` or `flow`."""

    # What a step has before it begins; ten steps per request make it worth not to write these each time.
    _runtime: Runtime = runtime()
    _span: Span = INVALID_SPAN
    _parent: Context = _NOWHERE
    _outcome: str | None = None
    _token: AnyToken | None = None
    _entered = 0
    _hidden = 0
    _first_token = False
    _stranded = False
    _started = 0.0
    _start_ns: int | None = None

    def __init__(
        self,
        event_type: str,
        name: str | None = None,
        data: Mapping[str, Any] | None = None,
        meaning: Meaning | None = None,
    ) -> None:
        self._event_type = event_type
        self._name = name
        self._data: Mapping[str, Any] = data or {}
        self._meaning = meaning or meaning_of(event_type)

    # -- what a gateway calls ------------------------------------------------------------------------------------------

    @property
    def span(self) -> Span:
        """The OpenTelemetry span behind this step."""
        return self._span

    @property
    def context(self) -> Context:
        """A context with this step current: pass it to `start_checkpoint(parent=…)` or to OpenTelemetry's own API."""
        # Made when it is asked for: kept, it and this object would keep each other alive until a garbage collection.
        return Context({**self._parent, _SPAN: self._span, _CURRENT: self})

    def set(self, **data: Any) -> Self:
        """Add data, such as `step.set(tool="list_snapshots")`; token counts and the model count as GenAI data."""
        try:
            if data and self._span.is_recording():
                self._set(data)
        except Exception:
            say_once("set", "Data of a checkpoint could not be recorded", exc_info=True)
        return self

    def deny(self, reason: str, **data: Any) -> Self:
        """This gate refuses the request. The flow is complete and its outcome is `denied`."""
        self._outcome = names.OUTCOME_DENIED
        return self.set(**data)._write_reason(reason)._tell_pipeline()

    def fail(self, error: BaseException | str, **data: Any) -> Self:
        """This step failed, also when the application handles the error itself."""
        self._outcome = names.OUTCOME_ERROR
        self.set(**data)
        try:
            record_error(self._span, error, self._runtime)
            self._tell_pipeline()
        except Exception:
            say_once("fail", "An error of a checkpoint could not be recorded", exc_info=True)
        return self

    def cancel(self) -> Self:
        """This step was given up; it is neither fine nor broken."""
        self._outcome = names.OUTCOME_CANCELLED
        return self

    def first_token(self) -> Self:
        """The model's first token is here. Only the first call counts."""
        if not self._first_token and self._span.is_recording():
            self._first_token = True
            waited = self._runtime.clock() - self._started
            self._write(
                {
                    names.ATTR_DATA_PREFIX + TIME_TO_FIRST_TOKEN: round(waited * 1000, 3),
                    TIME_TO_FIRST_CHUNK: round(waited, 6),
                }
            )._tell_pipeline()
        return self

    def first_item(self) -> None:
        """A stream gave an item. Of a model's stream the first one is the first token."""
        if not self._first_token and self._event_type == names.LLM_THINKING:
            self.first_token()

    def end(self, end_ns: int | None = None) -> None:
        """End a step that `start_checkpoint` began, now or at a time of yours. Further calls do nothing."""
        try:
            if self._span.is_recording():
                self._span.set_attribute(names.ATTR_OUTCOME, self._outcome or names.OUTCOME_OK)
                self._span.end(end_ns)
        except Exception:
            say_once("end", "A checkpoint could not be ended", exc_info=True)

    def __enter__(self) -> Self:
        self._entered += 1
        if self._entered > 1:
            say_once("entered twice", "One checkpoint object is in use twice at a time; make one for each step")
            return self
        self.begin()
        self._token = activate(self.context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered -= 1
        if self._entered:
            return
        if self._token is not None:
            if not deactivate(self._token):
                self._strand()
            self._token = None
        if error is not None:
            self.ended_by(error)
        self.end()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Use as a decorator, of plain and async functions and of plain and async generators."""
        return decorated(self._again, function)

    # -- how it works --------------------------------------------------------------------------------------------------

    def _again(self) -> Self:
        """A fresh step of the same kind: a decorated function makes one for each call."""
        return type(self)(self._event_type, self._name, self._data)

    def _strand(self) -> None:
        """Another task or thread entered this step, and there it stays current; here it must not."""
        self._stranded = True
        if otel_context.get_current().get(_CURRENT) is self:
            activate(self._parent)

    def ended_by(self, error: BaseException) -> None:
        """Take the outcome from what the application raised, unless the application has said it itself."""
        if self._outcome is not None:
            return
        if is_cancellation(error):
            self.cancel()
            return
        try:
            reason = refusal(self._event_type, error)
        except Exception:
            reason = None
        if reason is not None:
            self.deny(reason)
        else:
            self.fail(error)

    def begin(self, parent: Context | None = None, start_ns: int | None = None) -> Self:
        """Begin the span without making it current. Whatever goes wrong in here, the application's own code runs."""
        if self._span is not INVALID_SPAN:
            self._forget()
        self._parent = otel_context.get_current() if parent is None else parent
        self._start_ns = start_ns
        try:
            self._parent = _living(self._parent)
            self._runtime = runtime()
            self._span = self._begin(self._parent)
            self._started = self._runtime.clock()
            if self._event_type == names.ERROR and self._span.is_recording():
                self.fail(short_text(self._data.get("message", "error")))
        except Exception:
            say_once("start", "A checkpoint could not be started", exc_info=True)
        return self

    def _forget(self) -> None:
        """The same object is used for a step once more."""
        self._span = INVALID_SPAN
        self._outcome = None
        self._hidden = 0
        self._first_token = self._stranded = False

    def _begin(self, parent: Context) -> Span:
        return self._open(parent, self._first_attributes(), kind=self._meaning.kind)

    def _open(self, parent: Context, attributes: dict[str, Any], *, kind: SpanKind, links: Sequence[Link] = ()) -> Span:
        """A span with what Spanflow says itself, and with the step's data cleaned."""
        if self._data:
            attributes.update(self._clean(self._named(self._data)))
        return self._runtime.tracer().start_span(
            self._name or short_text(self._meaning.span_name(self._event_type, self._data), 256),
            context=parent,
            kind=kind,
            attributes=attributes,
            links=links,
            start_time=self._start_ns,
            record_exception=False,
            set_status_on_exception=False,
        )

    def _first_attributes(self) -> dict[str, Any]:
        attributes: dict[str, Any] = {names.ATTR_CHECKPOINT_TYPE: self._event_type, **self._meaning.fixed}
        if self._runtime.openinference:
            attributes[OPENINFERENCE_KIND] = self._meaning.openinference_kind
        return attributes

    def _named(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Our own attributes for the data, and OpenTelemetry's for the same."""
        limit = self._runtime.max_text
        names_of = self._meaning.names_of
        named: dict[str, Any] = {}
        for word, given in data.items():
            if given is not None:
                value = given if type(given) in _AS_GIVEN else attribute_value(given, limit)
                for name in names_of[word]:
                    named[name] = value
        if FINISH_REASONS in named:
            named[FINISH_REASONS] = as_reasons(named[FINISH_REASONS])
        return named

    def _set(self, data: Mapping[str, Any]) -> None:
        self._span.set_attributes(self._clean(self._named(data)))
        after = self._meaning.named_after
        if after is not None and self._name is None and after[1] in data:
            self._span.update_name(short_text(self._meaning.span_name(self._event_type, data), 256))
        self._tell_pipeline()

    def _tell_pipeline(self) -> Self:
        """Live viewers see the change before the step ends."""
        pipeline = self._runtime.pipeline
        if pipeline is not None:
            try:
                pipeline.span_updated(self._span)
            except Exception:
                say_once("updated", "A change of a checkpoint could not be mirrored", exc_info=True)
        return self

    @carrying
    def _clean(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The attributes without secrets; the step counts how many were hidden."""
        kept, hidden = self._runtime.redactor.attributes(attributes)
        if not hidden:
            return kept
        self._hidden += hidden
        return {**kept, names.ATTR_REDACTED: self._hidden}

    def _write(self, attributes: Mapping[str, Any]) -> Self:
        try:
            if self._span.is_recording():
                self._span.set_attributes(self._clean(attributes))
        except Exception:
            say_once("write", "A checkpoint's attributes could not be recorded", exc_info=True)
        return self

    def _write_reason(self, reason: str) -> Self:
        try:
            if self._span.is_recording():
                # Searched before it is shortened: half of a secret would not be found.
                shown, hidden = self._runtime.redactor.text(short_text(reason), _MAX_REASON)
                self._hidden += hidden
                counted = {names.ATTR_REDACTED: self._hidden} if hidden else {}
                self._span.set_attributes({names.ATTR_DENIED_REASON: shown, **counted})
        except Exception:
            say_once("reason", "The reason of a denial could not be recorded", exc_info=True)
        return self


def _living(parent: Context) -> Context:
    """The context to start from.

    A generator that was broken off is finalised in a task of its own and leaves its step current in its consumer. Such
    a stranded step is no parent; what was current before it is.
    """
    step = parent.get(_CURRENT)
    while isinstance(step, Checkpoint) and step._stranded:
        parent = step._parent
        step = parent.get(_CURRENT)
    edge = edge_of(parent)
    if edge is not None and edge.reads_elsewhere and get_current_span(parent) is edge.server_span:
        # The message was read in a task of its own (`wait_for` does so before Python 3.12), so this one does not see
        # the turn that began there.
        return edge.turn_context or parent
    return parent


def checkpoint(event_type: str, /, *, name: str | None = None, **data: Any) -> Checkpoint:
    """A step of the request, as context manager or decorator.

    with checkpoint("tool_call", mcp="qa_mcp", tool="list_snapshots") as step:
        step.set(rows=len(await call()))
    """
    return Checkpoint(event_type, name, data)


def start_checkpoint(
    event_type: str,
    /,
    *,
    parent: "Checkpoint | Span | Context | None" = None,
    name: str | None = None,
    start_ns: int | None = None,
    **data: Any,
) -> Checkpoint:
    """A step that does not become current and that you end yourself with `.end()`.

    `start_ns` (nanoseconds since 1970) is for steps that began before they could be reported.
    """
    return Checkpoint(event_type, name, data).begin(_context_of(parent), start_ns)


def current_checkpoint() -> Checkpoint:
    """The innermost step that is under way here; outside of any, one that records nothing."""
    step = otel_context.get_current().get(_CURRENT)
    return step if isinstance(step, Checkpoint) else Checkpoint("none")


def within_type(context: Context) -> str | None:
    """The type of the checkpoint whose direct child a span of this context is, if instrumentations know such steps."""
    step = context.get(_CURRENT)
    if not isinstance(step, Checkpoint) or not step._meaning.fixed or step._event_type == names.PLAIN_SPAN:
        return None
    return step._event_type if get_current_span(context) is step._span else None


def _context_of(parent: "Checkpoint | Span | Context | None") -> Context:
    if isinstance(parent, Checkpoint):
        return parent.context
    if isinstance(parent, Span):
        return set_span_in_context(parent)
    return otel_context.get_current() if parent is None else parent
