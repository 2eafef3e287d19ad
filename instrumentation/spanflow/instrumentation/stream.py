"""`checkpoint_stream`: a checkpoint around a stream of items, such as a model's tokens."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from typing import Any, TypeVar

from spanflow.instrumentation.checkpoint import Checkpoint
from spanflow.instrumentation.steps import around_async

T = TypeVar("T")


def checkpoint_stream(
    event_type: str,
    source: AsyncIterable[T] | Callable[[], AsyncIterable[T]],
    /,
    *,
    name: str | None = None,
    **data: Any,
) -> AsyncGenerator[T, Any]:
    """The items of `source` unchanged, with a step around the whole stream.

    async for token in checkpoint_stream("llm_thinking", lambda: model.stream(prompt), model="gpt-5"):
        yield token

    The step ends when the stream does: `cancelled` when the consumer breaks off or the request is cancelled, `error`
    when the stream raises. On `llm_thinking` the first item counts as the first token. Inside the stream use
    `current_checkpoint().set(…)` for what becomes known while it runs.
    """

    def items() -> AsyncIterator[T]:
        return aiter(source() if callable(source) else source)

    return around_async(lambda: Checkpoint(event_type, name, data), items)()
