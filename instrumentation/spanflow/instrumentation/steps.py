"""Runs a generator step by step, so that its span is current inside it and never in its consumer.

A `with` block around a `yield` leaves its span current in the generator's consumer, and loses it when each step
runs in another task (a heartbeat in a server-sent event stream does that). Here the generator has a context of its own,
which is put on before each step and taken off after it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from spanflow.instrumentation.activation import AnyToken, activate, deactivate


class Step(Protocol):
    """What is known here of a checkpoint: what is needed to begin and end one around an iteration."""

    @property
    def context(self) -> Context: ...
    def begin(self) -> Self: ...
    def first_item(self) -> None: ...
    def ended_by(self, error: BaseException) -> None: ...
    def end(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Inside:
    """The generator's own context, current while one of its steps runs."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token: AnyToken | None = None

    def __enter__(self) -> Self:
        self._token = activate(self._context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What the generator itself made current (a checkpoint around a yield) is there again at its next step.
        self._context = otel_context.get_current()
        if self._token is not None:
            deactivate(self._token)
            self._token = None


def around_async(
    make_step: Callable[[], Step], function: Callable[..., AsyncIterator[Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """An async generator function like `function` with a step around each iteration; sends and throws pass through."""

    async def stepwise(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        step = make_step().begin()
        inside = _Inside(step.context)
        items: AsyncIterator[Any] | None = None
        try:
            with inside:
                items = function(*args, **kwargs)
            advance: Callable[[], Any] = items.__anext__
            while True:
                with inside:
                    try:
                        item = await advance()
                    except StopAsyncIteration:
                        break
                step.first_item()
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    advance = _throw_async(items, thrown)
                else:
                    advance = _send_async(items, sent)
        except BaseException as error:
            step.ended_by(error)
            raise
        finally:
            try:
                with inside:
                    if isinstance(items, AsyncGenerator):
                        await items.aclose()
            finally:
                step.end()

    return stepwise


def around(
    make_step: Callable[[], Step], function: Callable[..., Iterator[Any]]
) -> Callable[..., Generator[Any, Any, Any]]:
    """The same for a plain generator function; what the generator returns is returned."""

    def stepwise(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        step = make_step().begin()
        inside = _Inside(step.context)
        items: Iterator[Any] | None = None
        try:
            with inside:
                items = function(*args, **kwargs)
            advance: Callable[[], Any] = items.__next__
            while True:
                with inside:
                    try:
                        item = advance()
                    except StopIteration as stop:
                        return stop.value
                step.first_item()
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    advance = _throw(items, thrown)
                else:
                    advance = _send(items, sent)
        except BaseException as error:
            step.ended_by(error)
            raise
        finally:
            try:
                with inside:
                    if isinstance(items, Generator):
                        items.close()
            finally:
                step.end()

    return stepwise


def _send_async(items: AsyncIterator[Any], sent: Any) -> Callable[[], Any]:
    return items.__anext__ if sent is None or not isinstance(items, AsyncGenerator) else lambda: items.asend(sent)


def _throw_async(items: AsyncIterator[Any], thrown: BaseException) -> Callable[[], Any]:
    if isinstance(items, AsyncGenerator):
        return lambda: items.athrow(thrown)
    raise thrown


def _send(items: Iterator[Any], sent: Any) -> Callable[[], Any]:
    return items.__next__ if sent is None or not isinstance(items, Generator) else lambda: items.send(sent)


def _throw(items: Iterator[Any], thrown: BaseException) -> Callable[[], Any]:
    if isinstance(items, Generator):
        return lambda: items.throw(thrown)
    raise thrown
